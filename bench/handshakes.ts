/** Handshakes over loopback TCP, both sides on one thread. */
import { diffieHellman, generateKeyPairSync, sign, verify } from 'node:crypto'
import { systemClock } from '../src/base/clock.ts'
import { systemRandom } from '../src/base/random.ts'
import { TokenBucket } from '../src/base/token-bucket.ts'
import { SigningKey } from '../src/crypto/ed25519.ts'
import { nodeHandshakeKey } from '../src/crypto/key-schedule.ts'
import { initiateHandshake, respondHandshake } from '../src/transport/handshake.ts'
import { HandshakeGate } from '../src/transport/handshake-gate.ts'
import { EphemeralMemory, HandshakeKeyring } from '../src/transport/handshake-keys.ts'
import { TcpTransport } from '../src/transport/tcp.ts'
import { type Bench, figure } from './figure.ts'

const COUNT = 1000
const AT_ONCE = 8
/** So high that the gate never holds one up. */
const NO_LIMIT = 1_000_000_000

export async function handshakes(bench: Bench): Promise<void> {
  const nodeKey = new SigningKey(systemRandom.bytes(32))
  const psk = nodeHandshakeKey(nodeKey.publicKey)
  const keyring = new HandshakeKeyring(nodeKey.publicKey)
  const clock = systemClock
  const ephemerals = new EphemeralMemory({ load: () => [], add: () => {}, prune: () => {} })
  const gate = new HandshakeGate(clock, new TokenBucket(clock, NO_LIMIT, NO_LIMIT))
  const tcp = new TcpTransport()
  const listener = await tcp.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    const candidates = (nowMs: number) => keyring.candidates(nowMs)
    const rest = {
      clock,
      random: systemRandom,
      nodeKey,
      gate,
      ephemerals,
      group: '',
      isOwnAddress: () => true,
    }
    respondHandshake(stream, { candidates, ...rest }).then(
      (secured) => secured?.channel.destroy(),
      () => {}, // the side that dials fails too, and that is what ends the bench
    )
  })
  const dialOne = async (): Promise<void> => {
    const stream = await tcp.dial(listener.endpoint, { timeoutMs: 5000 })
    const { channel } = await initiateHandshake(stream, {
      ...{ psk, purpose: { kind: 'node' }, dialled: null, expectedNodeKey: nodeKey.publicKey },
      ...{ nodeKey: null, clock, random: systemRandom },
    })
    channel.destroy()
  }
  const run = async (count: number): Promise<number> => {
    const startMs = performance.now()
    let left = count
    const one = async (): Promise<void> => {
      while (left-- > 0) await dialOne()
    }
    await Promise.all(Array.from({ length: AT_ONCE }, one))
    return (count * 1000) / (performance.now() - startMs)
  }
  try {
    await run(COUNT / 5) // what is compiled once is not measured
    const cpu = process.cpuUsage()
    const value = await run(COUNT)
    const { user, system } = process.cpuUsage(cpu)
    const floor = curveFloor(COUNT)
    bench.report(
      figure({
        ...{ name: 'handshakes', value, unit: '1/s', floor, ratio: value / floor },
        ...{
          cpuSeconds: (user + system) / 1e6,
          note: 'both sides in one process; floor: its curve arithmetic',
        },
      }),
    )
  } finally {
    await listener.close()
  }
}

/** What one handshake has to compute: 4 key pairs, 6 products, 1 signature made and checked. */
function curveFloor(count: number): number {
  const other = generateKeyPairSync('x25519')
  const signer = generateKeyPairSync('ed25519')
  const message = Buffer.alloc(100)
  const startMs = performance.now()
  for (let i = 0; i < count; i++) {
    for (let pair = 0; pair < 3; pair++) generateKeyPairSync('x25519')
    const { privateKey } = generateKeyPairSync('x25519')
    for (let product = 0; product < 6; product++) {
      diffieHellman({ privateKey, publicKey: other.publicKey })
    }
    verify(null, message, signer.publicKey, sign(null, message, signer.privateKey))
  }
  return (count * 1000) / (performance.now() - startMs)
}
