/** Many rows travel as lists of texts; each value of each type must come out as it does when a row comes alone. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { openTableApi, type TableApi } from '../kit/table-api.ts'
import { TYPED_COLUMNS } from '../kit/worlds/type-tables.ts'

const columns = TYPED_COLUMNS.map(({ column, type }) => `${column} ${type}`)
let api: TableApi

beforeAll(async () => {
  api = await openTableApi(
    `create table things (tenant_id text not null default 'acme', id serial primary key, ${columns.join(', ')})`,
  )
})
afterAll(() => api?.end())

/** Of each type: the rest takes seconds and differs in what a single create is tested with. */
const VALUES_MAX = 2

const BOTH = `mutation ($input: CreateThingInput!) {
  alone: createThing(input: $input) { ... on Thing { rowId } }
  many: createThings(input: [$input, $input]) { ... on ThingChanges { nodes { rowId } } } }`

/** What a client reads of a value, to write it again; undefined for what no answer can hold. */
async function read(column: string, value: string): Promise<object | undefined> {
  const table = api.model.tables.find(({ id }) => id === 'app.things')!
  const { field, type } = table.columns.find(({ name }) => name === column)!
  const text = `'${value.replaceAll("'", "''")}'`
  const [row] = await api.db.query(`insert into app.things (${column}) values (${text}) returning id`)
  const selected = type.range ? `${field} { lower upper lowerInclusive upperInclusive isEmpty }` : field
  const { data, errors } = await api.run(
    `{ things(filter: { rowId: { eq: ${row!.id} } }) { nodes { ${selected} } } }`,
  )
  const came = errors ? undefined : JSON.parse(JSON.stringify(data.things.nodes[0]))
  // A client's parser makes 1e400 infinite, and it is refused then.
  return JSON.stringify(came, (_, item) => (item === Infinity ? 'infinite' : item))?.includes('"infinite"')
    ? undefined
    : came
}

async function faultsOf(column: string, value: string): Promise<string[]> {
  const input = await read(column, value)
  if (!input) return []
  const { data, errors } = await api.run(BOTH, { input })
  const told = `${column} ${value.slice(0, 60)}`
  if (errors) return [`${told}: ${errors[0]?.message}`]
  const ids = [data.alone.rowId, ...data.many.nodes.map(({ rowId }: { rowId: number }) => rowId)]
  const rows = await api.db.query(
    `select distinct ${column}::text as text from app.things where id in (${ids.join(', ')})`,
  )
  return rows.length === 1 ? [] : [`${told}: ${rows.map(({ text }) => text).join(' and ')}`]
}

it('every type comes out of a bulk as out of a single create', async () => {
  const faults: string[] = []
  for (const { column, values } of TYPED_COLUMNS) {
    for (const value of values.slice(0, VALUES_MAX)) faults.push(...(await faultsOf(column, value)))
  }
  expect(faults).toEqual([])
  const [written] = await api.db.query('select count(*) from app.things')
  expect(Number(written?.count)).toBeGreaterThan(TYPED_COLUMNS.length * 6)
})
