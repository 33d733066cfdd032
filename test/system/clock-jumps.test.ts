/**
 * The clock of two nodes jumps a day ahead and back while they run: releases still arrive, in both
 * days' slots and over lines whose keys are those of another day.
 *
 * libfaketime gives them a clock that follows a file; timers are left alone, as they are
 * when somebody sets the clock of a machine. LIBFAKETIME names the library where it is not
 * at its usual place.
 */
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { TestNode } from '../swarm/harness/test-node.ts'
import { Testnet } from '../swarm/harness/testnet.ts'
import { appendBytes, compareTrees, makeTree } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

const LIBRARY = process.env.LIBFAKETIME ?? findLibrary()
const LIMIT_MS = 60_000

let net: Testnet | undefined
let folder: string | undefined

afterEach(async () => {
  await net?.dispose()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

function findLibrary(): string | null {
  for (const base of ['/usr/lib', '/usr/local/lib']) {
    if (!existsSync(base)) continue
    for (const name of ['', ...readdirSync(base)]) {
      const path = join(base, name, 'faketime', 'libfaketimeMT.so.1')
      if (existsSync(path)) return path
    }
  }
  return null
}

interface Subscription {
  readonly state: string
  readonly sequence: number
}

async function arrives(reader: TestNode, sequence: number): Promise<void> {
  const look = async (): Promise<Subscription | undefined> =>
    (await reader.rpc<{ subscriptions: Subscription[] }>('getSubscriptions')).subscriptions[0]
  await waitUntil(
    async () => {
      const seen = await look()
      return seen?.state === 'complete' && seen.sequence === sequence
    },
    LIMIT_MS,
    async () => `release ${sequence} arrives, not ${JSON.stringify(await look())}\n${reader.stderrTail()}`,
  )
}

describe('a clock that jumps a day ahead and back', () => {
  it('keeps no release from arriving', async ({ skip }) => {
    if (LIBRARY === null) return skip('needs libfaketime')
    folder = await mkdtemp(join(tmpdir(), 'megatorrent-clock-'))
    const clock = join(folder, 'clock')
    const setClock = (offset: string): void => writeFileSync(clock, `${offset}\n`)
    setClock('+0d')
    const env = {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    }
    net = await Testnet.start({ dhtNodes: 2 })
    const publisher = await net.add({ name: 'publisher', env })
    const reader = await net.add({ name: 'reader', env })
    const source = publisher.path('source')
    const target = reader.path('target')
    await makeTree(source, { seed: 1, smallFiles: 20, awkward: false })
    const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name: 'main' })
    let sequence = 0
    const publish = async (): Promise<void> => {
      sequence += 1
      await appendBytes(join(source, 'news'), Buffer.from(`release ${sequence}\n`))
      expect(await publisher.rpc('publish', { channel: 'main', path: source })).toMatchObject({ sequence })
    }
    await publish()
    await reader.rpc('addSubscription', { uri, dir: target, wait: true })
    for (const offset of ['+1d', '+0d', '+2d', '+0d']) {
      setClock(offset)
      await publish()
      await arrives(reader, sequence)
      expect(await compareTrees(source, target)).toEqual([])
    }
    // A line made under one day's keys is made anew under another's.
    setClock('+1d')
    await reader.restart()
    await publish()
    await arrives(reader, sequence)
    await reader.rpc('verify')
    await net.stop()
  })
})
