/**
 * The version of this release, as package.json has it (test/lint compares them).
 *
 * @module node/version
 */
export const VERSION = '0.1.0'
