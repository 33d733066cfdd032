import { describe, expect, it } from 'vitest'
import { MAX_CONTROL_REPLY_BYTES } from '../../../../src/base/limits.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import { ControlReader, isEvent } from '../../../../src/transport/onion/control-reply.ts'

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'))

const TEXT = [
  '250-PROTOCOLINFO 1',
  '250-AUTH METHODS=NULL',
  '250 OK',
  '650 HS_DESC UPLOADED abc UNKNOWN $00',
  '250+config-text=',
  'Line one',
  '..starts with a dot',
  '',
  '.',
  '250 OK',
  '515 Bad authentication',
]
const REPLIES = [
  { code: 250, lines: ['PROTOCOLINFO 1', 'AUTH METHODS=NULL', 'OK'] },
  { code: 650, lines: ['HS_DESC UPLOADED abc UNKNOWN $00'] },
  { code: 250, lines: ['config-text=\nLine one\n.starts with a dot\n', 'OK'] },
  { code: 515, lines: ['Bad authentication'] },
]

describe('replies of a control port', () => {
  it('are the same wherever the bytes are cut', () => {
    const all = bytes(`${TEXT.join('\r\n')}\r\n`)
    for (let cut = 0; cut <= all.length; cut++) {
      const reader = new ControlReader()
      expect([...reader.push(all.subarray(0, cut)), ...reader.push(all.subarray(cut))]).toEqual(REPLIES)
    }
    expect(REPLIES.map(isEvent)).toEqual([false, true, false, false])
  })

  it.each(['HTTP/1.1 400 Bad Request', '25 OK', '250', '250?OK', '', 'SSH-2.0-OpenSSH_9.2'])(
    'that are none are refused: %j',
    (line) => {
      expect(() => new ControlReader().push(bytes(`${line}\r\n`))).toThrow(
        expect.objectContaining({ code: 'ERR_TOR_CONTROL' }),
      )
    },
  )

  it.each([
    ['one line', 'x'],
    ['many lines', '250-more\r\n'],
    ['a block of data', '250+data\r\n', 'line\r\n'],
  ])('without an end are refused at the bound: %s', (_, first, more = first) => {
    const reader = new ControlReader()
    let sent = 0
    const endless = (): void => {
      for (reader.push(bytes(first)); sent < 2 * MAX_CONTROL_REPLY_BYTES; sent += more.length) {
        reader.push(bytes(more))
      }
    }
    expect(endless).toThrow(expect.objectContaining({ code: 'ERR_TOR_CONTROL' }))
    expect(sent).toBeLessThanOrEqual(MAX_CONTROL_REPLY_BYTES)
    expect(sent).toBeGreaterThan(MAX_CONTROL_REPLY_BYTES / 2)
  })

  it('never show a fault of ours, whatever comes', () => {
    const random = seededRandom(31)
    for (let round = 0; round < 2000; round++) {
      const reader = new ControlReader()
      const noise =
        round % 2 === 0 ? random.bytes(64) : bytes(`250${'-+ '[round % 3]}${random.fraction()}\r\n.`)
      try {
        reader.push(noise)
        reader.push(noise)
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_TOR_CONTROL' })
      }
    }
  })
})
