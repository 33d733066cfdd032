/**
 * One process of a soak: a test node that is stopped or killed and started again,
 * and a record of what went wrong with that.
 */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { errorMessage } from '../../src/base/errors.ts'
import { TestNode } from '../../test/swarm/harness/test-node.ts'

export type Role = 'dht' | 'publisher' | 'subscriber' | 'host'

export interface SoakNodeInit {
  readonly name: string
  readonly role: Role
  /** Never restarted: its memory is looked at over the whole run. */
  readonly isSteady: boolean
  /** Flags of `serve`. */
  readonly args: readonly string[]
  /** Flags of Node itself. */
  readonly nodeFlags: readonly string[]
  readonly logFolder: string
}

export class SoakNode {
  readonly name: string
  readonly role: Role
  readonly isSteady: boolean
  readonly node: TestNode
  /** Times that it was ended and started again on purpose. */
  restarts = 0
  /** Ends and starts that did not go as they must. */
  readonly faults: string[] = []
  #isDown = false
  /** Never started again, whoever has begun to. */
  #isOver = false

  private constructor(init: SoakNodeInit, node: TestNode) {
    this.name = init.name
    this.role = init.role
    this.isSteady = init.isSteady
    this.node = node
  }

  static async start(init: SoakNodeInit): Promise<SoakNode> {
    const { name, args, nodeFlags, logFolder } = init
    const logFile = join(logFolder, `${name}.log`)
    const node = await TestNode.start({ name, args, nodeFlags, logFile, detached: true })
    return new SoakNode(init, node)
  }

  /** Is it meant to run, and does it? */
  async isUp(): Promise<boolean> {
    return !this.#isDown && (await this.node.isUp())
  }

  /** End it, wait, start it again. False when it is down already. */
  async restart(how: 'stop' | 'kill', downMs: number, signal: AbortSignal): Promise<boolean> {
    const isUp = await this.isUp()
    if (!isUp || this.#isDown) return false // somebody else may have begun meanwhile
    this.#isDown = true
    this.restarts++
    try {
      await (how === 'kill' ? this.node.kill() : this.#stop())
      await pause(downMs, undefined, { signal }).catch(() => {}) // the run ends: no reason to stay down
      await this.#begin()
    } finally {
      this.#isDown = false
    }
    return true
  }

  /** Start it again if it ended by itself, which is a fault. */
  async revive(): Promise<void> {
    const isUp = await this.node.isUp()
    if (isUp || this.#isDown) return
    this.faults.push(`ended by itself\n${this.node.stderrTail()}`)
    this.#isDown = true
    try {
      await this.#begin()
    } finally {
      this.#isDown = false
    }
  }

  /** The last stop, if it runs. */
  async end(): Promise<void> {
    if (await this.node.isUp()) await this.#stop()
  }

  /** End whatever is left and remove the folder. */
  async dispose(): Promise<void> {
    this.#isOver = true
    await this.node.dispose()
  }

  async #stop(): Promise<void> {
    try {
      await this.node.stop()
    } catch (error) {
      this.faults.push(`did not stop cleanly: ${errorMessage(error)}`)
      await this.node.kill()
    }
  }

  async #begin(): Promise<void> {
    if (this.#isOver) return
    try {
      await this.node.begin()
    } catch (error) {
      this.faults.push(`did not start: ${errorMessage(error)}`)
      await this.node.kill()
    }
  }
}
