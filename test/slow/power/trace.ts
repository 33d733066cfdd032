/**
 * What `strace -f -xx` wrote down, as calls in the order in which they took effect.
 *
 * A call of one thread may begin and end around those of others: `start` and `end` are
 * places in one order of all beginnings and ends. What a sync covers is what had
 * ended before it began.
 *
 * Pure: text in, calls out.
 */
export interface Call {
  readonly name: string
  /** Strings as bytes, everything else as text. */
  readonly args: readonly (Buffer | string)[]
  /** What it returned; calls that failed are left out. */
  readonly result: number
  readonly start: number
  readonly end: number
}

const UNFINISHED = ' <unfinished ...>'

/** Every call that succeeded, and the end of each process as a call `exit`. @throws Error when a string was cut, which would be a recording of half the truth. */
export function parseTrace(text: Buffer): Call[] {
  const calls: Call[] = []
  const open = new Map<string, { readonly text: string; readonly start: number }>()
  let place = 0
  let main: string | null = null
  for (const line of linesOf(text)) {
    const gap = line.indexOf(' ')
    const thread = line.slice(0, gap)
    const body = line.slice(gap).trimStart()
    place += 1
    main ??= thread
    if (body.startsWith('+++ exited') && thread === main) {
      calls.push({ name: 'exit', args: [], result: 0, start: place, end: place })
      main = null
    }
    if (body.endsWith(UNFINISHED)) {
      const begun = body.slice(0, -UNFINISHED.length)
      // Its number may be another file's before its end is written down; while it lasts nobody uses it.
      const closed = begun.startsWith('close(') ? parseCall(`${begun}) = 0`, place, place) : null
      if (closed === null) open.set(thread, { text: begun, start: place })
      else calls.push(closed)
      continue
    }
    let whole = body
    let start = place
    if (body.startsWith('<... ')) {
      const begun = open.get(thread)
      open.delete(thread)
      if (begun === undefined) continue
      whole = begun.text + body.slice(body.indexOf(' resumed>') + ' resumed>'.length)
      start = begun.start
    }
    const call = parseCall(whole, start, place)
    if (call !== null) calls.push(call)
  }
  return calls
}

function* linesOf(text: Buffer): Generator<string> {
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf(10, start)
    const end = newline === -1 ? text.length : newline
    yield text.toString('latin1', start, end)
    start = end + 1
  }
}

function parseCall(text: string, start: number, end: number): Call | null {
  const name = /^[a-z0-9_]+(?=\()/.exec(text)?.[0]
  const equals = text.lastIndexOf(' = ')
  if (name === undefined || equals === -1) return null
  const result = Number.parseInt(text.slice(equals + 3), 10)
  const close = text.lastIndexOf(')', equals)
  if (Number.isNaN(result) || result < 0) return null
  return { name, args: parseArgs(text.slice(name.length + 1, close)), result, start, end }
}

function parseArgs(text: string): (Buffer | string)[] {
  const args: (Buffer | string)[] = []
  let at = 0
  while (at < text.length) {
    const quote = text.indexOf('"', at)
    const plain = quote === -1 ? text.slice(at) : text.slice(at, quote)
    for (const part of plain.split(',')) if (part.trim() !== '') args.push(part.trim())
    if (quote === -1) break
    const close = text.indexOf('"', quote + 1)
    if (text.startsWith('...', close + 1)) throw new Error('the recording has a string that was cut')
    args.push(Buffer.from(text.slice(quote + 1, close).replaceAll('\\x', ''), 'hex'))
    at = close + 1
  }
  return args
}
