/** Aggregates of lists: each equals what plain SQL says, for the rows of one tenant and one list. */

import { type FieldNode, type OperationDefinitionNode, parse } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { selectedMeasures } from '../../src/graphql/aggregates/selection.ts'
import type { Measure } from '../../src/graphql/plan/aggregate-types.ts'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import type { RowsClient } from '../kit/places-of-rows.ts'
import { type Random, runRandom } from '../kit/random.ts'
import { addReadings, knownColumn, NUMBERS, RANKED, READINGS, type ReadingField } from '../kit/readings.ts'
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

/** A measure in the words of the API, of SQL, and how its text is read. */
interface Measured {
  readonly path: readonly string[]
  readonly sql: string
  readonly read: (text: string) => unknown
}

const float = (text: string): unknown => (Number.isFinite(Number(text)) ? Number(text) : text)
const same = (text: string): unknown => text
const isFloat = (field: ReadingField): boolean => field === 'ratio' || field === 'value'

const MEASURES: readonly Measured[] = [
  { path: ['count'], sql: 'count(*)', read: Number },
  ...(Object.keys(READINGS) as ReadingField[]).map((field) => ({
    path: ['distinctCount', field],
    sql: `count(distinct ${knownColumn(field).column})`,
    read: Number,
  })),
  ...NUMBERS.flatMap((field) =>
    ['sum', 'avg'].map((kind) => ({
      path: [kind, field],
      sql: `${kind}(${knownColumn(field).column})`,
      read: isFloat(field) ? float : same,
    })),
  ),
  ...RANKED.flatMap((field) =>
    ['min', 'max'].map((kind) => ({
      path: [kind, field],
      sql: `${kind}(${knownColumn(field).column})`,
      read: knownColumn(field).read ?? same,
    })),
  ),
]

const FILTERS: readonly (readonly [object, string])[] = [
  [{}, 'true'],
  [{ placeCode: { eq: 'code 1' } }, "place_code = 'code 1'"],
  [{ placeCode: { eq: 'no such code' } }, "place_code = 'no such code'"],
  [{ amount: { gt: '4' } }, 'amount > 4'],
  [{ price: { isNull: true } }, 'price is null'],
  [{ state: { in: ['TODO', 'DONE'] } }, "state in ('todo', 'done')"],
  [{ ratio: { isNull: false } }, 'ratio is not null'],
  [{ taken: { lt: '2026-03-01' } }, "taken < '2026-03-01'"],
]

function randomFilter(source: Random): readonly [object, string] {
  const [[left, a], [right, b]] = [source.pick(FILTERS), source.pick(FILTERS)]
  return source.pick([
    [left, a],
    [{ not: left }, `(${a}) is not true`],
    [{ or: [left, right] }, `(${a} or ${b})`],
    [{ and: [left, { not: right }] }, `(${a} and (${b}) is not true)`],
  ] as const)
}

/** What SQL says of the tenant's readings where `where` holds, in the shape of the API's answer. */
async function expected(measures: readonly Measured[], where: string, owner = tenant): Promise<Data> {
  const columns = measures.map(({ sql }, i) => `(${sql})::text as m${i}`).join(', ')
  const [row] = await superuser.query({
    text: `select ${columns} from app.readings where tenant_id = $1 and (${where})`,
    values: [owner.id],
  })
  return shaped(measures, (i) => row?.[`m${i}`] ?? null)
}

function shaped(measures: readonly Measured[], text: (i: number) => string | null): Data {
  const answer: Data = {}
  for (const [i, { path, read }] of measures.entries()) {
    const found = text(i)
    const value = found === null ? null : read(found)
    const [kind, field] = path as [string, string | undefined]
    if (field) answer[kind] = { ...answer[kind], [field]: value }
    else answer[kind] = value
  }
  return answer
}

function selection(measures: readonly Measured[]): string {
  const kinds = [...new Set(measures.map(({ path }) => path[0]!))]
  const fields = (kind: string) => measures.flatMap(({ path }) => (path[0] === kind ? (path[1] ?? []) : []))
  return kinds.map((kind) => (kind === 'count' ? kind : `${kind} { ${fields(kind).join(' ')} }`)).join(' ')
}

const someMeasures = (): readonly Measured[] =>
  random.shuffle([...MEASURES]).slice(0, 1 + random.int(MEASURES.length))

/** How many statements `work` sends. */
async function statementsOf(work: () => Promise<unknown>): Promise<number> {
  const done = () => api.gate.events.filter(({ kind }) => kind === 'statement.done').length
  const before = done()
  await work()
  return done() - before
}

describe('the aggregates of a list', () => {
  it('are what SQL says: all of them', async () => {
    const { readings } = await api.data(tenant, `{ readings { aggregates { ${selection(MEASURES)} } } }`)
    expect(readings.aggregates).toEqual(await expected(MEASURES, 'true'))
  })

  it('are what SQL says: any of them, for any filter, whatever the page', async () => {
    for (let round = 0; round < 30; round++) {
      const [filter, where] = randomFilter(random)
      const measures = someMeasures()
      const { readings } = await api.data(
        tenant,
        `query ($filter: ReadingFilter) { readings(filter: $filter, first: ${random.int(3)}, orderBy: [{ amount: DESC }]) {
          aggregates { ${selection(measures)} } nodes { rowId } } }`,
        { filter },
      )
      expect(readings.aggregates, where).toEqual(await expected(measures, where))
    }
  })

  it('of nothing are 0 and null', async () => {
    const { readings } = await api.data(
      tenant,
      `{ readings(filter: { rowId: { lt: 0 } }) { aggregates {
        count distinctCount { state } sum { amount price value span } avg { level } min { day state } max { price } } } }`,
    )
    expect(readings.aggregates).toEqual({
      count: 0,
      distinctCount: { state: 0 },
      sum: { amount: null, price: null, value: null, span: null },
      avg: { level: null },
      min: { day: null, state: null },
      max: { price: null },
    })
  })

  it('are not those of another tenant with the same keys', async () => {
    const other = world.tenants[1]!
    const source =
      '{ readings { aggregates { sum { amount price } max { taken } distinctCount { price } } } }'
    const wanted = MEASURES.filter(({ path }) =>
      ['sum amount', 'sum price', 'max taken', 'distinctCount price'].includes(path.join(' ')),
    )
    for (const owner of [tenant, other]) {
      expect((await api.data(owner, source)).readings.aggregates).toEqual(
        await expected(wanted, 'true', owner),
      )
    }
  })

  it('give what is not finite as columns do, and never fail their field', async () => {
    const { readings } = await api.data(
      tenant,
      '{ readings { aggregates { sum { ratio } avg { ratio } max { ratio } } } }',
    )
    expect(readings.aggregates).toEqual({
      sum: { ratio: 'NaN' },
      avg: { ratio: 'NaN' },
      max: { ratio: 'NaN' },
    })
  })
})

describe('the aggregates of a relation', () => {
  it('are what SQL says for each parent, and nothing for a parent without a key', async () => {
    for (let round = 0; round < 12; round++) {
      const [filter, where] = randomFilter(random)
      const measures = someMeasures()
      const { places } = await api.data(
        tenant,
        `query ($filter: ReadingFilter) { places { nodes { code readings(filter: $filter, first: 1) {
          aggregates { ${selection(measures)} } } } } }`,
        { filter },
      )
      expect(places.nodes).toHaveLength(6)
      for (const { code, readings } of places.nodes) {
        const own = code === null ? 'false' : `place_code = '${code}'`
        expect(readings.aggregates, `${code}: ${where}`).toEqual(
          await expected(measures, `${own} and ${where}`),
        )
      }
    }
  })

  it('are one statement for all parents and all measures', async () => {
    const count = await statementsOf(() =>
      api.data(
        tenant,
        `{ places { nodes { readings { aggregates { count sum { amount } ...More } } } } }
         fragment More on ReadingAggregates { least: min { day } max { day } distinctCount { state } }`,
      ),
    )
    expect(count).toBe(2) // places, the aggregates; their rows are not asked for
  })
})

describe('a selection of aggregates', () => {
  const one = async (source: string, variables = {}): Promise<Data> =>
    (await api.data(tenant, source, variables)).readings

  it('is seen through aliases, fragments and directives', async () => {
    const found = await one(
      `query ($no: Boolean = false, $yes: Boolean!) { readings { a: aggregates { n: count ...F s: sum { x: amount y: price @include(if: $no) } }
         b: aggregates { ... @skip(if: $yes) { count } ... on ReadingAggregates { max { ...G } } } aggregates { __typename } } }
       fragment F on ReadingAggregates { s: sum { amount } count @skip(if: $no) }
       fragment G on ReadingExtremes { amount }`,
      { yes: true },
    )
    const { sum, count, max } = await expected(MEASURES, 'true')
    expect(found).toEqual({
      a: { n: count, count, s: { x: sum.amount, amount: sum.amount } },
      b: { max: { amount: max.amount } },
      aggregates: { __typename: 'ReadingAggregates' },
    })
  })

  it('is a place of its own where one fragment stands in two, and one of them asks for more', async () => {
    const { a, b } = await api.data(
      tenant,
      `{ a: places(filter: { code: { eq: "code 1" } }) { nodes { ...P } }
         b: places(filter: { code: { eq: "code 1" } }) { nodes { ...P readings { aggregates { sum { rowId } } } } } }
       fragment P on Place { readings { aggregates { count } } }`,
    )
    const { count, sum } = await expected(MEASURES, "place_code = 'code 1'")
    expect(a.nodes[0].readings.aggregates).toEqual({ count })
    expect(b.nodes[0].readings.aggregates).toEqual({ count, sum: { rowId: sum.rowId } })
  })

  it('asks the shard for nothing that it does not select, and nothing twice', async () => {
    const texts = async (list: string): Promise<string[]> => {
      const { ran } = await api.record(() => api.data(tenant, `{ places { nodes { ${list} } } }`))
      return ran.map(({ text }) => text)
    }
    const [, only] = await texts(
      'readings { aggregates { count sum @include(if: false) { price } ... @skip(if: true) { max { price } } } }',
    )
    expect(only).toContain('count(*)')
    expect(only).not.toMatch(/sum|max/)
    expect(await texts('readings { aggregates { __typename } }')).toHaveLength(1)
    const pages = 'a: readings(first: 1) { totalCount } b: readings(last: 2) { aggregates { count } }'
    expect(await texts(pages)).toHaveLength(2)
  })

  it('may name every measure of a wide table, and no more than a statement should hold', async () => {
    expect(MEASURES.length).toBeLessThan(100)
    const info = parse(`{ readings { aggregates { ${selection(MEASURES)} } } }`)
    const [operation] = info.definitions as [OperationDefinitionNode]
    const [list] = operation.selectionSet.selections as [FieldNode]
    const asked = {
      fieldNodes: list.selectionSet?.selections as FieldNode[],
      fragments: {},
      operation,
      variableValues: {},
    }
    const table = api.model.tables.find(({ typeName }) => typeName === 'Reading')!
    const more = (count: number) =>
      Array.from({ length: count }, (_, i): Measure => ({ kind: 'sum', column: `column ${i}` }))
    expect(selectedMeasures(table, asked, more(100 - MEASURES.length))).toHaveLength(100)
    expect(() => selectedMeasures(table, asked, more(101 - MEASURES.length))).toThrow(
      /More than 100 aggregates/,
    )
  })
})
