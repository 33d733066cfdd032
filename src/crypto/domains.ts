/**
 * Domain separation: every label that enters a signature, a hash or a key
 * derivation is spelled here and nowhere else (PROTOCOL_FINAL.md §3.2).
 *
 * A label is ASCII and begins with `megatorrent/1 `; a new protocol version has
 * new labels. None can begin a BEP 44 signing message, which starts with a digit.
 *
 * @module crypto/domains
 */
import { utf8Bytes } from '../base/bytes.ts'

export const DOMAINS = {
  /** HKDF: A and read key -> channel secret. */
  channelSecret: 'megatorrent/1 channel secret',
  /** HKDF: seed -> convergence secret. */
  convergenceSecret: 'megatorrent/1 convergence secret',
  /** SHA-512: blinding factor of a slot. */
  slotBlinding: 'megatorrent/1 slot blinding',
  /** SHA-512: signing nonce under a blinded key. */
  slotSigningNonce: 'megatorrent/1 slot signing nonce',
  /** HKDF: channel secret -> record key of a day. */
  recordKey: 'megatorrent/1 record key',
  /** HMAC: XChaCha20 nonce of a sealed head. */
  slotNonce: 'megatorrent/1 slot nonce',
  /** HKDF: channel secret -> offset of a slot's seq. */
  seqOffset: 'megatorrent/1 seq offset',
  /** HKDF: channel secret -> topic of a day. */
  topic: 'megatorrent/1 topic',
  /** HKDF: channel secret -> handshake key of a day. */
  handshakeKey: 'megatorrent/1 handshake key',
  /** HKDF: node key -> handshake key for whoever was given that node key. */
  nodeHandshakeKey: 'megatorrent/1 node handshake key',
  /** SHA-256 of this label: the handshake key of the network, a constant. */
  networkHandshakeKey: 'megatorrent/1 network handshake key',
  /** SHA-256 of this label: what topics and handshake keys of relays come from, a constant. */
  relaySecret: 'megatorrent/1 relay secret',
  /** HKDF: channel secret -> tag key. */
  tagKey: 'megatorrent/1 tag key',
  /** HMAC: a channel's tag in one HELLO. */
  helloTag: 'megatorrent/1 hello tag',
  /** HMAC: a channel's handle on one connection. */
  channelHandle: 'megatorrent/1 channel handle',
  /** Ed25519: head. */
  head: 'megatorrent/1 head',
  /** Ed25519: certificate of a Noise static key by a node key. */
  nodeCertificate: 'megatorrent/1 node certificate',
  /** Ed25519, by the key of an onion: it serves a topic. */
  onionStatement: 'megatorrent/1 onion statement',
  /** SHA-256: proof of work of such a statement. */
  onionStatementWork: 'megatorrent/1 onion statement work',
  /** SHA-256: proof of work of a PUBLISH. */
  publishWork: 'megatorrent/1 publish work',
  /** SHA-256: proof of work of a KEEP. */
  keepWork: 'megatorrent/1 keep work',
  /** SHA-256: salt of the memory-hard puzzle of a PUBLISH. */
  publishPuzzle: 'megatorrent/1 publish puzzle',
  /** Noise prologue: protocol name and version. */
  prologue: 'megatorrent/1',
} as const

export type Domain = keyof typeof DOMAINS

/** A label as the bytes that enter a hash or a signature. */
export function label(domain: Domain): Uint8Array {
  return utf8Bytes(DOMAINS[domain])
}

/** Labels of what never leaves this machine. Not part of the protocol. */
export const LOCAL_DOMAINS = {
  /** HKDF: master key -> key of the database. */
  databaseKey: 'megatorrent-keystore/1 database key',
  /** HKDF: master key -> key that seals key files. */
  keyFileKey: 'megatorrent-keystore/1 key file key',
  /** HKDF: master key and public key -> name of a sealed key file. */
  keyFileName: 'megatorrent-keystore/1 key file name',
  /** SHA-256: kind and secrets of a channel key on paper -> its check. */
  keyWordsCheck: 'megatorrent-keystore/1 key words check',
  /** HKDF: seed of the node key and channel secret -> seed of the channel's onion. */
  onionSeed: 'megatorrent-node/1 onion seed',
  /** HKDF: seed of the node key -> seed of the gateway's onion. */
  gatewayOnionSeed: 'megatorrent-node/1 gateway onion seed',
} as const
