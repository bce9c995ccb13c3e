/** Looking at a log of what was accepted: how much there was in any window of time, wherever it begins. */

/** Units that were accepted. */
export interface Accepted {
  /** Milliseconds: when, or at the latest. */
  readonly at: number
  /** At the earliest, where nobody knows the very moment; default is `at`. */
  readonly since?: number
  readonly units: number
}

/** The most that a window of `windowMs` holds for sure: (t - windowMs, t] for each t at which something was accepted. */
export function mostInWindow(log: readonly Accepted[], windowMs: number): number {
  const sinceOf = ({ at, since = at }: Accepted): number => since
  const ends = log.toSorted((a, b) => a.at - b.at)
  const begins = log.toSorted((a, b) => sinceOf(a) - sinceOf(b))
  let [first, sum, most] = [0, 0, 0]
  for (const { at, units } of ends) {
    sum += units
    while (sinceOf(begins[first]!) <= at - windowMs) sum -= begins[first++]!.units
    most = Math.max(most, sum)
  }
  return most
}

export function sumOf(log: readonly Accepted[]): number {
  return log.reduce((sum, { units }) => sum + units, 0)
}
