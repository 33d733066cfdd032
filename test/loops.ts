/**
 * How often a test repeats what it does: less in the suite that it belongs to, all of it where
 * MEGATORRENT_TEST_LOOPS is `full`, as longer suites run some of the same files again (vitest.config.ts).
 */
export function loops(quick: number, full: number): number {
  return process.env.MEGATORRENT_TEST_LOOPS === 'full' ? full : quick
}
