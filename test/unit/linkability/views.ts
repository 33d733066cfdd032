/**
 * What observers write down: a peer that knows none of our channels, a member of several, whoever is on the
 * line, and the proxy. Records are data; what is in them comes from the code that a node runs.
 */
import { toHex } from '../../../src/base/bytes.ts'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import { CounterCipher } from '../../../src/crypto/counter-cipher.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { channelKeys, NETWORK_HANDSHAKE_KEY, nodeHandshakeKey } from '../../../src/crypto/key-schedule.ts'
import { ROLE_INITIATOR } from '../../../src/crypto/tags.ts'
import { onionOf } from '../../../src/node/safe-channel.ts'
import { type Circuit, circuitCredentials } from '../../../src/transport/circuit.ts'
import { HELLO_PLACE_BYTES, REKEY_INTERVAL_FRAMES } from '../../../src/wire/constants.ts'
import { buildPlaces } from '../../../src/wire/hello.ts'
import { type Message, splitMessage } from '../../../src/wire/message.ts'
import { onionKey, parseOnion } from '../../../src/wire/onion.ts'
import { Rig } from '../transport/rig.ts'
import { commonPrefix, likeness } from './statistics.ts'

type Features<R> = Readonly<Record<string, (a: R, b: R) => number>>

// --- A peer that was dialled and shares no channel with the node.

export interface Met {
  /** Of the node that dialled: the truth. */
  readonly node: number
  readonly shownKey: string | null
  /** Of its HELLO, all together and each as hex. */
  readonly hello: Uint8Array
  readonly places: ReadonlySet<string>
  readonly emptyPlaces: number
}

export const PEER_FEATURES: Features<Met> = {
  'node key': (a, b) => (a.shownKey !== null && a.shownKey === b.shownKey ? 1 : 0),
  'places alike': (a, b) => likeness(a.hello, b.hello),
  'places in common': (a, b) => [...a.places].filter((place) => b.places.has(place)).length,
  'empty places': (a, b) => -Math.abs(a.emptyPlaces - b.emptyPlaces),
}

export type PeerFault = 'shows its key' | 'fills nothing up' | 'has the same tags on each connection'

/** Nodes with 1, 3, 5... channels that dial the same peer `times` times. */
export async function meet(nodes: number, times: number, fault: PeerFault | null = null): Promise<Met[]> {
  const rig = new Rig()
  const peer = await rig.responder()
  const random = seededRandom(5)
  const met: Met[] = []
  for (let node = 0; node < nodes; node++) {
    const nodeKey = new SigningKey(random.bytes(32))
    const channels = Array.from({ length: 1 + 2 * node }, () => {
      return { tagKey: random.bytes(32), slotVersion: 65_536 }
    })
    for (let time = 0; time < times; time++) {
      const isPinned = fault === 'shows its key'
      const [, theirs] = await rig.secure(peer, {
        psk: isPinned ? nodeHandshakeKey(peer.nodeKey.publicKey) : NETWORK_HANDSHAKE_KEY,
        purpose: { kind: isPinned ? 'node' : 'network' },
        dialled: null,
        nodeKey,
        expectedNodeKey: isPinned ? peer.nodeKey.publicKey : null,
      })
      const isSame = fault === 'has the same tags on each connection'
      const handshakeHash = isSame ? new Uint8Array(32) : theirs.handshakeHash
      const filling: Random = { ...random, bytes: (count) => new Uint8Array(count) }
      const hello = buildPlaces(
        { handshakeHash, role: ROLE_INITIATOR, counter: 0 },
        channels,
        fault === 'fills nothing up' ? filling : random,
      )
      met.push(metWith(node, theirs.remoteNodeKey, hello))
      theirs.channel.stream.destroy()
    }
  }
  await peer.stop()
  return met
}

function metWith(node: number, key: Uint8Array | null, hello: Uint8Array): Met {
  const places: string[] = []
  for (let at = 0; at < hello.length; at += HELLO_PLACE_BYTES) {
    places.push(toHex(hello.subarray(at, at + HELLO_PLACE_BYTES)))
  }
  return {
    node,
    shownKey: key === null ? null : toHex(key),
    hello,
    places: new Set(places),
    emptyPlaces: places.filter((place) => /^0+$/.test(place)).length,
  }
}

// --- Whoever is on the line: is this message of the same kind as that one?

export interface Passed {
  /** The truth. */
  readonly kind: string
  readonly bytes: Uint8Array
}

export const LINE_FEATURES: Features<Passed> = {
  size: (a, b) => -Math.abs(a.bytes.length - b.bytes.length),
  'bytes alike': (a, b) => likeness(a.bytes, b.bytes),
  'first bytes': (a, b) => commonPrefix(a.bytes, b.bytes),
}

export type LineFault = 'is not padded' | 'has its type in clear'

const MESSAGES: readonly ((random: Random) => Message)[] = [
  () => ({ type: 'pad' }),
  () => ({ type: 'bye', reason: 1 }),
  () => ({ type: 'ok', requestId: 5 }),
  () => ({ type: 'error', requestId: 5, code: 2 }),
  (random) => ({ type: 'findPeers', requestId: 5, topic: random.bytes(20), port: 0 }),
  (random) => ({ type: 'request', requestId: 5, kind: 1, blobId: random.bytes(32) }),
  (random) => ({ type: 'data', requestId: 5, kind: 2, head: random.bytes(568) }),
  (random) => ({
    type: 'hello',
    highestVersion: 1,
    lowestVersion: 1,
    counter: 0,
    features: 0,
    observedAddress: null,
    places: buildPlaces({ handshakeHash: random.bytes(32), role: 1, counter: 0 }, [], random),
  }),
]

/** Each message that fits a frame, `times` times, each time on a connection of its own. */
export function pass(times: number, fault: LineFault | null = null): Passed[] {
  const random = seededRandom(6)
  return MESSAGES.flatMap((make) =>
    Array.from({ length: times }, () => {
      const message = make(random)
      const [frame = new Uint8Array(0), ...more] = splitMessage(message)
      if (more.length > 0) throw new Error('more than one frame')
      const end = frame.findLastIndex((byte) => byte !== 0) + 1
      const plain = fault === 'is not padded' ? frame.subarray(0, end) : frame
      const bytes = new CounterCipher(random.bytes(32), REKEY_INTERVAL_FRAMES).seal(plain)
      // Three bytes, as a magic word would be.
      if (fault === 'has its type in clear') bytes.fill(frame[0] as number, 0, 3)
      return { kind: message.type, bytes }
    }),
  )
}

// --- The proxy.

export interface Proxied {
  readonly node: number
  readonly channel: number
  readonly day: number
  readonly user: string
  readonly password: string
  readonly host: string
}

export const CREDENTIAL_FEATURES: Features<Proxied> = {
  user: (a, b) => (a.user === b.user ? 1 : 0),
  password: (a, b) => (a.password === b.password ? 1 : 0),
  'user alike': (a, b) => likeness(Buffer.from(a.user, 'hex'), Buffer.from(b.user, 'hex')),
  'password alike': (a, b) => likeness(Buffer.from(a.password, 'hex'), Buffer.from(b.password, 'hex')),
}

export const DESTINATION_FEATURES: Features<Proxied> = {
  destination: (a, b) => (a.host === b.host ? 1 : 0),
}

export type ProxyFault = 'uses one user name for all channels' | 'uses one user name for all days'

/** Each node dials a peer of each of its channels once a day: that peer's onion. */
export function dialThroughProxy(
  nodes: number,
  channelsEach: number,
  days: number,
  fault: ProxyFault | null = null,
): Proxied[] {
  const random = seededRandom(7)
  const dialled: Proxied[] = []
  for (let node = 0; node < nodes; node++) {
    const startKey = random.bytes(32)
    for (let n = 0; n < channelsEach; n++) {
      const keys = channelKeys(new SigningKey(random.bytes(32)).publicKey)
      const { host } = onionOf(random.bytes(32), keys)
      for (let day = 20_600; day < 20_600 + days; day++) {
        const circuit: Circuit = {
          purpose: 'channel',
          subject: fault === 'uses one user name for all channels' ? '' : toHex(keys.secret),
          day: fault === 'uses one user name for all days' ? 0 : day,
        }
        const channel = node * channelsEach + n
        dialled.push({ node, channel, day, host, ...circuitCredentials(startKey, circuit) })
      }
    }
  }
  return dialled
}

// --- A member of two channels, who meets their onions.

export interface Joined {
  readonly node: number
  readonly channel: number
  /** The node key that it proves, which its onion is made of. */
  readonly key: Uint8Array
  readonly onion: string
  readonly port: number
}

export const MEMBER_FEATURES: Features<Joined> = {
  key: (a, b) => likeness(a.key, b.key),
  onion: (a, b) => commonPrefix(Buffer.from(a.onion), Buffer.from(b.onion)),
  port: (a, b) => -Math.abs(a.port - b.port),
}

export type MemberFault = 'has one key for all channels' | 'has a port of its own'

/** Each node is in all of the channels. */
export function joinChannels(nodes: number, channels: number, fault: MemberFault | null = null): Joined[] {
  const random = seededRandom(8)
  const links = Array.from({ length: channels }, () =>
    channelKeys(new SigningKey(random.bytes(32)).publicKey),
  )
  return Array.from({ length: nodes }, (_, node) => {
    const nodeSeed = random.bytes(32)
    return links.map((link, channel) => {
      const { host, port } = onionOf(
        nodeSeed,
        fault === 'has one key for all channels' ? (links[0] ?? link) : link,
      )
      const bytes = parseOnion(host)
      if (bytes === null) throw new Error('not an onion')
      const key = onionKey(bytes)
      return {
        node,
        channel,
        key,
        onion: host,
        port: fault === 'has a port of its own' ? 7_117 + node : port,
      }
    })
  }).flat()
}
