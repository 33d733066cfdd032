/**
 * The releases of one channel as an Atom feed (RFC 4287), for readers and automation. Pure.
 *
 * Nothing in it is a secret: the link of a private channel, with its read key, is not in it,
 * because feeds are kept by readers on other machines.
 *
 * @module rpc/atom
 */
import { printable } from '../base/printable.ts'
import type { ReleaseInfo } from '../node/api.ts'

export const FEEDS_PREFIX = '/feeds/'
export const ATOM_TYPE = 'application/atom+xml; charset=utf-8'

export interface FeedTarget {
  /** 64 hex digits, lower case. */
  readonly publicKey: string
  /** `?key=`, as it was given. */
  readonly key: string | null
}

/** @returns null for what is no target of a feed: nothing is here. */
export function parseFeedTarget(target: string): FeedTarget | null {
  const match = /^\/feeds\/([0-9A-Fa-f]{64})\.xml(?:\?key=([0-9A-Za-z]{1,128}))?$/.exec(target)
  return match === null ? null : { publicKey: (match[1] ?? '').toLowerCase(), key: match[2] ?? null }
}

export interface FeedContent {
  readonly publicKey: string
  /** Null: none is known. May be anything: it comes from a release. */
  readonly title: string | null
  /** Newest first, as `getReleases` has them. */
  readonly releases: readonly ReleaseInfo[]
}

export function atomFeed({ publicKey, title, releases }: FeedContent): string {
  const shown = releases.filter((release) => !release.conflict)
  const name = title ?? `Channel ${publicKey.slice(0, 8)}`
  const id = `urn:megatorrent:${publicKey}`
  // A publisher's clock may be wrong, and readers sort by this one: the latest of all.
  const updated = Math.max(0, ...shown.map((release) => release.signedAt))
  return [
    '<?xml version="1.0" encoding="utf-8"?>',
    '<feed xmlns="http://www.w3.org/2005/Atom">',
    `<id>${id}</id>`,
    `<title>${text(name)}</title>`,
    `<updated>${time(updated)}</updated>`,
    `<author><name>${text(name)}</name></author>`,
    '<generator>Megatorrent</generator>',
    ...shown.flatMap((release) => entry(id, name, release)),
    '</feed>',
    '',
  ].join('\n')
}

function entry(feedId: string, name: string, release: ReleaseInfo): readonly string[] {
  const { sequence, unpublished, signedAt, receivedAt } = release
  const title = unpublished ? `${name}: nothing is published any more` : `${name}: release ${sequence}`
  return [
    '<entry>',
    `<id>${feedId}:${sequence}</id>`,
    `<title>${text(title)}</title>`,
    `<published>${time(receivedAt)}</published>`,
    `<updated>${time(signedAt)}</updated>`,
    `<summary>${text(unpublished ? 'The channel was taken back.' : `Release ${sequence} is known here.`)}</summary>`,
    '</entry>',
  ]
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** Printable text has none of the characters that XML cannot have. */
function text(value: string): string {
  return printable(value).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}

/** Times that a date cannot have are those of nobody's clock. */
function time(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) || ms < 0 || date.getUTCFullYear() > 9999
    ? new Date(0).toISOString()
    : date.toISOString()
}
