/**
 * Overwriting secrets that are no longer needed.
 *
 * It shortens the time a secret lies in memory and no more: the engine may have
 * copied it, and strings, bigints and key objects cannot be overwritten at all.
 *
 * @module crypto/wipe
 */

/** Fill with zeros. Only for bytes that nobody else holds a view of. */
export function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0)
}
