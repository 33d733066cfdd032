/**
 * The addresses of a PEERS message (PROTOCOL_FINAL.md §7.6).
 *
 * They ascend as byte strings and none appears twice: a set of addresses has one
 * encoding, and its order says nothing about who was met first. Whether one may be
 * dialled is decided by whoever owns the dialler.
 *
 * @module wire/peers
 */
import { compareBytes, concatBytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { type Address, decodeAddress, encodeAddress } from './address.ts'
import { ADDRESS_BYTES, MAX_PEERS_ADDRESSES } from './constants.ts'

/**
 * @param addresses - at most MAX_PEERS_ADDRESSES, in any order, none of kind `name`.
 * @returns ADDRESS_BYTES each, fresh; the same address given twice appears once.
 */
export function encodePeerAddresses(addresses: readonly Address[]): Uint8Array {
  if (addresses.length > MAX_PEERS_ADDRESSES) {
    throw new RangeError(`"addresses" expected <= ${MAX_PEERS_ADDRESSES}, got ${addresses.length}`)
  }
  const sorted = addresses.map((address) => encodeAddress(address)).sort(compareBytes)
  const distinct = sorted.filter((bytes, index) => {
    const before = sorted[index - 1]
    return before === undefined || compareBytes(before, bytes) !== 0
  })
  return concatBytes(...distinct)
}

/**
 * @param bytes - `PeersMessage.addresses`.
 * @throws MegatorrentError, kind 'peer': ERR_MESSAGE_BODY (not ascending, or an address that is none),
 *   ERR_ADDRESS. Cost: an onion takes 1 ms for its key, so 16 ms at most.
 */
export function decodePeerAddresses(bytes: Uint8Array): Address[] {
  const addresses: Address[] = []
  let before: Uint8Array | null = null
  for (let at = 0; at < bytes.length; at += ADDRESS_BYTES) {
    const one = bytes.subarray(at, at + ADDRESS_BYTES)
    if (before !== null && compareBytes(before, one) >= 0) throw malformed('PEERS that do not ascend')
    const address = decodeAddress(one)
    if (address === null) throw malformed('PEERS with an address that is none')
    addresses.push(address)
    before = one
  }
  return addresses
}

function malformed(what: string): MegatorrentError {
  return new MegatorrentError('ERR_MESSAGE_BODY', what)
}
