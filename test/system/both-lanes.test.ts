/**
 * One meaning: generated operations have the same answer and the same effect in the compiled lane and in the
 * resolvers.
 *
 * `COUNT=50000 npm run test:lanes` asks so many queries, in databases that are hard to serve as well; a `SEED` repeats
 * a run, and `EXAMPLES=1` shows a document for each reason for which the compiled lane leaves one to the resolvers.
 */

import { afterAll, beforeAll, describe, it, vi } from 'vitest'
import extension from '../../examples/helpdesk/extension.ts'
import { openConfiguredApi, openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld } from '../kit/shard-fixture.ts'
import { helpdeskWorld, nastyWorld } from '../kit/worlds/fixture-worlds.ts'
import {
  expectSameAnswers,
  expectSameColumns,
  expectSameEffects,
  type Lanes,
} from '../kit/worlds/lanes-checks.ts'
import { addOddRows } from '../kit/worlds/odd-tasks.ts'
import { fixtureIn, STYLES } from '../kit/worlds/style.ts'

// The lane tells nobody why it steps back: this notes it.
vi.mock('../../src/graphql/compiled/step-back.ts', async () => {
  const { NotedStepBack } = await import('../kit/steps-back.ts')
  return { StepBack: NotedStepBack }
})

type Stoppable = Lanes & { stop(): Promise<void> }

async function tasks(): Promise<Stoppable> {
  const world = await startWorld({ tenants: 3, shards: 2, rows: 9 })
  await addOddRows(world)
  return { ...world, ...served(await openWorldApi(world), world) }
}

async function helpdesk(): Promise<Stoppable> {
  const world = await helpdeskWorld()
  await world.setUp()
  return { ...world, ...served(await openConfiguredApi(world, {}, [extension]), world) }
}

async function nasty(tenantType: 'uuid' | 'int'): Promise<Stoppable> {
  const world = await nastyWorld(tenantType)
  await world.setUp()
  const mended = fixtureIn(STYLES[tenantType], 'nasty-clashes-mended')
  await Promise.all(world.shards.map(({ key }) => world.sql(key, mended)))
  await world.adopt()
  return { ...world, ...served(await openConfiguredApi(world), world) }
}

function served(api: WorldApi, world: { stop(): Promise<void> }): Pick<Stoppable, 'api' | 'stop'> {
  return {
    api,
    stop() {
      api.end()
      return world.stop()
    },
  }
}

type Named = readonly [name: string, make: () => Promise<Stoppable>]

const SMALL: readonly Named[] = [
  ['tasks', tasks],
  ['the help desk', helpdesk],
]
/** A short run asks them in any-tables.test.ts, which has them ready. */
const LARGE: readonly Named[] = [
  ['nasty tables by uuid', () => nasty('uuid')],
  ['nasty tables by number', () => nasty('int')],
]
const WORLDS = process.env.COUNT ? [...SMALL, ...LARGE] : SMALL

const EACH = Math.ceil(Number(process.env.COUNT ?? 3_200) / WORLDS.length)
/** For each mutation: it takes as long as ten queries, because rows are read and brought back. */
const QUERIES = 10
const TIMEOUT = 60_000 + EACH * 100

describe.each(WORLDS)('both lanes: %s', (name, make) => {
  let lanes: Stoppable
  beforeAll(async () => {
    lanes = await make()
  })
  afterAll(() => lanes?.stop())

  it('queries have one answer, byte for byte', () => expectSameAnswers(lanes, name, EACH), TIMEOUT)

  it(
    'every column reads the same, alone and beside others, as a cursor, a key and a measure',
    () => expectSameColumns(lanes, name),
    TIMEOUT + 600_000,
  )

  it(
    'mutations have one answer and one effect',
    () => expectSameEffects(lanes, name, Math.ceil(EACH / QUERIES)),
    TIMEOUT,
  )
})
