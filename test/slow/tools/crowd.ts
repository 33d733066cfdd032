/**
 * A crowd of bare peers against one node, in a process of its own so that what it
 * costs is not mistaken for the node's. Reads one JSON task from its arguments, prints
 * one JSON line when it stands (or is over), and holds on until its stdin ends.
 */
import { randomBytes } from 'node:crypto'
import { createConnection, type Socket } from 'node:net'
import { type BareConnection, TYPES } from '../../swarm/harness/bare-connection.ts'
import { BareChannel, networkHandshakeKey } from '../../swarm/harness/bare-crypto.ts'
import { dialBare, firstMessage, ipv4Address } from '../../swarm/harness/bare-peer.ts'

export interface CrowdTask {
  /**
   * idle: connections that share the channel and say nothing. unread: they ask for blobs and read none.
   * stalled: they say to hold what is asked of them, and stop in the middle of the blob. unasked: they send the
   * beginning of a blob that nobody asked for. half-open: connections without a byte. flood: first messages;
   * it reports when they are made, and again when all are sent.
   */
  readonly kind: 'idle' | 'unread' | 'stalled' | 'unasked' | 'half-open' | 'flood'
  readonly port: number
  readonly count: number
  readonly link?: string
  readonly from?: string
  /** unread: what is asked for, hex, and how often by each. */
  readonly blobIds?: readonly string[]
  readonly requests?: number
  /** stalled: the release that they say to hold. */
  readonly release?: { readonly number: number; readonly rootId: string; readonly blobs: number }
  /** flood: first messages a second. */
  readonly perSecond?: number
}

export interface CrowdReport {
  readonly connected: number
  readonly closed: number
  readonly asked: number
  /** flood: what was sent, and what was answered. */
  readonly sent: number
  readonly answered: number
  /** Until all had come, or it was over. */
  readonly tookMs: number
}

const HOST = '127.0.0.1'
/** Handshakes of ours at a time. */
const AT_ONCE = 16

const task = JSON.parse(process.argv[2] ?? '{}') as CrowdTask
const channel = task.link === undefined ? null : BareChannel.fromLink(task.link)
const connections: BareConnection[] = []
const sockets = new Set<Socket>()
let closed = 0
let asked = 0
let sent = 0
let answered = 0

async function member(): Promise<void> {
  if (channel === null) throw new Error('"link" is missing')
  const connection = await dialBare(HOST, task.port, {
    psk: channel.handshakeKey(),
    dialled: ipv4Address(HOST, task.port),
    timeoutMs: 60_000,
    ...(task.from === undefined ? {} : { localAddress: task.from }),
  })
  connections.push(connection)
  if (task.kind === 'unasked') {
    connection.sendMessage(TYPES.DATA, 1, Buffer.from([1]))
    connection.sendRaw(randomBytes(600_000))
    return
  }
  connection.sendHello([[channel, 0n]])
  if (task.kind === 'idle') return
  // Nothing is given before both have shown the channel.
  await connection.receiveUntil((message) => message.type === TYPES.HELLO, 'its HELLO', 60_000)
  if (task.kind === 'unread') {
    connection.stopReading()
    const ids = task.blobIds ?? []
    for (let i = 0; i < (task.requests ?? 0); i++) {
      connection.requestBlob(Buffer.from(ids[i % ids.length] as string, 'hex'))
      asked++
    }
    return
  }
  const { release } = task
  if (release === undefined) throw new Error('"release" is missing')
  connection.sendHave(channel, release.number, Buffer.from(release.rootId, 'hex'), [[0, release.blobs]])
  void stall(connection)
}

/** Answer the first request with the beginning of a blob. */
async function stall(connection: BareConnection): Promise<void> {
  const message = await connection
    .receiveUntil(({ type }) => type === TYPES.REQUEST, 'a request', 3_600_000)
    .catch(() => null)
  if (message === null) return
  asked++
  connection.sendMessage(TYPES.DATA, message.requestId, Buffer.from([1]))
  connection.sendRaw(randomBytes(900_000))
}

async function many(make: () => Promise<void>): Promise<void> {
  let left = task.count
  const work = async (): Promise<void> => {
    while (left-- > 0) await make().catch(() => void closed++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

function open(first: Buffer | null): Promise<void> {
  return new Promise((resolve) => {
    const from = task.from === undefined ? {} : { localAddress: task.from }
    const socket = createConnection({ host: HOST, port: task.port, ...from })
    sockets.add(socket)
    socket.on('connect', () => {
      if (first !== null) socket.write(first)
      sent++
      resolve()
    })
    socket.on('data', () => {
      answered++
      socket.destroy()
    })
    socket.on('error', () => resolve())
    socket.on('close', () => {
      closed++
      sockets.delete(socket)
      resolve()
    })
  })
}

/** First messages, half of them right under the key that everybody knows. To make one takes a ms. */
function floodMessages(): Buffer[] {
  const psk = networkHandshakeKey()
  return Array.from({ length: task.count }, (_, n) =>
    n % 2 === 0 ? firstMessage({ psk }) : randomBytes(112),
  )
}

/** Send them at a steady rate. */
async function flood(messages: readonly Buffer[]): Promise<void> {
  const perTick = Math.max(1, Math.round((task.perSecond ?? 1000) / 100))
  let dueMs = performance.now()
  for (let at = 0; at < messages.length; at += perTick) {
    for (const message of messages.slice(at, at + perTick)) void open(message)
    dueMs += 10
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs - performance.now())))
  }
}

let startMs = performance.now()
let tookMs = 0

const report = (): void => {
  const ended = connections.filter((connection) => connection.ended).length
  const now: CrowdReport = {
    ...{ connected: connections.length, closed: closed + ended },
    ...{ asked, sent, answered, tookMs },
  }
  process.stdout.write(`${JSON.stringify(now)}\n`)
}

if (task.kind === 'half-open') await many(() => open(null))
else if (task.kind === 'flood') {
  const messages = floodMessages()
  report()
  startMs = performance.now()
  await flood(messages)
} else await many(member)
tookMs = performance.now() - startMs
report()
// Each line on stdin asks for a report; its end ends us.
process.stdin.on('data', report)
process.stdin.on('end', () => process.exit(0))
