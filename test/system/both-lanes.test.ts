/**
 * One meaning: generated operations have the same answer from the compiled lane and from the resolvers.
 *
 * `COUNT=50000 npm run test:lanes` shares that number out among the worlds; `SEED` repeats a run.
 */

import { afterAll, describe, expect, it, vi } from 'vitest'
import extension from '../../examples/helpdesk/extension.ts'
import type { Extension } from '../../src/graphql/extension.ts'
import { openConfiguredApi, openWorldApi } from '../kit/api.ts'
import { askBothLanes, type LanesSetup } from '../kit/both-lanes.ts'
import { runRandom } from '../kit/random.ts'
import { startWorld } from '../kit/shard-fixture.ts'
import { helpdeskWorld, nastyWorld } from '../kit/worlds/fixture-worlds.ts'
import type { ForeignWorld } from '../kit/worlds/foreign-world.ts'
import { addOddRows } from '../kit/worlds/odd-tasks.ts'
import { fixtureIn, STYLES } from '../kit/worlds/style.ts'

vi.mock('../../src/graphql/compiled/step-back.ts', async () => {
  const { NotedStepBack } = await import('../kit/steps-back.ts')
  return { StepBack: NotedStepBack }
})

const COUNT = Number(process.env.COUNT ?? 5_000)

const closing: (() => unknown)[] = []
afterAll(async () => {
  for (const close of closing.toReversed()) await close()
})

type Lanes = Omit<LanesSetup, 'random'>

async function tasks(): Promise<Lanes> {
  const world = await startWorld({ tenants: 3, shards: 2, rows: 9 })
  closing.push(() => world.stop())
  await addOddRows(world)
  const api = await openWorldApi(world)
  closing.push(() => api.end())
  return { api, tenants: world.tenants }
}

async function helpdesk(): Promise<Lanes> {
  const world = await helpdeskWorld()
  closing.push(() => world.stop())
  await world.setUp()
  return foreign(world, [extension])
}

async function nasty(tenantType: 'uuid' | 'int'): Promise<Lanes> {
  const world = await nastyWorld(tenantType)
  closing.push(() => world.stop())
  await world.setUp()
  const mended = fixtureIn(STYLES[tenantType], 'nasty-clashes-mended')
  await Promise.all(world.shards.map(({ key }) => world.sql(key, mended)))
  await world.adopt()
  return foreign(world)
}

async function foreign(world: ForeignWorld, extensions: readonly Extension[] = []): Promise<Lanes> {
  const api = await openConfiguredApi(world, {}, extensions)
  closing.push(() => api.end())
  return { api, tenants: world.tenants }
}

const WORLDS: Record<string, () => Promise<Lanes>> = {
  tasks,
  'the help desk': helpdesk,
  'nasty tables by uuid': () => nasty('uuid'),
  'nasty tables by number': () => nasty('int'),
}

describe('queries', () => {
  it.each(Object.keys(WORLDS))(
    'both lanes answer alike: %s',
    async (name) => {
      const setup = await WORLDS[name]!()
      const random = runRandom().fork(`lanes ${name}`)
      const started = performance.now()
      const { differences, ...counts } = await askBothLanes(
        { ...setup, random },
        Math.ceil(COUNT / Object.keys(WORLDS).length),
      )
      const share = counts.taken / (counts.taken + counts.left)
      console.log(
        JSON.stringify(
          { world: name, seed: random.seed, share, ...counts, ms: performance.now() - started },
          null,
          1,
        ),
      )
      expect(differences.length, JSON.stringify(differences, null, 2)).toBe(0)
      expect(share).toBeGreaterThan(0.6)
    },
    60_000 + COUNT * 30,
  )
})
