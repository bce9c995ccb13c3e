/** Looking at a log of what was accepted: how much there was in any window of time, wherever it begins. */

/** One moment at which units were accepted. */
export interface Accepted {
  /** Milliseconds. */
  readonly at: number
  readonly units: number
}

/** The most that a window of `windowMs` holds: (t - windowMs, t] for each t at which something was accepted. */
export function mostInWindow(log: readonly Accepted[], windowMs: number): number {
  const sorted = log.toSorted((a, b) => a.at - b.at)
  let [first, sum, most] = [0, 0, 0]
  for (const { at, units } of sorted) {
    sum += units
    while (sorted[first]!.at <= at - windowMs) sum -= sorted[first++]!.units
    most = Math.max(most, sum)
  }
  return most
}

export function sumOf(log: readonly Accepted[]): number {
  return log.reduce((sum, { units }) => sum + units, 0)
}
