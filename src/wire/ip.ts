/**
 * IPv4 and IPv6 addresses as text and as bytes, one text for each address (RFC 5952).
 *
 * Written out because node:net belongs to the TCP transport alone. Stricter than
 * most: no leading zeros, no octal, no shortened IPv4, no zone; what is not
 * unmistakable is not an address. IPv4 inside IPv6 text is understood, but an
 * IPv4-mapped address is refused (PROTOCOL_FINAL.md §4.4): it would be a second name
 * of the same host.
 *
 * @module wire/ip
 */

export const IPV4_BYTES = 4
export const IPV6_BYTES = 16

const IPV6_GROUPS = 8

/** @returns 4 fresh bytes, or null. */
export function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split('.', IPV4_BYTES + 1)
  if (parts.length !== IPV4_BYTES) return null
  const bytes = new Uint8Array(IPV4_BYTES)
  for (const [index, part] of parts.entries()) {
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return null
    bytes[index] = Number(part)
  }
  return bytes
}

/** @param bytes - 4 bytes. */
export function formatIpv4(bytes: Uint8Array): string {
  return bytes.join('.')
}

/** @returns 16 fresh bytes, or null; also null for an IPv4-mapped address. */
export function parseIpv6(text: string): Uint8Array | null {
  if (text.length > 45) return null
  const halves = text.split('::', 3)
  if (halves.length > 2) return null
  const head = parseGroups(halves[0] ?? '', halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : []
  if (head === null || tail === null) return null
  const missing = IPV6_GROUPS - head.length - tail.length
  // `::` stands for at least one group.
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail]
  const bytes = new Uint8Array(IPV6_BYTES)
  for (const [index, group] of groups.entries()) {
    bytes[index * 2] = group >> 8
    bytes[index * 2 + 1] = group & 0xff
  }
  return isIpv4Mapped(bytes) ? null : bytes
}

/** Groups of one side of `::`; the last may be IPv4 where the address ends. */
function parseGroups(text: string, last: boolean): number[] | null {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16))
      continue
    }
    const ipv4 = last && index === parts.length - 1 ? parseIpv4(part) : null
    if (ipv4 === null) return null
    groups.push(((ipv4[0] ?? 0) << 8) | (ipv4[1] ?? 0), ((ipv4[2] ?? 0) << 8) | (ipv4[3] ?? 0))
  }
  return groups
}

/** RFC 5952: lower case, no leading zeros, the longest run of zeros (the first, of two or more) as `::`. */
export function formatIpv6(bytes: Uint8Array): string {
  const groups: number[] = []
  for (let i = 0; i < IPV6_BYTES; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0))
  let runStart = 0
  let runLength = 0
  for (let start = 0; start < groups.length; start++) {
    let end = start
    while (end < groups.length && groups[end] === 0) end++
    if (end - start > runLength) {
      runStart = start
      runLength = end - start
    }
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':')
  if (runLength < 2) return text(groups)
  return `${text(groups.slice(0, runStart))}::${text(groups.slice(runStart + runLength))}`
}

/** ::ffff:0:0/96. @param bytes - 16 bytes. */
export function isIpv4Mapped(bytes: Uint8Array): boolean {
  return bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0)
}
