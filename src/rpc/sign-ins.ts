/**
 * How a web page gets a token without anybody typing one: a one-time code is asked for over
 * the RPC, stands in the fragment of a link, and is exchanged for a token by the page.
 *
 * A link may stay in a history, in a terminal or in the arguments of a browser, so a code is
 * worth nothing after its first use or a minute. What it gives is a token of its own that ends
 * by itself: the one in rpc.cookie never enters a browser. Codes and tokens are 256 random
 * bits, kept as hashes, in memory alone: they end with this start of the daemon.
 *
 * A wrong code is counted, a right one never refused: who tries codes keeps nobody out.
 *
 * @module rpc/sign-ins
 */
import { createHash } from 'node:crypto'
import { fromHex, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import {
  MAX_SIGN_IN_CODES,
  MAX_SIGN_IN_TOKENS,
  SIGN_IN_CODE_MS,
  SIGN_IN_TOKEN_MS,
  SIGN_IN_TRIES_PER_MINUTE,
} from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { TokenBucket } from '../base/token-bucket.ts'
import type { Scope } from './schema/scopes.ts'

const SECRET_BYTES = 32
const SECONDS_PER_MINUTE = 60

export interface SignedIn {
  readonly token: string
  readonly expiresAt: number
  readonly scopes: Scope[]
}

/** Wall time may be set back and the other clock stands while a machine sleeps, so the first that is over counts. */
interface End {
  readonly wallMs: number
  readonly monotonicMs: number
}

export class SignIns {
  readonly #clock: Clock
  readonly #random: Random
  readonly #wrong: TokenBucket
  /** By hash, oldest first. */
  readonly #codes = new Map<string, End>()
  readonly #tokens = new Map<string, End>()

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
    this.#wrong = new TokenBucket(
      clock,
      SIGN_IN_TRIES_PER_MINUTE / SECONDS_PER_MINUTE,
      SIGN_IN_TRIES_PER_MINUTE,
    )
  }

  /** A code that is good once, for SIGN_IN_CODE_MS. */
  createCode(): { readonly code: string; readonly expiresAt: number } {
    const { secret, end } = this.#issue(this.#codes, SIGN_IN_CODE_MS, MAX_SIGN_IN_CODES)
    return { code: secret, expiresAt: end.wallMs }
  }

  /**
   * A token for a code.
   *
   * @throws MegatorrentError ERR_SIGN_IN when the code was used, is too old or is none of ours.
   */
  exchange(code: string): SignedIn {
    const hash = hashOf(code)
    const end = hash === null ? undefined : this.#codes.get(hash)
    if (hash === null || end === undefined || this.#isOver(end)) {
      this.#wrong.take(1)
      throw new MegatorrentError(
        'ERR_SIGN_IN',
        'this link was used, or is older than a minute: make another one with "megatorrent web"',
      )
    }
    this.#codes.delete(hash)
    const issued = this.#issue(this.#tokens, SIGN_IN_TOKEN_MS, MAX_SIGN_IN_TOKENS)
    return { token: issued.secret, expiresAt: issued.end.wallMs, scopes: ['admin'] }
  }

  /** ms until another wrong code is looked at as one: 0 unless there were too many. */
  waitMs(): number {
    return this.#wrong.waitMs(1)
  }

  /** What a token of a page is good for now, or null when it is none or has ended. */
  find(token: string): readonly Scope[] | null {
    const hash = hashOf(token)
    const end = hash === null ? undefined : this.#tokens.get(hash)
    return end === undefined || this.#isOver(end) ? null : ['admin']
  }

  /** Make a token of a page worthless. @returns whether it was one. */
  end(token: string): boolean {
    const hash = hashOf(token)
    return hash !== null && this.#tokens.delete(hash)
  }

  #issue(
    known: Map<string, End>,
    forMs: number,
    most: number,
  ): { readonly secret: string; readonly end: End } {
    const bytes = this.#random.bytes(SECRET_BYTES)
    const end: End = { wallMs: this.#clock.now() + forMs, monotonicMs: this.#clock.monotonicMs() + forMs }
    for (const [hash, other] of known) {
      if (this.#isOver(other)) known.delete(hash)
    }
    for (const hash of [...known.keys()].slice(0, Math.max(0, known.size - most + 1))) known.delete(hash)
    known.set(sha256(bytes), end)
    return { secret: toHex(bytes), end }
  }

  #isOver({ wallMs, monotonicMs }: End): boolean {
    return this.#clock.now() >= wallMs || this.#clock.monotonicMs() >= monotonicMs
  }
}

/** A hash is looked up, so that how long a look takes says nothing about any secret. */
function hashOf(secret: string): string | null {
  const bytes = fromHex(secret, SECRET_BYTES)
  return bytes === null ? null : sha256(bytes)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The code in the body that signs in, or null when it is anything else. */
function parseSignIn(body: Uint8Array): string | null {
  try {
    const value = JSON.parse(Buffer.from(body).toString('utf8')) as Readonly<Record<string, unknown>> | null
    return typeof value?.code === 'string' ? value.code : null
  } catch {
    return null // it is no JSON, so it has no code
  }
}

/** What is answered to who signs in. */
export interface SignInAnswer {
  readonly status: 200 | 401 | 429
  readonly headers: Readonly<Record<string, string>>
  readonly body: object
}

export function answerSignIn(signIns: SignIns, body: Uint8Array): SignInAnswer {
  const waitMs = signIns.waitMs()
  try {
    return { status: 200, headers: {}, body: signIns.exchange(parseSignIn(body) ?? '') }
  } catch (error) {
    if (!(error instanceof MegatorrentError)) throw error
    const { code, kind, message } = error
    const answer = { headers: {}, body: { error: { code, kind, message } } }
    if (waitMs === 0) return { status: 401, ...answer }
    return { status: 429, ...answer, headers: { 'retry-after': String(Math.ceil(waitMs / 1000)) } }
  }
}
