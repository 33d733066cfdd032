/** The version of this program; a test compares it with package.json. @module base/version */
export const VERSION = '0.1.0'
