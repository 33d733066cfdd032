/**
 * Limits of this implementation: what others can make us spend.
 *
 * A change here is a release note; a change of what is on the wire belongs in
 * wire/constants.ts. Each row has its unit in the name or the comment, and its
 * reason. docs/LIMITS.md lists them all (test/lint/limits.test.ts compares).
 *
 * @module base/limits
 */

export {}
