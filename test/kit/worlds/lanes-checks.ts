/** One meaning, for any served database: whatever the compiled lane answers, the resolvers answer alike. */

import { expect } from 'vitest'
import { changeInBothLanes, type EffectsSetup } from '../both-effects.ts'
import { askBothLanes, askEach } from '../both-lanes.ts'
import { sweepQueries } from '../lanes-sweep.ts'
import type { Tally } from '../lanes-tally.ts'
import { runRandom } from '../random.ts'

export type Lanes = Omit<EffectsSetup, 'random'>

/** Lists of the tables that have a column of each type. */
export const TYPED = ['everyValues', 'everyArrays', 'userTypes']

/** Random queries, byte for byte. */
export async function expectSameAnswers(lanes: Lanes, name: string, count: number): Promise<void> {
  const random = runRandom().fork(`${name} queries`)
  const tally = await askBothLanes({ ...lanes, random }, count)
  expectNoDifference(name, 'queries', tally, random.seed)
  expect(tally.asked).toBeGreaterThanOrEqual(count)
  // What is not taken is right all the same; a lane that takes nothing would be too.
  expect(tally.share).toBeGreaterThan(0.6)
}

/** Every column: alone and beside others, as a cursor, as a key, as a measure. @param lists  some lists only */
export async function expectSameColumns(
  lanes: Lanes,
  name: string,
  lists?: readonly string[],
): Promise<void> {
  const tally = await askEach(lanes, sweepQueries(lanes.api.schema, lists))
  expectNoDifference(name, 'columns', tally)
  expect(tally.reasons).toEqual({})
}

/** Random mutations: their answers, and the rows that they leave. Defaults of the world's columns are others then. */
export async function expectSameEffects(lanes: Lanes, name: string, count: number): Promise<void> {
  const random = runRandom().fork(`${name} mutations`)
  const tally = await changeInBothLanes({ ...lanes, random }, count)
  expectNoDifference(name, 'mutations', tally, random.seed)
  expect(tally.asked).toBeGreaterThanOrEqual(count)
  if (count >= 100) expect(tally.effective).toBeGreaterThan(count / 20)
}

function expectNoDifference(name: string, kind: string, tally: Tally, seed?: string): void {
  const { differences, examples, ...numbers } = tally
  console.log(JSON.stringify({ world: name, kind, seed, ...numbers, share: tally.share }))
  if (process.env.EXAMPLES) console.log(JSON.stringify(examples, null, 1))
  expect(differences.length, JSON.stringify(differences, null, 2)).toBe(0)
}
