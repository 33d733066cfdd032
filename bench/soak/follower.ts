/**
 * One channel that one node follows or hosts, and the switching of it off and on.
 */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { SoakChannel } from './channel.ts'
import type { SoakNode } from './soak-node.ts'

/** A subscription as the node shows it. */
export interface Shown {
  readonly publicKey: string
  readonly sequence: number
  readonly state: string
  readonly directory: string | null
  readonly hosted: boolean
  readonly error: { readonly code: string } | null
}

export async function subscriptionsOf({ node }: SoakNode): Promise<readonly Shown[]> {
  return (await node.rpc<{ subscriptions: Shown[] }>('getSubscriptions')).subscriptions
}

export class Follower {
  readonly owner: SoakNode
  readonly channel: SoakChannel
  /** Was it asked to follow the channel last? */
  isWanted = false
  #folders = 0

  constructor(owner: SoakNode, channel: SoakChannel) {
    this.owner = owner
    this.channel = channel
  }

  /** Harmless when it is followed already. */
  async follow(): Promise<void> {
    const { node, role } = this.owner
    const { uri, publicKey } = this.channel
    const known = (await subscriptionsOf(this.owner)).some((shown) => shown.publicKey === publicKey)
    this.isWanted = true
    if (known) return
    if (role === 'host') await node.rpc('host', { uri })
    // A fresh folder each time: what an earlier subscription left is foreign to this one.
    else await node.rpc('addSubscription', { uri, dir: node.path(`${this.channel.name}-${this.#folders++}`) })
  }

  /** Unsubscribe, with or without its files; a folder that is left is removed by us. */
  async unfollow(deleteFiles: boolean): Promise<void> {
    const { node } = this.owner
    const { publicKey } = this.channel
    this.isWanted = false
    const { directory } = await node.rpc<{ directory: string | null }>('removeSubscription', {
      publicKey,
      deleteFiles,
    })
    if (directory !== null && existsSync(directory)) await rm(directory, { recursive: true })
  }

  /** Null when the newest release is here, byte for byte as far as there are files; else what is wrong. */
  async problem(): Promise<string | null> {
    const { name, newest, publicKey } = this.channel
    const who = `${this.owner.name} of ${name}`
    const shown = (await subscriptionsOf(this.owner)).find((each) => each.publicKey === publicKey)
    if (shown === undefined) return `${who}: not followed`
    const { sequence, state, directory, error } = shown
    if (sequence !== newest || state !== 'complete') {
      return `${who}: at ${sequence} of ${newest}, ${state} ${error?.code ?? ''}`
    }
    if (directory === null) return null
    const differences = await this.channel.differences(directory)
    return differences.length === 0 ? null : `${who}: ${differences.slice(0, 5).join('; ')}`
  }
}
