import { describe, expect, it } from 'vitest'
import { OpenRequests } from '../../../src/transport/open-requests.ts'

const settle = { resolve: () => {}, reject: () => {} }

describe('open requests', () => {
  it('take numbers from 1 up, begin again after the last, and never take that of an open one', () => {
    const requests = new OpenRequests(4)
    const add = (): number => requests.add('blob', 0, settle).id
    expect([add(), add(), add()]).toEqual([1, 2, 3])
    const close = (id: number): void => {
      const request = requests.get(id)
      if (request !== undefined) requests.close(request)
    }
    close(2)
    expect([add(), add()]).toEqual([4, 2])
    close(1)
    close(4)
    expect([add(), add()]).toEqual([4, 1])
  })

  it('tell nobody of an answer to one that was given up', () => {
    const heard: string[] = []
    const requests = new OpenRequests()
    const request = requests.add('blob', 0, {
      resolve: () => heard.push('resolved'),
      reject: () => heard.push('rejected'),
    })
    request.giveUp(5, new Error('enough'))
    request.giveUp(9, new Error('again'))
    request.resolve(new Uint8Array(1))
    request.reject(new Error('late'))
    expect(heard).toEqual(['rejected'])
    expect([request.givenUpMs, requests.givenUpMs, requests.isWaiting, requests.size]).toEqual([
      5,
      5,
      false,
      1,
    ])
  })

  it('know which were overtaken by a later one', () => {
    const requests = new OpenRequests()
    const [old, given, late] = [0, 0, 50].map((nowMs) => requests.add('blob', nowMs, settle)) as never as [
      ReturnType<OpenRequests['add']>,
      ReturnType<OpenRequests['add']>,
      ReturnType<OpenRequests['add']>,
    ]
    given.giveUp(1, new Error('not wanted'))
    const answered = requests.add('blob', 60, settle)
    const after = requests.add('blob', 0, settle)
    expect(requests.overtaken(answered, 40)).toEqual([old])
    expect(requests.overtaken(answered, 70)).toEqual([old, late])
    expect(requests.overtaken(after, 70)).toContain(late)
  })
})
