/**
 * Cases of which an ordinary run tries some, drawn anew each time, so that all are tried over the days and no single run
 * waits for them. `npm run test:all` tries each; SEED repeats a choice.
 */

import { runRandom } from './random.ts'

/** `count` of the cases in their order; all of them with CASES=all. */
export function some<T>(count: number, cases: readonly T[]): T[] {
  if (process.env.CASES === 'all' || cases.length <= count) return [...cases]
  const chosen = new Set(
    runRandom()
      .fork(JSON.stringify(cases))
      .shuffle([...cases.keys()])
      .slice(0, count),
  )
  return cases.filter((_, i) => chosen.has(i))
}
