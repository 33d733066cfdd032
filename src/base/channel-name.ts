/**
 * What a channel may be called, wherever the name comes from: typed, sent, or read from a key file.
 *
 * @module base/channel-name
 */

export const CHANNEL_NAME = /^[A-Za-z0-9._-]{1,64}$/

const PUBLIC_KEY = /^[0-9A-Fa-f]{64}$/

/** Commands take a name or a public key, so a name must not look like one. */
export function looksLikePublicKey(text: string): boolean {
  return PUBLIC_KEY.test(text)
}

export function isChannelName(text: string): boolean {
  return CHANNEL_NAME.test(text) && !looksLikePublicKey(text)
}
