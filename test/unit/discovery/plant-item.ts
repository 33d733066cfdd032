/**
 * Puts an item into one node of a DHT and no other, past our own put: so that nodes can
 * disagree as nodes in the world do.
 */
import { randomBytes } from 'node:crypto'
import { itemTarget, type MutableItem } from '../../../src/wire/mutable-item.ts'
import { ascii, encodeFields, type Fields } from './hostile-krpc.ts'
import { RawUdp } from './raw-udp.ts'

/** @returns whether the node took it. */
export async function plantItem(port: number, item: MutableItem): Promise<boolean> {
  const socket = await RawUdp.open()
  try {
    const ask = async (method: string, fields: object): Promise<Buffer> => {
      const query: Fields = {
        a: { id: randomBytes(20), ...fields },
        q: ascii(method),
        ro: 1,
        t: ascii('aa'),
        y: ascii('q'),
      }
      await socket.send(encodeFields(query), port)
      return (await socket.next()).bytes
    }
    const answer = await ask('get', { target: itemTarget(item.publicKey) })
    const at = answer.indexOf('5:token20:')
    const token = Uint8Array.from(answer.subarray(at + 10, at + 30))
    const { publicKey: k, seq, signature: sig, value: v } = item
    return (await ask('put', { token, k, seq, sig, v })).includes('1:y1:r')
  } finally {
    await socket.close()
  }
}
