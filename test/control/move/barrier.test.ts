/**
 * The barrier under fire: writers never stop, and the comparison of one moment never accuses them, and finds what was
 * planted each time (`COUNT=50` is the long form). A mark that is made without the tenant's lock would: shown here too, or this test would prove
 * nothing.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { rowDifferencesOf } from '../../../src/control/move/drill-down.ts'
import { emitMark, type Follower, follow } from '../../../src/control/move/follow.ts'
import { beginMoment, differencesOf } from '../../../src/control/move/hash-tree.ts'
import { fromSide, type Sides, toSide, treesOfSide, withSides } from '../../../src/control/move/sides.ts'
import { compareTouched } from '../../../src/control/move/touched.ts'
import { verifyLive, verifyUntilSmall } from '../../../src/control/move/verify.ts'
import { type Client, connect, sqlState } from '../../../src/db/client.ts'
import { type MovePair, movePair, TENANT } from '../../kit/move-pair.ts'
import { runRandom } from '../../kit/random.ts'

const ROUNDS = Number(process.env.COUNT ?? 8)

let pair: MovePair
let follower: Follower

beforeAll(async () => {
  pair = await movePair()
  await pair.source.query(`
    insert into shardgate.tenant_fence (tenant_id, state, epoch) values ('${TENANT}', 'active', 1);
    insert into things (tenant_id, id, title) select '${TENANT}', 1000 + i, 'still' from generate_series(1, 3000) i`)
  await pair.openWay()
})
afterAll(() => pair?.drop())
beforeEach(async () => {
  follower = await follow(pair.moving, 'forward')
})
afterEach(() => follower.end())

/** Begin a write as the gateway does: behind the fence. */
const BEGIN = `begin; select shardgate.begin_tenant('${TENANT}', 1, 'write', 20000)`

const asApp = (): Promise<Client> => connect(pair.test.shards[0]!.url('app'))

interface Fire {
  readonly writes: () => number
  end(): Promise<void>
}

function isDeadlock(error: unknown): false {
  if (sqlState(error) === '40P01') return false
  throw error
}

/** Writers that insert, change, renumber and delete, one transaction of some statements after the other. */
async function openFire(writers: number): Promise<Fire> {
  const random = runRandom().fork('fire')
  let writes = 0
  let isOver = false
  const write = async (client: Client, no: number): Promise<void> => {
    const own = random.fork(String(no))
    while (!isOver) {
      const statements = Array.from({ length: 1 + own.int(4) }, () => statement(own))
      const isKept = own.chance(0.9)
      // Writers that meet each other's rows in another order end in a deadlock, which is a write like any other.
      const done = await client
        .query([BEGIN, ...statements, isKept ? 'commit' : 'rollback'].join('; '))
        .then(() => isKept, isDeadlock)
      if (!done) await client.query('rollback')
      else writes++
    }
  }
  const clients = await Promise.all(Array.from({ length: writers }, asApp))
  const running = clients.map(write)
  return {
    writes: () => writes,
    async end() {
      isOver = true
      await Promise.all(running)
      await Promise.all(clients.map((client) => client.end()))
    },
  }
}

const of = (id: number): string => `where tenant_id = '${TENANT}' and id = ${id}`

/** Only rows below 1000 are written to. */
function statement(random: ReturnType<typeof runRandom>): string {
  const id = random.int(900)
  const value = random.int(1e6)
  return random.pick([
    `insert into app.things (tenant_id, id, title, ratio) values ('${TENANT}', ${id}, 'w${value}', ${value})
      on conflict (tenant_id, id) do update set ratio = app.things.ratio + 1`,
    `update app.things set title = 'u${value}', at = clock_timestamp() ${of(id)}`,
    `update app.things set body = repeat('b', ${value % 9000}) ${of(id)}`,
    `delete from app.things ${of(id)}`,
    `insert into app.notes (tenant_id, body, n) values ('${TENANT}', 'fire', ${value % 3})`,
    `delete from app.notes where ctid = (select ctid from app.notes where tenant_id = '${TENANT}' limit 1)`,
    `update app.settings set value = '${value}' where tenant_id = '${TENANT}'`,
  ])
}

/** What a comparison has to say; null: both sides hold the same. */
const found = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => {
      const differences = rowDifferencesOf(error)
      if (!differences) throw error
      return differences
    },
  )

/** The comparison without a barrier: the mark is made while others write. */
async function compareCarelessly(sides: Sides, mark: string, between = async () => {}): Promise<number> {
  const { source, target } = pair.moving
  const stopped = follower.stopAt(mark, () => beginMoment(sides.target, target))
  await emitMark(pair.source, pair.moving.record.id, mark)
  await between()
  await beginMoment(sides.source, source)
  await stopped
  const signal = new AbortController().signal
  const here = await treesOfSide(sides.source, source, sides.twins.map(fromSide), signal)
  const there = await treesOfSide(sides.target, target, sides.twins.map(toSide), signal)
  await sides.source.query('rollback')
  await sides.target.query('rollback')
  return differencesOf(here, there).length
}

describe('the barrier under fire', () => {
  it(
    `never accuses the writers in ${ROUNDS} comparisons, and finds what was planted each time`,
    async () => {
      const random = runRandom().fork('planted')
      const fire = await openFire(4)
      for (let round = 0; round < ROUNDS; round++) {
        expect(await found(verifyLive(pair.moving, follower)), `round ${round}`).toBeNull()
        const id = 1001 + random.int(3000)
        await pair.target.query(`update things set title = 'still ' ${of(id)}`)
        expect(await found(verifyLive(pair.moving, follower))).toMatchObject([
          {
            table: 'app.things',
            missing: 0,
            extra: 0,
            different: 1,
            columns: ['title'],
            keys: [`different (${id})`],
          },
        ])
        await pair.target.query(`update things set title = 'still' ${of(id)}`)
      }
      const writes = fire.writes()
      await fire.end()
      expect(writes).toBeGreaterThan(ROUNDS)
    },
    60_000 + ROUNDS * 2_000,
  )

  it('would accuse them if marks were made without the lock', async () => {
    const fire = await openFire(4)
    let alarms = 0
    await withSides(pair.moving, async (sides) => {
      for (let round = 0; round < 200 && alarms === 0; round++) {
        alarms += await compareCarelessly(sides, `careless-${round}`)
      }
    })
    await fire.end()
    expect(alarms).toBeGreaterThan(0)
  })
})

describe('a write that goes on', () => {
  it('is waited for by the barrier, and would be taken for a lost one without it', async () => {
    const writer = await asApp()
    await writer.query(BEGIN)
    await writer.query(`insert into app.things (tenant_id, id) values ('${TENANT}', 999)`)
    const compared = found(verifyLive(pair.moving, follower))
    await withSides(pair.moving, async (sides) => {
      const commit = async (): Promise<void> => {
        await writer.query('commit')
      }
      expect(await compareCarelessly(sides, 'while it goes on', commit)).toBe(1)
    })
    expect(await compared).toBeNull()
    await writer.end()
  })

  it('stops the comparison as soon as the move is to stop', async () => {
    const writer = await asApp()
    await writer.query(BEGIN)
    const stop = new AbortController()
    const compared = found(verifyLive({ ...pair.moving, signal: stop.signal }, follower))
    stop.abort(new Error('the move is to stop'))
    await expect(compared).rejects.toThrow('the move is to stop')
    await writer.query('commit')
    await writer.end()
  })
})

describe('what was touched since the barrier', () => {
  /** Hold all writes, as the freeze does, and compare. */
  async function compareFrozen(mark: string, plant = ''): Promise<unknown> {
    return withSides(pair.moving, (sides) =>
      pair.source.transaction(async () => {
        await pair.source.query(`select pg_advisory_xact_lock(shardgate.tenant_lock('${TENANT}'))`)
        const frozen = `frozen ${mark}`
        const other = await connect(pair.test.shards[0]!.superuserUrl)
        await emitMark(other, pair.moving.record.id, frozen)
        await other.end()
        await follower.reached(frozen)
        if (plant) await pair.target.query(plant)
        const touched = follower.touchedSince(mark)
        if (touched === 'too many') throw new Error('too many')
        return found(compareTouched(pair.moving, sides, touched))
      }),
    )
  }

  it('is all that differs, and equal once writes are held', async () => {
    const fire = await openFire(3)
    for (let round = 0; round < 5; round++) {
      const { mark, trees } = await verifyUntilSmall(pair.moving, follower, 2_000)
      expect(trees.find(({ table }) => table === 'app.things')?.rows).toBeGreaterThan(3_000)
      expect(await compareFrozen(mark)).toBeNull()
    }
    await fire.end()
  })

  it('is found when it was spoilt', async () => {
    const { mark } = await verifyLive(pair.moving, follower)
    const writer = await asApp()
    await writer.query(`${BEGIN}; update app.things set note = 'new' ${of(1500)}; commit`)
    await writer.end()
    const spoilt = `update things set note = 'new ' ${of(1500)}`
    expect(await compareFrozen(mark, spoilt)).toMatchObject([
      { table: 'app.things', different: 1, columns: ['note'] },
    ])
    await pair.target.query(`update things set note = 'new' ${of(1500)}`)
  })
})
