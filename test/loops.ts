/**
 * How often a test repeats what it does: less in `npm test`, all of it where MEGATORRENT_TEST_LOOPS is
 * `full`, as the system suites run the same files again.
 */
export function loops(quick: number, full: number): number {
  return process.env.MEGATORRENT_TEST_LOOPS === 'full' ? full : quick
}
