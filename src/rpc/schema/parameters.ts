/**
 * What several methods of the interface take: names, keys, paths, links, times, with their bounds.
 *
 * @module rpc/schema/parameters
 */
import { z } from 'zod'
import { utf8Bytes } from '../../base/bytes.ts'
import { CHANNEL_NAME, looksLikePublicKey } from '../../base/channel-name.ts'

const MAX_URI_CHARACTERS = 16_384
export const MAX_PATH_CHARACTERS = 4096
const MAX_GLOBS = 1000
const MAX_TITLE_BYTES = 1024
/** Seconds: a year. */
const MAX_TIMEOUT = 31_536_000

/** A channel by name or public key. */
export const channelRef = z
  .string()
  .regex(CHANNEL_NAME, 'expected a channel name or a public key of 64 hex digits')

/** A name that is not mistaken for a key. */
export const channelName = z
  .string()
  .regex(CHANNEL_NAME, 'expected 1 to 64 letters, digits, dots, underscores or hyphens')
  .refine((name) => !looksLikePublicKey(name), 'expected a name that does not look like a public key')

/** Callers have folders of their own, so the daemon takes absolute paths only. */
export const absolutePath = z
  .string()
  .max(MAX_PATH_CHARACTERS)
  .refine((path) => /^(?:\/|[A-Za-z]:[\\/])/.test(path) && !path.includes('\0'), 'expected an absolute path')

export const publicKey = z
  .string()
  .regex(/^[0-9A-Fa-f]{64}$/, 'expected 64 hex digits')
  .transform((text) => text.toLowerCase())

export const title = z
  .string()
  .refine((text) => utf8Bytes(text).length <= MAX_TITLE_BYTES, `expected at most ${MAX_TITLE_BYTES} bytes`)
  .refine((text) => !/\p{Surrogate}/u.test(text), 'expected well-formed Unicode')

/** A link, or a public key where that is enough: what it means is for the node to decode. */
export const uri = z.string().min(1, 'expected a link').max(MAX_URI_CHARACTERS)
export const address = z.string().min(1, 'expected an address').max(512)
export const globs = z.array(z.string().min(1, 'expected a glob').max(MAX_PATH_CHARACTERS)).max(MAX_GLOBS)
/** Seconds, decimals allowed. */
export const timeout = z.number().positive().max(MAX_TIMEOUT)
/** To know an access key by. */
export const label = z.string().max(100)
export const keyId = z.string().regex(/^[0-9a-f]{16}$/, 'expected 16 hex digits')
/** Bytes a second; 0 is unlimited. */
export const rate = z.int().nonnegative()
export const MAX_MAX_PEERS = 10_000
export const jobId = z.string().min(1, 'expected the id of a job').max(64)

export const nothing = z.strictObject({})

/** A subscription by its link or by the key of its channel. */
export const subscriptionRef = z
  .strictObject({ uri: uri.optional(), publicKey: publicKey.optional() })
  .refine(
    (params) => (params.uri === undefined) !== (params.publicKey === undefined),
    'expected either uri or publicKey',
  )
