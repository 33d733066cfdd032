/**
 * Numbers and times for people. Pure.
 *
 * @module base/format
 */

/** `12.3 MiB`: three digits at most, binary units. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 'B'
  for (const next of ['KiB', 'MiB', 'GiB', 'TiB', 'PiB']) {
    if (value < 1024) break
    value /= 1024
    unit = next
  }
  const digits = unit === 'B' || value >= 100 ? 0 : 1
  return `${value.toFixed(digits)} ${unit}`
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`
}

/** `2d 3h`, `3h 4m`, `4m 5s`, `5s`: the two largest units. */
export function formatDuration(seconds: number): string {
  const parts: string[] = []
  let rest = Math.floor(seconds)
  for (const [unit, length] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(rest / length)
    rest -= count * length
    if (count > 0 || (unit === 's' && parts.length === 0)) parts.push(`${count}${unit}`)
  }
  return parts.slice(0, 2).join(' ')
}

/** UTC, to the second; `-` for what is unknown. */
export function formatTime(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return '-'
  return new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z')
}

export function formatPercent(done: number, total: number): string {
  return total <= 0 ? '-' : `${Math.floor((100 * Math.min(done, total)) / total)} %`
}

/** `1 file`, `2 files`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
