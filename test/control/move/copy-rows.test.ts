/**
 * Rows on their way from home to home: everything that a table may hold, in each pair of isolation models, on one shard
 * and between two. What comes in is what was there; nobody else's rows are touched; a copy that would be short fails.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../../src/base/ids.ts'
import { contentHash } from '../../../src/control/copy/hash.ts'
import { copyRows } from '../../../src/control/move/copy-rows.ts'
import { emptyTarget } from '../../../src/control/move/empty-target.ts'
import { prepareCopy } from '../../../src/control/move/prepare-copy.ts'
import type { Fleet } from '../../../src/control/reach.ts'
import { type Client, withClient } from '../../../src/db/client.ts'
import { refusal } from '../../kit/life.ts'
import { dropSpot, homeAt, makeSpot, movingTo, type Spot, superuserUrlOf } from '../../kit/moving-homes.ts'
import { TYPED, TYPED_TENANCY, type TypedFleet, typedFleet } from '../../kit/typed-fleet.ts'

let typed: TypedFleet
let fleet: Fleet

const OTHER = tenantId('other')
type Home = Awaited<ReturnType<typeof homeAt>>

beforeAll(async () => {
  typed = await typedFleet({ weights: { 'shard-a': 1, 'shard-b': 1 } })
  fleet = typed.fleet
  const huge = `insert into app.shouts values ('${TYPED}', repeat('x', 3_000_000))`
  await on(await first(), (db) =>
    db.query(`set session_replication_role = replica; ${huge}; insert into app.shouts values ('other', 'of another');
      insert into shardgate.idempotency (tenant_id, key, request_hash, answer) values
        ('${TYPED}', 'k', 'h', E'tab\\t and line\\n'), ('other', 'k', 'h', null)`),
  )
  await on(await at({ shard: 'shard-b', isolation: 'shared' }), (db) =>
    db.query(`set session_replication_role = replica;
      insert into app.shouts values ('other', 'of another'); insert into app.days values ('other', '2020-02-02', 9);
      insert into shardgate.idempotency (tenant_id, key, request_hash) values ('other', 'k', 'h')`),
  )
})
afterAll(() => typed?.drop())

const at = (spot: Spot, epoch = 1): Promise<Home> => homeAt(fleet, TYPED, spot, epoch)
const first = (): Promise<Home> => at({ shard: 'shard-a', isolation: 'shared' })
const on = <T>(home: Home, work: (db: Client) => Promise<T>): Promise<T> =>
  withClient(superuserUrlOf(typed.test.shards, home), work)
const schemaOf = ({ isolation, namespace }: Home): string => (isolation === 'schema' ? namespace : 'app')

/** 'table rows hash' of the tables that hold rows. */
const contentsOf = (home: Home): Promise<string[]> =>
  on(home, async (db) => {
    const { tables } = await contentHash(db, { tenant: TYPED, home, tenancy: TYPED_TENANCY })
    return tables.filter(({ rows }) => rows > 0).map(({ table, rows, hash }) => `${table} ${rows} ${hash}`)
  })

const keysOf = (home: Home, tenant: string): Promise<unknown> =>
  on(home, (db) => db.query(`select * from shardgate.idempotency where tenant_id = '${tenant}'`))

/** All rows of somebody else in the shared tables. */
const othersOf = (home: Home): Promise<unknown> =>
  on(home, async (db) => {
    if (home.isolation !== 'shared') return keysOf(home, 'other')
    const { tables } = await contentHash(db, { tenant: OTHER, home, tenancy: TYPED_TENANCY })
    return [tables, await keysOf(home, 'other')]
  })

/** Every pair of models, by way of one shard and the other, and some on one shard. */
const WAY: readonly Spot[] = [
  { shard: 'shard-b', isolation: 'shared' },
  { shard: 'shard-b', isolation: 'schema' },
  { shard: 'shard-a', isolation: 'schema' },
  { shard: 'shard-a', isolation: 'database' },
  { shard: 'shard-b', isolation: 'database' },
  { shard: 'shard-b', isolation: 'shared' },
  { shard: 'shard-a', isolation: 'database' },
  { shard: 'shard-b', isolation: 'schema' },
  { shard: 'shard-b', isolation: 'shared' },
]

const isNotes = (line: string): boolean => line.startsWith('app.notes ')

/** What the target holds when all went right. */
async function wantedAt(from: Home, to: Home): Promise<string[]> {
  const own = (await contentsOf(from)).filter((line) => !isNotes(line))
  // Tables without the tenant column: those of the source, else what the migrations of the target have put there.
  const notes = (await contentsOf(from.isolation === 'shared' ? to : from)).filter(isNotes)
  return [...own, ...notes].toSorted()
}

/** Nothing of the tenant is left there. */
async function leave(from: Home, to: Home): Promise<void> {
  await on(from, (db) => db.query(`delete from shardgate.tenant_fence where tenant_id = '${TYPED}'`))
  await emptyTarget(movingTo(fleet, to, from))
  expect(await contentsOf(from)).toEqual([])
  await dropSpot(fleet, from)
}

async function moveRows(from: Home, to: Home): Promise<void> {
  const moving = movingTo(fleet, from, to)
  const [wanted, keys, others] = [await wantedAt(from, to), await keysOf(from, TYPED), await othersOf(to)]
  const { filled, ...copied } = await copyRows(moving)
  expect(await contentsOf(to)).toEqual(wanted)
  expect(filled.reduce((sum, { rows }) => sum + rows, 0)).toBe(copied.rows)

  const copy = await prepareCopy(moving)
  expect((await contentsOf(to)).filter((line) => !isNotes(line))).toEqual([])
  expect(await copy.run().finally(() => copy.end())).toEqual(copied)
  expect(await contentsOf(to)).toEqual(wanted)
  expect(copied.rows).toBeGreaterThan(30)
  expect(copied.bytes).toBeGreaterThan(3_000_000)
  expect(await keysOf(to, TYPED)).toEqual(keys)
  expect(keys).toHaveLength(1)
  expect(await othersOf(to)).toEqual(others)
}

describe('a tenant with every type of value', () => {
  // Each step begins where the one before has ended.
  let from: Home

  beforeAll(async () => {
    from = await first()
  })

  it.each(WAY.map((spot, i) => [`${i + 1}: on to ${spot.shard}, ${spot.isolation}`, spot, i] as const))(
    'is the same, copied live or in one go, and nobody else is touched (%s)',
    async (_, spot, i) => {
      const to = await at(spot, i + 2)
      await makeSpot(fleet, to)
      if (from.isolation !== 'shared' && to.isolation === 'shared') {
        expect((await refusal(copyRows(movingTo(fleet, from, to)))).message).toMatch(
          /There are rows of typed in app\.notes, and no such table for a tenant on shard-/,
        )
        await on(from, (db) => db.query(`truncate ${schemaOf(from)}.notes`))
      }
      await moveRows(from, to)
      await leave(from, to)
      from = to
    },
  )
})
