/** What is planted on the target of a move is found, in the right table and columns; what is equal is never accused. */

import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { rowDifferencesOf } from '../../../src/control/move/drill-down.ts'
import { type Follower, follow } from '../../../src/control/move/follow.ts'
import { type Sides, withSides } from '../../../src/control/move/sides.ts'
import { compareTouched, type Touched } from '../../../src/control/move/touched.ts'
import { verifyFrozen, verifyLive } from '../../../src/control/move/verify.ts'
import { type MovePair, movePair, TENANT } from '../../kit/move-pair.ts'

interface Planted {
  /** Run on the target, as a superuser. */
  readonly sql: string
  readonly table: string
  readonly missing?: number
  readonly extra?: number
  readonly columns?: readonly string[]
  /** Keys of rows that were touched, in the order of the key's columns. */
  readonly keys: readonly (readonly string[])[]
}

const inThings = (set: string, columns: readonly string[], id = 5): Planted => ({
  sql: `update things set ${set} where id = ${id}`,
  table: 'app.things',
  columns,
  keys: [[String(id)]],
})

const PLANTED: Readonly<Record<string, Planted>> = {
  'a bit of a text': inThings(`title = 'titlf 5'`, ['title']),
  'a bit of bytes': inThings(`bytes = set_bit(bytes, 77, 1 - get_bit(bytes, 77))`, ['bytes']),
  'a bit of a long text, stored out of line': inThings(`body = overlay(body placing 'm' from 9000)`, [
    'body',
  ]),
  'two columns changed about': inThings('title = note, note = title', ['note', 'title']),
  'a value in the column beside it': inThings('note = null, note_b = note', ['note', 'note_b']),
  'a trailing space': inThings(`title = title || ' '`, ['title']),
  'null for an empty text': { ...inThings('note = null', ['note'], 10) },
  'an empty text for null': inThings(`note = ''`, ['note'], 6),
  'an hour of another time zone': inThings(`at = (at at time zone 'UTC') at time zone 'Europe/Berlin'`, [
    'at',
  ]),
  'a microsecond': inThings(`at = at + interval '1 microsecond'`, ['at']),
  'minus zero for zero': inThings(`ratio = '0'`, ['ratio'], 7),
  'null for NaN': inThings('ratio = null', ['ratio'], 8),
  'the next float': inThings('ratio = ratio + 1.2e-16', ['ratio'], 6),
  'another scale': inThings('amount = 0.6250', ['amount']),
  'a json text in another order': inThings(`raw = '{"b" : "two", "a" : 5}'`, ['raw']),
  'another label': inThings(`mood = 'glad'`, ['mood']),
  'another item of a list': inThings(`tags = array['x', '', '5']`, ['tags']),
  'values of two rows exchanged': {
    sql: `update things set title = 'title ' || (23 - id) where id in (11, 12)`,
    table: 'app.things',
    columns: ['title'],
    keys: [['11'], ['12']],
  },
  'a row of another key': {
    sql: 'update things set id = 1005 where id = 5',
    table: 'app.things',
    missing: 1,
    extra: 1,
    keys: [['5'], ['1005']],
  },
  'a missing row': {
    sql: 'delete from things where id = 40',
    table: 'app.things',
    missing: 1,
    keys: [['40']],
  },
  'an extra row': {
    sql: `insert into things (tenant_id, id) values ('${TENANT}', -1)`,
    table: 'app.things',
    extra: 1,
    keys: [['-1']],
  },
  'a column of a row with a key of two': {
    sql: `update lines set item = 'Item' where line = 7`,
    table: 'app.lines',
    columns: ['item'],
    keys: [['order 2', '7']],
  },
  'one of two equal rows': {
    sql: `delete from notes where ctid = (select min(ctid) from notes where n = 2)`,
    table: 'app.notes',
    missing: 1,
    keys: [['note', '2']],
  },
  'a row that has nothing but the tenant for a key': {
    sql: `update settings set value = 'Set'`,
    table: 'app.settings',
    columns: ['value'],
    keys: [[]],
  },
  'an answer by idempotency key': {
    sql: `update shardgate.idempotency set answer = null where key = 'k2' and tenant_id = '${TENANT}'`,
    table: 'shardgate.idempotency',
    columns: ['answer'],
    keys: [['k2']],
  },
}

let pair: MovePair
let follower: Follower
let dirty = false

const EVERY_KEY: Touched = new Map([
  ['app.things', Array.from({ length: 45 }, (_, i) => [String(i)])],
  ['app.lines', Array.from({ length: 30 }, (_, i) => [`order ${Math.floor((i + 1) / 3)}`, String(i + 1)])],
  ['app.notes', [['note', '1']]],
  ['app.settings', [[]]],
  ['shardgate.idempotency', [['k1'], ['k2'], ['k3'], ['k4']]],
])

/** Each way to compare, of which every one has to find everything. */
const WAYS: Readonly<Record<string, (sides: Sides, touched: Touched) => Promise<unknown>>> = {
  live: () => verifyLive(pair.moving, follower),
  frozen: (sides) => verifyFrozen(pair.moving, sides),
  touched: (sides, touched) => compareTouched(pair.moving, sides, touched),
}

beforeAll(async () => {
  pair = await movePair()
  await pair.openWay()
  follower = await follow(pair.moving, 'forward')
})
afterAll(async () => {
  await follower?.end()
  await pair?.drop()
})
beforeEach(async () => {
  if (dirty) await pair.refill()
  dirty = false
})

const plant = async (sql: string): Promise<void> => {
  dirty = true
  await pair.target.query(sql)
}

const found = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'equal',
    (error: unknown) => error,
  )

describe.each(Object.entries(WAYS))('compared %s', (_, compare) => {
  it('G22: equal rows are equal, in whatever order of columns, zone or plan they were written', async () => {
    await plant(`
      set timezone = 'Asia/Kolkata'; update things set at = at::text::timestamptz; reset timezone;
      update things set data = '{"b": "two", "a": 5}' where id = 5;
      update things set title = title`)
    await withSides(pair.moving, async (sides) => {
      expect(await found(compare(sides, EVERY_KEY))).not.toBeInstanceOf(Error)
    })
  })

  it.each(Object.entries(PLANTED))('G22: %s is found', async (_, { sql, table, keys, ...wanted }) => {
    await plant(sql)
    await withSides(pair.moving, async (sides) => {
      const error = await found(compare(sides, new Map([[table, keys]])))
      const { missing = 0, extra = 0, columns = [] } = wanted
      expect(rowDifferencesOf(error)).toMatchObject([
        { table, missing, extra, columns, different: columns.length > 0 ? expect.any(Number) : 0 },
      ])
    })
  })
})

describe('what is said of a difference', () => {
  it('names table, columns and counts; keys and values are neither in its text nor in what a log makes of it', async () => {
    await plant(
      `update lines set order_no = 'secret order', item = 'secret item' where line = 7; update things set title = 'secret title' where id = 5`,
    )
    await withSides(pair.moving, async (sides) => {
      const error = (await found(verifyFrozen(pair.moving, sides))) as Error & { details: object }
      expect(error.message).toBe(
        'The target does not hold what the source holds (with writes held): app.lines 1 missing, 1 extra; app.things 1 different in title.',
      )
      expect(error.details).toEqual({ tables: 'app.lines, app.things', missing: 1, extra: 1, different: 1 })
      const logged = [
        error.stack,
        JSON.stringify(error),
        inspect(error, { showHidden: true, getters: true, depth: 9 }),
      ].join()
      expect(logged).not.toMatch(/secret|order 2/)
      expect(rowDifferencesOf(error)?.[0]?.keys).toEqual([
        'missing ("order 2",7)',
        'extra ("secret order",7)',
      ])
    })
  })

  it('says "at least" where there is too much to look at each row', async () => {
    await plant(
      `insert into things (tenant_id, id) select '${TENANT}', i from generate_series(1000, 60000) i`,
    )
    await withSides(pair.moving, async (sides) => {
      const error = await found(verifyFrozen(pair.moving, sides))
      expect(String(error)).toMatch(/app.things at least \d+ extra/)
      expect(rowDifferencesOf(error)?.[0]).toMatchObject({ isWhole: false, missing: 0 })
    })
  })
})

describe('a comparison that cannot be made', () => {
  it('F16: is an error, not a comparison of the rows that policies let through', async () => {
    const { source } = pair.moving
    const shard = { ...source.shard, moverUrl: pair.test.shards[0]!.url('app') }
    const blind = { ...pair.moving, source: { ...source, shard } }
    const compared = withSides(blind, (sides) => verifyFrozen(blind, sides))
    await expect(compared).rejects.toThrow(/row-level security/)
  })

  it('is one of a table that the target has not, unless nobody has rows in it', async () => {
    await pair.source.query(
      `create table app.lonely (tenant_id text not null, n int); grant select on app.lonely to shardgate_mover`,
    )
    try {
      await withSides(pair.moving, (sides) => verifyFrozen(pair.moving, sides))
      await pair.source.query(`insert into app.lonely values ('${TENANT}', 1), ('${TENANT}', 2)`)
      const error = await found(withSides(pair.moving, (sides) => verifyFrozen(pair.moving, sides)))
      expect(rowDifferencesOf(error)).toMatchObject([{ table: 'app.lonely', missing: 2, extra: 0 }])
    } finally {
      await pair.source.query('drop table app.lonely')
    }
  })
})
