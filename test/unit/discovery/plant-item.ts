/**
 * Puts an item into one node of a DHT and no other, past our own put, and reads what one
 * node has: so that nodes can disagree as nodes in the world do.
 */
import { randomBytes } from 'node:crypto'
import { decodeKrpc, type KrpcResponse } from '../../../src/discovery/krpc.ts'
import { itemTarget, type MutableItem } from '../../../src/wire/mutable-item.ts'
import { ascii, encodeFields, type Fields } from './hostile-krpc.ts'
import { RawUdp } from './raw-udp.ts'

/** @returns whether the node took it. */
export async function plantItem(port: number, item: MutableItem): Promise<boolean> {
  return withSocket(async (ask) => {
    const answer = await ask(port, 'get', { target: itemTarget(item.publicKey) })
    if (answer?.token === null || answer === null) throw new Error('the node gave no token')
    const { publicKey: k, seq, signature: sig, value: v } = item
    return (await ask(port, 'put', { token: answer.token, k, seq, sig, v })) !== null
  })
}

/** What one node has under a key; nothing of it is verified. */
export async function readItemOf(port: number, publicKey: Uint8Array): Promise<MutableItem | null> {
  return withSocket(async (ask) => {
    const answer = await ask(port, 'get', { target: itemTarget(publicKey) })
    if (answer === null || answer.value === null || answer.mutable === null) return null
    const { seq, signature } = answer.mutable
    return { publicKey, seq, value: Uint8Array.from(answer.value), signature: Uint8Array.from(signature) }
  })
}

type Ask = (port: number, method: string, fields: object) => Promise<KrpcResponse | null>

async function withSocket<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
  const socket = await RawUdp.open()
  try {
    return await work(async (port, method, fields) => {
      const query: Fields = {
        a: { id: randomBytes(20), ...fields },
        q: ascii(method),
        ro: 1,
        t: ascii('aa'),
        y: ascii('q'),
      }
      await socket.send(encodeFields(query), port)
      const message = decodeKrpc((await socket.next()).bytes)
      return message.type === 'response' ? message : null
    })
  } finally {
    await socket.close()
  }
}
