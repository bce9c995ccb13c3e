/**
 * In which isolation model the tests of the API have their tenants: ISOLATION=shared|schema|database|mixed, where
 * mixed has all three on each shard. `npm run test:models` runs them in each.
 */

import type { Isolation } from '../../src/directory/types.ts'

const MODELS: Readonly<Record<string, readonly Isolation[]>> = {
  shared: ['shared'],
  schema: ['schema'],
  database: ['database'],
  mixed: ['schema', 'database', 'shared'],
}

/** The model of the i-th tenant of a shard. */
export const isolationOf = (i: number): Isolation => {
  const isolations = isolationsOfRun()
  return isolations[i % isolations.length]!
}

/** Whether tenants of this run have tables of this kind, for tests of what only some have. */
export const runsWith = (isolation: Isolation): boolean => isolationsOfRun().includes(isolation)

/** The models of the tenants of a shard, in turn. */
export function isolationsOfRun(): readonly Isolation[] {
  const wanted = process.env.ISOLATION ?? 'shared'
  const isolations = MODELS[wanted]
  if (!isolations) throw new Error(`ISOLATION=${wanted}: wanted one of ${Object.keys(MODELS).join(', ')}`)
  return isolations
}
