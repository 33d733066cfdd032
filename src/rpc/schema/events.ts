/**
 * What GET /api/events and /api/ws tell: the names of events and what each carries.
 * The shapes are those of the methods, so that a client has one decoder.
 *
 * @module rpc/schema/events
 */
import { z } from 'zod'
import { jobResult, peerResult, statusResult, subscriptionResult } from './results.ts'

/** By name: each carries the whole of what it is about, as it is now. */
export const EVENTS = {
  /** This node. */
  status: statusResult,
  /** A subscription that is new or has changed, or is gone. */
  subscription: z.union([subscriptionResult, z.object({ publicKey: z.string(), removed: z.literal(true) })]),
  /** A release that was not known before, of a channel that is followed or ours. */
  release: z.object({ publicKey: z.string(), sequence: z.int(), own: z.boolean() }),
  /** A connection that is new or has changed its state, or is closed. Counters of bytes alone are no news. */
  peer: z.union([peerResult, z.object({ ...peerResult.shape, state: z.literal('closed') })]),
  /** Long work that has begun, moved or ended. */
  job: jobResult,
} as const

export type EventName = keyof typeof EVENTS

export type RpcEvent = {
  readonly [E in EventName]: { readonly event: E; readonly data: z.output<(typeof EVENTS)[E]> }
}[EventName]
