/** docs/SCALING.md against the arithmetic that it rests on. */
import { describe, expect, it } from 'vitest'
import * as limits from '../../src/base/limits.ts'
import { PART_FILL_BYTES } from '../../src/channels/manifest-layout.ts'
import { dailyGossip } from '../../src/discovery/gossip-traffic.ts'
import * as constants from '../../src/wire/constants.ts'
import { headingsOf, tableRows } from './markdown.ts'
import { readProjectFile } from './project-files.ts'
import {
  connections,
  dhtOfNode,
  helloFrames,
  hopsToAll,
  hotSpot,
  hugeRelease,
  inboundHandshakes,
  queriesPerDhtNode,
  valuesOfChannel,
} from './scaling-model.ts'

const MILLION = 1_000_000
const GIB = 1_073_741_824
const MIB = 1_048_576
const page = readProjectFile('docs/SCALING.md')?.text ?? ''

/** As the page writes numbers. */
function shown(value: number, digits = 0): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

function numberIn(cell: string): number {
  return Number(cell.replaceAll(',', ''))
}

/** The cells of each row of the table below a heading, and what they have to be by the first of them. */
function expectTable(heading: string, expected: (first: string) => readonly string[]): void {
  const body = headingsOf(page).find(({ text }) => text === heading)?.body ?? ''
  const rows = tableRows(body).slice(1)
  expect(rows.length, heading).toBeGreaterThan(1)
  for (const [first = '', ...cells] of rows) expect(cells, `${heading}: ${first}`).toEqual(expected(first))
}

describe('docs/SCALING.md says what the constants come to', () => {
  it('of the DHT for a node', () => {
    const parts: Readonly<Record<string, string>> = {
      'slots, reads': 'slotReads',
      'slots, puts': 'slotPuts',
      ...{ topics: 'topics', blobs: 'blobs', upkeep: 'upkeep', all: 'total' },
    }
    expectTable('The DHT, for a node', (part) =>
      [1, 10, 100, 1_000].map((channels) => {
        const { megabytes, queries } = dhtOfNode(channels)
        return part === 'queries' ? shown(queries) : shown(megabytes[parts[part] ?? ''] ?? Number.NaN, 1)
      }),
    )
    expect(page).toContain(`${24 * limits.BLOB_ANNOUNCES_PER_HOUR} a day`)
    expect(1e6 * (dhtOfNode(100).megabytes.total ?? 0)).toBeLessThan(limits.DHT_IDLE_BYTES_PER_DAY)
    expect(page).toContain(`${shown((dhtOfNode(1_000).megabytes.total ?? 0) / 1_000, 1)} GB a day for 1,000`)
  })

  it('of the DHT for its nodes', () => {
    expectTable('Spread evenly', (nodes) => [shown(queriesPerDhtNode(MILLION, 10, numberIn(nodes)), 2)])
    expect(page).toContain(`${valuesOfChannel()} values`)
    expectTable('For one channel', (followers) => {
      const { slotLooks, slotKilobytes, announcements, topicKilobytes } = hotSpot(numberIn(followers))
      return [slotLooks, slotKilobytes, announcements, topicKilobytes].map((value) => shown(value, 1))
    })
    const { slotKilobytes, topicKilobytes } = hotSpot(MILLION)
    const gigabytesADay = (kilobytes: number): string => shown((kilobytes * 86_400) / 1e6)
    expect(page).toContain(`${gigabytesADay(topicKilobytes)} GB a day for a topic`)
    expect(page).toContain(`${gigabytesADay(slotKilobytes)} GB for a slot`)
    expect(page).toContain(`of ${limits.DHT_MAX_PEERS_PER_LOOKUP} peers at most`)
    // "Ten strangers", "ten puts".
    expect(limits.DHT_CLOSEST_NODES).toBe(10)
  })

  it('of what peers say, of news and of connections', () => {
    const world = { statementsPerNode: 0, neighbours: 0, peers: 50, channelsPerPeer: 10, releasesPerPeer: 10 }
    const { hello, heads, findPeers, peers, pad } = dailyGossip({ ...world, nodes: MILLION })
    const direct = (2 * (hello + heads + findPeers + peers + pad)) / 1e6
    expect(page).toContain(`${shown(direct, 1)} MB a day for a direct node with 50 peers`)
    expect(page).toContain(`are ${hopsToAll(MILLION, limits.TARGET_PEERS_PER_CHANNEL)} hops apart`)
    expectTable('Connections', (count) => {
      // As test/slow/crowds.test.ts found them.
      const kibibytesEach = numberIn(count) >= 5_000 ? 24 : 29
      const { mebibytes, claimedMebibytes } = connections(numberIn(count), kibibytesEach)
      return [shown(mebibytes, 1), shown(claimedMebibytes, 1)]
    })
    const book = limits.MAX_ADDRESSES_PER_CHANNEL
    expect(page).toContain(`(${book}) for each channel, 380 bytes each`)
    expect(page).toContain(`${shown((100 * book * 380) / MIB, 1)} MiB for 100 channels`)
  })

  it('of the database', () => {
    const ephemerals = limits.MAX_STORED_EPHEMERALS_PER_HOUR * constants.EPHEMERAL_MEMORY_HOURS
    expect(page).toContain(
      `for ${constants.EPHEMERAL_MEMORY_HOURS} hours: ${shown((ephemerals * 170) / MIB, 1)} MiB a key`,
    )
    expect(page).toContain(`${shown((limits.MAX_RELEASES_PER_CHANNEL * 680) / MIB, 2)} MiB a channel`)
    expect(page).toContain(`${shown((limits.MAX_MANIFEST_ENTRIES * 190) / MIB)} MiB a channel`)
    expect(page).toContain(`${limits.MAX_ANCHORS} a channel`)
    expect(page).toContain(`${shown((20 * GIB) / MIB)} with 20 GiB`)
  })

  it('of big channels', () => {
    expectTable('Big channels', (size) => {
      const [count = '', unit] = size.split(' ')
      const bytes = numberIn(count) * (unit === 'TiB' ? 1_024 : 1) * GIB
      const { dataBlobs, parts, setKibibytes, worstHaveMegabytes, rotationDays } = hugeRelease(bytes)
      expect(dataBlobs + parts).toBeLessThan(limits.MAX_MANIFEST_BLOBS)
      return [
        ...[shown(dataBlobs), shown(parts), shown(setKibibytes, 2)],
        ...[shown(worstHaveMegabytes, 2), shown(rotationDays)],
      ]
    })
    expect(page).toContain(`The manifest of 1 TiB is ${1 + hugeRelease(1_024 * GIB).parts} MiB to fetch`)
    expect(limits.MAX_MANIFEST_BLOBS * constants.CHUNK_BYTES).toBe(2_048 * GIB)
  })

  it('of many channels', () => {
    expectTable('Many channels', (count) => {
      const channels = numberIn(count)
      return [shown(inboundHandshakes(channels)), shown(helloFrames(channels))]
    })
  })

  it('and names constants that there are', () => {
    const known = { ...limits, ...constants, PART_FILL_BYTES }
    const named = [...page.matchAll(/`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`/g)].map(([, name = '']) => name)
    expect(named.length).toBeGreaterThan(15)
    expect(named.filter((name) => !(name in known))).toEqual([])
  })
})
