/**
 * The UDP socket of the DHT, as bittorrent-dht sees it: nothing reaches the library
 * that was not checked, and nothing leaves it that is not allowed to.
 *
 * As shipped the library is ended by single datagrams, takes replies that nobody
 * asked for into its table, and answers small questions with large ones. Here
 *   - every datagram becomes a KrpcMessage or is dropped, and is encoded anew;
 *   - a query of ours goes out under 8 random bytes, and a reply comes in only if it has
 *     them, from the address and port that were asked;
 *   - queries of strangers are dropped unless we serve; served ones are limited per
 *     address, and an answer has at most KRPC_MAX_ANSWER_BYTES and KRPC_MAX_ANSWER_RATIO
 *     times the length of its query;
 *   - queries of ours say `ro: 1` unless we serve;
 *   - no querier enters the table by its query: its id is hidden from the library, and
 *     mainline.ts pings it first, unless it is read-only. So a forged source never enters;
 *   - whatever the library throws ends here.
 *
 * The only importer of node:dgram on this side. IPv4 literals only: no name is resolved.
 *
 * @module discovery/krpc-guard
 */
import { Buffer } from 'node:buffer'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { EventEmitter } from 'node:events'
import { equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import {
  KRPC_MAX_ANSWER_BYTES,
  KRPC_MAX_ANSWER_RATIO,
  KRPC_MAX_DATAGRAM_BYTES,
  KRPC_MAX_PENDING,
  KRPC_MAX_RATED_ADDRESSES,
  KRPC_MAX_STORED_VALUE_BYTES,
  KRPC_PENDING_MS,
  KRPC_QUERIES_PER_SECOND,
  KRPC_QUERY_BURST,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { parseIpv4 } from '../wire/ip.ts'
import { type KrpcError, type KrpcQuery, type KrpcResponse, readKrpc } from './krpc.ts'
import { encodeKrpc, fitResponse } from './krpc-encode.ts'
import { RateTable } from './krpc-rate.ts'

export interface KrpcGuardOptions {
  /** Answer queries of others? */
  readonly isServer: boolean
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** May a query of ours go to this IPv4 address? Asked for each, since other nodes name them. */
  readonly canAsk: (host: string) => boolean
  /** A query came from a node that is not read-only. Called before it is answered; must not throw. */
  readonly onQuerier?: (node: {
    readonly id: Uint8Array
    readonly host: string
    readonly port: number
  }) => void
  /** Queries per second and at once of one address; the limits of the same name by default. For tests. */
  readonly queriesPerSecond?: number
  readonly queryBurst?: number
}

/** Counters since the start, for status and metrics. */
export interface KrpcCounters {
  datagramsIn: number
  bytesIn: number
  datagramsOut: number
  bytesOut: number
  /** Datagrams that are no KRPC message by krpc.ts. */
  malformed: number
  /** Replies that match no query of ours. */
  unsolicited: number
  /** Queries of others that were not answered: not serving, too many, or too large. */
  queriesDropped: number
  queriesServed: number
  /** Queries of ours to addresses that may not be asked. */
  notAsked: number
  /** Answers of the library that were too long, cut or dropped. */
  answersCut: number
  socketErrors: number
  /** Exceptions of the library that ended here. */
  libraryErrors: number
}

interface Pending {
  /** What the library calls this query. */
  readonly transaction: Uint8Array
  readonly host: string
  readonly port: number
  readonly expiresMs: number
}

const TRANSACTION_BYTES = 8
const MAX_PORT = 65_535

/** Id that the library sees of queriers: too short to be added to its table, and not empty. */
const HIDDEN_ID = Uint8Array.of(0)

export class KrpcGuard extends EventEmitter {
  readonly counters: KrpcCounters = {
    datagramsIn: 0,
    bytesIn: 0,
    datagramsOut: 0,
    bytesOut: 0,
    malformed: 0,
    unsolicited: 0,
    queriesDropped: 0,
    queriesServed: 0,
    notAsked: 0,
    answersCut: 0,
    socketErrors: 0,
    libraryErrors: 0,
  }
  readonly #options: KrpcGuardOptions
  readonly #socket: Socket
  readonly #rates: RateTable
  /** By our transaction id as latin1 text, oldest first. */
  readonly #pending = new Map<string, Pending>()
  /** The query that the library is answering at this moment: it answers before it returns. */
  #answering: {
    readonly transaction: Uint8Array
    readonly host: string
    readonly port: number
    readonly bytes: number
  } | null = null
  #isOpen = false
  #isClosed = false

  constructor(options: KrpcGuardOptions) {
    super()
    this.#options = options
    this.#rates = new RateTable({
      perSecond: options.queriesPerSecond ?? KRPC_QUERIES_PER_SECOND,
      burst: options.queryBurst ?? KRPC_QUERY_BURST,
      maxAddresses: KRPC_MAX_RATED_ADDRESSES,
    })
    this.#socket = createSocket({ type: 'udp4', lookup: refuseNames })
    this.#socket.on('message', (bytes, from) => this.#onMessage(bytes, from))
    this.#socket.on('error', (error) => {
      // ECONNREFUSED, EMSGSIZE, ENETUNREACH: one datagram is lost, the socket goes on.
      this.counters.socketErrors++
      options.log.debug('socket error of the DHT', { error: errorMessage(error) })
    })
  }

  /** Queries of ours without a reply so far. */
  get pendingQueries(): number {
    return this.#pending.size
  }

  /**
   * Bind the socket.
   *
   * @param host - an IPv4 literal.
   * @param port - 0 picks one.
   * @throws MegatorrentError ERR_DHT_LISTEN when the address cannot be bound.
   */
  async listen(host: string, port: number): Promise<{ readonly host: string; readonly port: number }> {
    if (parseIpv4(host) === null) {
      throw new MegatorrentError(
        'ERR_DHT_LISTEN',
        `the DHT needs an IPv4 address to listen on, not "${host}"`,
      )
    }
    await new Promise<void>((resolve, reject) => {
      const onError = (cause: Error): void => {
        this.#socket.removeListener('listening', onListening)
        const message = `cannot bind UDP ${host}:${port} for the DHT: ${errorMessage(cause)}`
        reject(new MegatorrentError('ERR_DHT_LISTEN', message, { cause }))
      }
      const onListening = (): void => {
        this.#socket.removeListener('error', onError)
        resolve()
      }
      this.#socket.once('error', onError)
      this.#socket.once('listening', onListening)
      this.#socket.bind(port, host)
    })
    this.#isOpen = true
    return { host, port: this.#socket.address().port }
  }

  /** Tell the library that the socket is bound: it then looks after its table. */
  announceListening(): void {
    this.emit('listening')
  }

  /** Part of the library's socket interface. The guard is bound before the library exists. */
  bind(): void {
    throw new TypeError('the guard is bound by "listen"')
  }

  /** Part of the library's socket interface. */
  address(): { readonly address: string; readonly family: string; readonly port: number } {
    return this.#socket.address()
  }

  /** Part of the library's socket interface: its queries and answers come here. Never throws. */
  send(
    bytes: Uint8Array,
    offset: number,
    length: number,
    port: number,
    host: string,
    callback?: () => void,
  ): void {
    const message = readKrpc(bytes.subarray(offset, offset + length))
    if (message.type === 'query') this.#ask(message, host, port)
    else if (message.type !== 'fault') this.#answer(message, host, port)
    else this.#options.log.debug('the DHT library sent what is no message', { what: message.what })
    callback?.()
  }

  /** Part of the library's socket interface; emits `close`. Idempotent. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#pending.clear()
    const done = (): void => void this.emit('close')
    if (this.#isOpen) this.#socket.close(done)
    else {
      this.#socket.close()
      queueMicrotask(done)
    }
  }

  #ask(query: KrpcQuery, host: string, port: number): void {
    if (!this.#isSendable(host, port) || !this.#options.canAsk(host)) {
      this.counters.notAsked++
      return
    }
    const nowMs = this.#options.clock.monotonicMs()
    this.#forgetExpired(nowMs)
    const transaction = this.#options.random.bytes(TRANSACTION_BYTES)
    this.#pending.set(keyOf(transaction), {
      transaction: query.transaction,
      host,
      port,
      expiresMs: nowMs + KRPC_PENDING_MS,
    })
    this.#transmit(encodeKrpc({ ...query, transaction, readOnly: !this.#options.isServer }), host, port)
  }

  #answer(answer: KrpcResponse | KrpcError, host: string, port: number): void {
    const query = this.#answering
    if (
      query === null ||
      query.host !== host ||
      query.port !== port ||
      !equalBytes(query.transaction, answer.transaction)
    ) {
      return
    }
    this.#answering = null // one answer a query
    const maxBytes = Math.min(KRPC_MAX_ANSWER_BYTES, KRPC_MAX_ANSWER_RATIO * query.bytes)
    let bytes: Uint8Array | null = encodeKrpc(answer)
    if (bytes.length > maxBytes) {
      this.counters.answersCut++
      bytes = answer.type === 'response' ? fitResponse(answer, maxBytes) : null
    }
    if (bytes === null) return
    this.counters.queriesServed++
    this.#transmit(bytes, host, port)
  }

  #transmit(bytes: Uint8Array, host: string, port: number): void {
    if (this.#isClosed || !this.#isOpen) return
    this.counters.datagramsOut++
    this.counters.bytesOut += bytes.length
    try {
      this.#socket.send(bytes, port, host, (error) => {
        if (error !== null) this.counters.socketErrors++
      })
    } catch (error) {
      this.counters.socketErrors++
      this.#options.log.debug('datagram of the DHT not sent', { error: errorMessage(error) })
    }
  }

  #onMessage(bytes: Buffer, from: RemoteInfo): void {
    this.counters.datagramsIn++
    this.counters.bytesIn += bytes.length
    if (from.port === 0 || this.#isClosed) return
    const message = bytes.length > KRPC_MAX_DATAGRAM_BYTES ? null : readKrpc(bytes)
    if (message === null || message.type === 'fault') this.counters.malformed++
    else if (message.type === 'query') this.#onQuery(message, bytes.length, from)
    else this.#onReply(message, from)
  }

  #onReply(reply: KrpcResponse | KrpcError, from: RemoteInfo): void {
    const key = keyOf(reply.transaction)
    const pending = this.#pending.get(key)
    if (
      pending === undefined ||
      pending.host !== from.address ||
      pending.port !== from.port ||
      pending.expiresMs < this.#options.clock.monotonicMs()
    ) {
      this.counters.unsolicited++
      return
    }
    this.#pending.delete(key)
    this.#deliver(encodeKrpc({ ...reply, transaction: pending.transaction }), from)
  }

  #onQuery(query: KrpcQuery, bytes: number, from: RemoteInfo): void {
    const { isServer, clock } = this.#options
    if (
      !isServer ||
      !this.#rates.take(from.address, clock.monotonicMs()) ||
      (query.method === 'put' && query.value.length > KRPC_MAX_STORED_VALUE_BYTES)
    ) {
      this.counters.queriesDropped++
      return
    }
    if (!query.readOnly) this.#options.onQuerier?.({ id: query.id, host: from.address, port: from.port })
    this.#answering = { transaction: query.transaction, host: from.address, port: from.port, bytes }
    this.#deliver(encodeKrpc({ ...query, id: HIDDEN_ID }), from)
    this.#answering = null
  }

  /** Hand a checked message to the library. Callers of the library have time-outs of their own: it may lose one. */
  #deliver(bytes: Uint8Array, from: RemoteInfo): void {
    try {
      this.emit('message', Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), from)
    } catch (error) {
      this.counters.libraryErrors++
      this.#options.log.error('the DHT library threw', {
        error: errorMessage(error),
        stack: error instanceof Error ? (error.stack ?? '') : '',
      })
    }
  }

  #isSendable(host: string, port: number): boolean {
    return Number.isInteger(port) && port > 0 && port <= MAX_PORT && parseIpv4(host) !== null
  }

  #forgetExpired(nowMs: number): void {
    for (const [key, pending] of this.#pending) {
      if (pending.expiresMs >= nowMs && this.#pending.size < KRPC_MAX_PENDING) break
      this.#pending.delete(key)
    }
  }
}

function keyOf(transaction: Uint8Array): string {
  return String.fromCharCode(...transaction)
}

/** node:dgram asks for every address, literals too; the system's resolver is never reached. */
function refuseNames(
  host: string,
  _options: unknown,
  callback: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  if (parseIpv4(host) === null) callback(new TypeError('"host" expected an IPv4 address'), '', 0)
  else callback(null, host, 4)
}
