/** What Shardgate has to reach, by operation: ratios to the same figure of another server in the same round. */

import type { LoadName } from './load.ts'

export const LOADS: readonly LoadName[] = ['Q1', 'Q2', 'Q3', 'Q4', 'Q5', 'Q6', 'Q7']

type ByLoad = Readonly<Record<LoadName, number>>

export interface Goal {
  readonly against: 'postgraphile' | 'mercurius' | 'limit' | 'ours-free'
  /** `rate` is requests per second, `cpu` that of server and Postgres together, `serverCpu` that of the server. */
  readonly figure: 'rate' | 'cpu' | 'serverCpu'
  readonly title: string
  /** Rates are to be at least this, CPU at most this. Operations without one have no goal. */
  readonly wanted: Partial<ByLoad>
}

const all = (value: number, others: Partial<ByLoad> = {}): ByLoad => ({
  ...(Object.fromEntries(LOADS.map((name) => [name, value])) as unknown as ByLoad),
  ...others,
})

export const GOALS: readonly Goal[] = [
  { against: 'postgraphile', figure: 'rate', title: 'requests/s over PostGraphile', wanted: all(5) },
  {
    against: 'mercurius',
    figure: 'rate',
    title: 'requests/s over Mercurius',
    wanted: all(3, { Q3: 5, Q4: 2.5, Q6: 1.9 }),
  },
  { against: 'postgraphile', figure: 'cpu', title: "CPU, of PostGraphile's", wanted: all(0.25) },
  {
    against: 'mercurius',
    figure: 'cpu',
    title: "CPU, of Mercurius's",
    wanted: all(0.45, { Q4: 0.55, Q6: 0.55 }),
  },
  {
    against: 'limit',
    figure: 'rate',
    title: 'requests/s, of the better limit',
    wanted: all(0.85, { Q1: 0.75 }),
  },
  {
    against: 'ours-free',
    figure: 'rate',
    title: 'requests/s, of its own without limits and metering',
    wanted: { Q1: 0.85 },
  },
  { against: 'limit', figure: 'serverCpu', title: "server CPU, of the better limit's", wanted: { Q1: 1.5 } },
]
