import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_EVENT_CHARACTERS, type SseEvent, SseParser } from '../../../src/web/sse.ts'

function parse(...parts: readonly string[]): readonly SseEvent[] {
  const parser = new SseParser()
  return parts.flatMap((part) => parser.push(part))
}

describe('the parser of events', () => {
  it('reads what our daemon sends', () => {
    const text =
      ': events of this node\n\nid: ab-1\nevent: peer\ndata: {"a":1}\n\n:\n\nid: ab-2\nevent: job\ndata: {}\n\n'
    expect(parse(text)).toEqual([
      { id: 'ab-1', event: 'peer', data: '{"a":1}' },
      { id: 'ab-2', event: 'job', data: '{}' },
    ])
  })

  it('follows the standard where it does otherwise', () => {
    expect(parse('data:a\ndata: b\ndata:  c\n\n')).toEqual([{ id: '', event: 'message', data: 'a\nb\n c' }])
    expect(parse('id: 1\n\ndata: x\n\n')).toEqual([{ id: '1', event: 'message', data: 'x' }])
    expect(parse('event: a\n\ndata: x\n\n')).toEqual([{ id: '', event: 'message', data: 'x' }])
    expect(parse('data\nretry: 5\nunknown: y\n\n')).toEqual([{ id: '', event: 'message', data: '' }])
    expect(parse('id: 1\0\ndata: x\n\n')[0]?.id).toBe('')
  })

  it('reads the same however the stream is cut and lines end', () => {
    const events = fc.array(fc.record({ id: fc.stringMatching(/^[a-f0-9-]{1,8}$/), data: fc.json() }), {
      minLength: 1,
      maxLength: 5,
    })
    fc.assert(
      fc.property(events, fc.constantFrom('\n', '\r\n', '\r'), fc.array(fc.nat(400)), (sent, end, cuts) => {
        const text = sent
          .map(({ id, data }) => `id: ${id}${end}event: job${end}data: ${data}${end}${end}`)
          .join('')
        const at = [0, ...cuts.map((cut) => cut % text.length).sort((a, b) => a - b), text.length]
        const parts = at.slice(1).map((to, i) => text.slice(at[i], to))
        expect(parse(...parts)).toEqual(sent.map(({ id, data }) => ({ id, event: 'job', data })))
      }),
    )
  })

  it('keeps no more than one event of bounded length', () => {
    const parser = new SseParser()
    parser.push('data: ')
    parser.push('x'.repeat(MAX_EVENT_CHARACTERS - 6))
    expect(() => parser.push('x')).toThrow(RangeError)
    const other = new SseParser()
    other.push(`data: ${'x'.repeat(MAX_EVENT_CHARACTERS)}\n\n`)
    expect(() => other.push(`data: ${'x'.repeat(MAX_EVENT_CHARACTERS)}\ndata: x\n`)).toThrow(RangeError)
  })
})
