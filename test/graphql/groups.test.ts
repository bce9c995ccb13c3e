/** Groups of lists: keys, measures, order and bounds as plain SQL has them. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import type { RowsClient } from '../kit/places-of-rows.ts'
import { runRandom } from '../kit/random.ts'
import { addReadings, knownColumn, READINGS, type ReadingField } from '../kit/readings.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let superuser: RowsClient
let tenant: WorldTenant
const random = runRandom()

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, rows: 3 })
  tenant = world.tenants[0]!
  superuser = await addReadings(world, world.tenants, random.fork('rows'))
  api = await openWorldApi(world)
})
afterAll(async () => {
  api?.end()
  await superuser?.end()
  await world?.stop()
})

const ZONES = ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu'] as const

/** What is grouped by, in the words of the API and as SQL that says the same another way. */
interface Key {
  readonly field: ReadingField
  readonly part: string
  readonly sql: string
}

function randomKey(field: ReadingField, zone: string): Key {
  const { column, time } = knownColumn(field)
  const parts = ['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY', ...(time === 'date' ? [] : ['HOUR', 'MINUTE'])]
  const part = time ? random.pick(['VALUE', ...parts]) : 'VALUE'
  if (part === 'VALUE') return { field, part, sql: column }
  const unit = part.toLowerCase()
  if (time === 'date') return { field, part, sql: `date_trunc('${unit}', ${column}::timestamp)::date` }
  if (time === 'timestamp') return { field, part, sql: `date_trunc('${unit}', ${column})` }
  const local = `date_trunc('${unit}', ${column} at time zone '${zone}')`
  return { field, part, sql: `${local} at time zone '${zone}'` }
}

const MEASURES = [
  ['count', '', 'count(*)'],
  ['distinctCount', 'amount', 'count(distinct amount)'],
  ['sum', 'price', 'sum(price)'],
  ['sum', 'level', 'sum(level)'],
  ['avg', 'amount', 'avg(amount)'],
  ['min', 'taken', 'min(taken)'],
  ['max', 'placeCode', 'max(place_code)'],
] as const

const HAVING: readonly (readonly [object | null, string])[] = [
  [null, 'true'],
  [{ count: { gt: 3 } }, 'count(*) > 3'],
  [{ sum: { price: { gte: '1' } } }, 'sum(price) >= 1'],
  [{ sum: { level: { lt: '2' } }, count: { in: [1, 2, 3] } }, 'sum(level) < 2 and count(*) in (1, 2, 3)'],
  [
    { or: [{ max: { taken: { isNull: true } } }, { min: { placeCode: { like: '%1' } } }] },
    "max(taken) is null or min(place_code) like '%1'",
  ],
  [{ not: { avg: { amount: { gt: '0' } } } }, '(avg(amount) > 0) is not true'],
  [
    { distinctCount: { amount: { eq: 1 } }, min: { state: { eq: 'TODO' } } },
    "count(distinct amount) = 1 and min(state) = 'todo'",
  ],
]

const DIRECTIONS = [
  ['ASC', 'asc'],
  ['DESC', 'desc'],
  ['DESC_NULLS_LAST', 'desc nulls last'],
  ['ASC_NULLS_FIRST', 'asc nulls first'],
] as const

/** Lists and JSON may be grouped; nobody would order by them. */
const ordered = ({ field }: Key): boolean => field !== 'tags' && field !== 'data'

function randomOrder(keys: readonly Key[]): { orderBy: object[]; sql: string[] } {
  const terms = Array.from({ length: random.int(3) }, () => {
    const [direction, sql] = random.pick(DIRECTIONS)
    const [kind, field, measure] = random.pick(MEASURES)
    const key = random.pick(keys)
    if (ordered(key) && random.chance(0.4))
      return { term: { key: { [key.field]: direction } }, sql: `${key.sql} ${sql}` }
    return { term: { [kind]: field ? { [field]: direction } : direction }, sql: `${measure} ${sql}` }
  })
  return {
    orderBy: terms.map(({ term }) => term),
    sql: [...terms.map(({ sql }) => sql), ...keys.map(({ sql }) => sql)],
  }
}

const GROUPS = `groups(by: $by, having: $having, orderBy: $orderBy, first: $first, offset: $offset, timeZone: $timeZone)`
const VARIABLES = `$by: [ReadingGroupBy!]!, $having: ReadingHaving, $orderBy: [ReadingGroupsOrderBy!], $first: Int, $offset: Int, $timeZone: String`
const SELECTED =
  'count distinctCount { amount } sum { price level } avg { amount } min { taken } max { placeCode }'

/** A random request for groups, and the SQL of its answer. */
function randomGroups() {
  const timeZone = random.pick(ZONES)
  const fields = random.shuffle(Object.keys(READINGS) as ReadingField[]).slice(0, 1 + random.int(3))
  const keys = fields.map((field) => randomKey(field, timeZone))
  const [having, havingSql] = random.pick(HAVING)
  const { orderBy, sql: order } = randomOrder(keys)
  const [first, offset] = [1 + random.int(40), random.pick([0, 0, 3])]
  const columns = [...keys.map(({ sql }) => sql), ...MEASURES.map(([, , sql]) => sql)]
  return {
    keys,
    variables: {
      by: keys.map(({ field, part }) => ({ [field]: part })),
      having,
      orderBy,
      first,
      offset,
      timeZone,
    },
    sql: (where: string) => `select ${columns.map((sql, i) => `(${sql})::text as c${i}`).join(', ')}
      from app.readings where tenant_id = $1 and (${where}) group by ${keys.map(({ sql }) => sql).join(', ')}
      having ${havingSql} order by ${order.join(', ')} limit ${first} offset ${offset}`,
  }
}

type Asked = ReturnType<typeof randomGroups>

async function expected({ keys, sql }: Asked, where = 'true'): Promise<Data> {
  const rows = await superuser.query({ text: sql(where), values: [tenant.id] })
  return rows.map((row) => {
    const key = keys.map(({ field }, i) => [field, read(row[`c${i}`] ?? null, knownColumn(field).read)])
    const value = (i: number, as?: (text: string) => unknown) => read(row[`c${keys.length + i}`] ?? null, as)
    return {
      key: Object.fromEntries(key),
      count: value(0, Number),
      distinctCount: { amount: value(1, Number) },
      sum: { price: value(2), level: value(3) },
      avg: { amount: value(4) },
      min: { taken: value(5) },
      max: { placeCode: value(6) },
    }
  })
}

const read = (text: string | null, as: (text: string) => unknown = (same) => same): unknown =>
  text === null ? null : as(text)

const selectedKeys = (keys: readonly Key[]): string => `key { ${keys.map(({ field }) => field).join(' ')} }`

const group = async (variables: object, selection: string): Promise<Data> =>
  (await api.data(tenant, `query (${VARIABLES}) { readings { ${GROUPS} { ${selection} } } }`, variables))
    .readings.groups

describe('the groups of a list', () => {
  it('are what SQL says, for any keys, parts of time, zones, conditions and orders', async () => {
    for (let round = 0; round < 60; round++) {
      const asked = randomGroups()
      const found = await group(asked.variables, `${selectedKeys(asked.keys)} ${SELECTED}`)
      expect(found, JSON.stringify(asked.variables)).toEqual(await expected(asked))
    }
  })

  it('are what SQL says for each parent of a relation, in one statement, in their order', async () => {
    for (let round = 0; round < 15; round++) {
      const asked = randomGroups()
      const done = () => api.gate.events.filter(({ kind }) => kind === 'statement.done').length
      const before = done()
      const { places } = await api.data(
        tenant,
        `query (${VARIABLES}) { places { nodes { code readings(filter: { level: { gte: 0 } }) {
          ${GROUPS} { ${selectedKeys(asked.keys)} ${SELECTED} } } } } }`,
        asked.variables,
      )
      expect(done() - before).toBe(2)
      for (const { code, readings } of places.nodes) {
        const where = code === null ? 'false' : `place_code = '${code}' and level >= 0`
        expect(readings.groups, `${code}: ${JSON.stringify(asked.variables)}`).toEqual(
          await expected(asked, where),
        )
      }
    }
  })

  it('come ordered by their keys, nulls last, and keep their order from page to page', async () => {
    const by = [{ state: 'VALUE' }, { done: 'VALUE' }]
    const all = await group({ by }, 'key { state done level }')
    const pages = await Promise.all(
      [0, 5, 10].map((offset) => group({ by, first: 5, offset }, 'key { state done level }')),
    )
    expect(pages.flat()).toEqual(all)
    expect(all.map(({ key }: Data) => key.state)).toEqual(
      ['TODO', 'DOING', 'DONE', null].flatMap((state) =>
        all.filter(({ key }: Data) => key.state === state).map(() => state),
      ),
    )
    expect(new Set(all.map(({ key }: Data) => key.level))).toEqual(new Set([null])) // not grouped by
  })

  it('put the days of a zone where its clocks do, across the change to summer time', async () => {
    await superuser.query({
      text: `insert into app.readings (tenant_id, id, place_code, taken)
        select $1, 900 + n, 'code 4', t from unnest(array['2026-03-28 22:59:59.999999+00', '2026-03-28 23:00:00+00',
          '2026-03-29 21:59:59+00', '2026-03-29 22:00:00+00', null]::timestamptz[]) with ordinality as u(t, n)`,
      values: [tenant.id],
    })
    const source = `{ readings(filter: { placeCode: { eq: "code 4" } }) {
      groups(by: [{ taken: DAY }], timeZone: "Europe/Berlin") { key { taken } count } } }`
    expect((await api.data(tenant, source)).readings.groups).toEqual([
      { key: { taken: '2026-03-27 23:00:00+00' }, count: 1 },
      { key: { taken: '2026-03-28 23:00:00+00' }, count: 2 },
      { key: { taken: '2026-03-29 22:00:00+00' }, count: 1 },
      { key: { taken: null }, count: 1 },
    ])
    await superuser.query({
      text: `delete from app.readings where id > 900 and tenant_id = $1`,
      values: [tenant.id],
    })
  })

  it('are none where there are no rows, and none on a page of none', async () => {
    const { readings } = await api.data(
      tenant,
      '{ readings(filter: { rowId: { lt: 0 } }) { groups(by: [{ state: VALUE }]) { count } } }',
    )
    expect(readings.groups).toEqual([])
    expect(await group({ by: [{ state: 'VALUE' }], first: 0 }, 'count')).toEqual([])
  })
})

describe('a request for groups is refused in one sentence', () => {
  const by = [{ state: 'VALUE' }]
  const nine = (Object.keys(READINGS) as ReadingField[]).slice(0, 9).map((field) => ({ [field]: 'VALUE' }))

  it.each([
    [{ by: [] }, 'BAD_USER_INPUT', '"by" is empty'],
    [{ by: [{ taken: 'YEAR' }, { taken: 'DAY' }] }, 'BAD_USER_INPUT', '"by" names "taken" twice'],
    [{ by: nine }, 'QUERY_TOO_COMPLEX', '"by" takes 8 columns at most; 9 came.'],
    [{ by, first: 101 }, 'BAD_USER_INPUT', '"first" wants a number from 0 to 100; 101 came.'],
    [{ by, offset: -1 }, 'BAD_USER_INPUT', '"offset" wants a number'],
    [{ by, orderBy: [{ key: { level: 'ASC' } }] }, 'BAD_USER_INPUT', 'the key "level", which is not in "by"'],
    [{ by, having: { sum: { price: { gt: null } } } }, 'BAD_USER_INPUT', '"gt" of "price" is null'],
    [{ by, having: { sum: { price: null } } }, 'BAD_USER_INPUT', '"price" is null'],
    [{ by, having: { sum: null } }, 'BAD_USER_INPUT', '"sum"'],
    [{ by, having: { count: null } }, 'BAD_USER_INPUT', '"count"'],
    [{ by, having: { and: Array.from({ length: 201 }, () => ({})) } }, 'QUERY_TOO_COMPLEX', '200 conditions'],
    [
      { by, orderBy: Array.from({ length: 51 }, () => ({ count: 'ASC' })) },
      'QUERY_TOO_COMPLEX',
      '"orderBy" takes 50',
    ],
  ])('%j', async (variables, code, message) => {
    const source = `query (${VARIABLES}) { readings { ${GROUPS} { count } } }`
    const { data, errors } = await api.run(tenant, source, variables)
    expect(data).toBe(null)
    expect(errors).toHaveLength(1)
    expect(errors?.[0]?.originalError).toMatchObject({ code, message: expect.stringContaining(message) })
  })

  it.each([
    'Middle/Earth',
    'CET',
    '+02:00',
    '',
    "UTC'; drop table app.readings; --",
    'x'.repeat(5_000),
    'Etc/Unknown',
    'Factory',
  ])('the time zone %j', async (timeZone) => {
    const { errors } = await api.run(
      tenant,
      `query ($z: String) { readings { groups(by: [{ taken: DAY }], timeZone: $z) { count } } }`,
      {
        z: timeZone,
      },
    )
    expect(errors).toHaveLength(1)
    expect(errors?.[0]?.originalError).toMatchObject({ code: 'BAD_USER_INPUT' })
  })

  it('for more rows than an answer may hold, counted with all others', async () => {
    const small = await openWorldApi(world, [], { rows: 30 })
    try {
      const source = (first: number) => `{ readings(first: 10) { nodes { rowId }
        a: groups(by: [{ rowId: VALUE }], first: ${first}) { count } b: groups(by: [{ rowId: VALUE }], first: 10) { count } } }`
      expect((await small.run(tenant, source(10))).errors).toBeUndefined()
      const { errors } = await small.run(tenant, source(11))
      expect(errors?.[0]?.originalError).toMatchObject({ code: 'QUERY_TOO_COMPLEX' })
    } finally {
      small.end()
    }
  })
})
