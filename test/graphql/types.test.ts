/**
 * Values of every type, out of Postgres and back in: what a client reads and writes again is the same value,
 * to the last digit, and nothing that Postgres can hold makes an error that says nothing.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isGatewayError } from '../../src/base/errors.ts'
import { openTableApi, type TableApi, TENANT } from '../kit/table-api.ts'
import { EDGE_VALUES } from '../kit/worlds/edge-values.ts'
import { TYPED_COLUMNS } from '../kit/worlds/type-tables.ts'

const columns = TYPED_COLUMNS.map(({ column, type }) => `${column} ${type}`)

let api: TableApi

beforeAll(async () => {
  api = await openTableApi(`
    create table things (tenant_id text not null default 'acme', id serial primary key, ${columns.join(', ')});
    do $$ declare t record; begin
      create table nothings (tenant_id text, id int primary key);
      for t in select typname, row_number() over (order by typname) as n from pg_type as p
        where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm') and not exists (select from pg_type e where e.oid = p.typelem and e.typtype in ('c', 'p'))
      loop execute format('alter table nothings add column c%s pg_catalog.%I', t.n, t.typname); end loop;
    end $$;
    insert into nothings values ('acme', 1)`)
})
afterAll(() => api?.end())

const fieldOf = (column: string): string => {
  const things = api.model.tables.find(({ id }) => id === 'app.things')!
  return things.columns.find(({ name }) => name === column)!.field
}

/** `{ lower upper … }` where the type has fields, nothing where it has none. */
function selection(column: string): string {
  const things = api.model.tables.find(({ id }) => id === 'app.things')!
  const { range } = things.columns.find(({ name }) => name === column)!.type
  return range ? '{ lower upper lowerInclusive upperInclusive isEmpty }' : ''
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

async function insert(column: string, value: string): Promise<number> {
  // As Postgres reads text, not as it reads a string with backslashes.
  const [row] = await api.db.query(
    `insert into app.things (${column}) values (${literal(value)}) returning id`,
  )
  return Number(row!.id)
}

describe('every type of Postgres', () => {
  it('can be a column that is null', async () => {
    const table = api.model.tables.find(({ id }) => id === 'app.nothings')!
    const fields = table.columns.map(({ field, type }) => (type.range ? `${field} { isEmpty }` : field))
    const { nothings } = await api.data(`{ nothings { nodes { ${fields.join(' ')} } } }`)

    expect(fields.length).toBeGreaterThan(150)
    expect(new Set(Object.values(nothings.nodes[0]))).toEqual(new Set([1, null]))
  })

  it('has a value that comes back as it went out', async () => {
    const wrong: string[] = []
    for (const { column, values } of TYPED_COLUMNS) {
      for (const value of values) wrong.push(...(await faultsOf(column, value)))
    }
    expect(wrong).toEqual([])
  })
})

/** Reads `value` through the API and writes what came into another row. */
async function faultsOf(column: string, value: string): Promise<string[]> {
  const field = fieldOf(column)
  const id = await insert(column, value)
  const told = `${column} ${value.slice(0, 60)}`
  try {
    const read = await api.run(
      `{ things(filter: { rowId: { eq: ${id} } }) { nodes { ${field} ${selection(column)} } } }`,
    )
    if (read.errors) return isUnreadable(value, read.errors) ? [] : [`${told}: ${read.errors[0]?.message}`]
    const came = JSON.parse(JSON.stringify(read.data.things.nodes[0][field]))
    if (came === null && value !== 'null') return [`${told}: read as null`]
    const { createThing } = await api.data(
      `mutation ($input: CreateThingInput!) { createThing(input: $input) { ... on Thing { rowId } ... on ConstraintError { message } } }`,
      { input: { [field]: came } },
    )
    const text = column === 'a_json' ? '::jsonb::text' : '::text'
    const [same] = await api.db.query(`select a.${column}${text} as a, b.${column}${text} as b
      from app.things a, app.things b where a.id = ${id} and b.id = ${createThing.rowId}`)
    return same!.a === same!.b || isKnownLoss(column, value) ? [] : [`${told}: ${same!.a} became ${same!.b}`]
  } catch (error) {
    const { message } = error as Error
    return value.includes('e400') && message.includes('too large to be held') ? [] : [`${told}: ${message}`]
  }
}

const isUnreadable = (value: string, errors: readonly unknown[]): boolean =>
  value.startsWith('{{') &&
  isGatewayError((errors[0] as { originalError?: unknown }).originalError, 'VALUE_UNREADABLE')

// JSON has one zero, and its numbers have 53 bits once a client has parsed them; null is SQL's on the way in.
const isKnownLoss = (column: string, value: string): boolean =>
  (/^a_(json|float)/.test(column) && /null|-0|\d{16}|2\.50|9007199254740993|twice| {/.test(value)) ||
  /^\[0:1\]=/.test(value)

describe('exact numbers in JSON', () => {
  it('leave with all their digits', async () => {
    const id = await insert(
      'a_jsonb',
      '{"big": 12345678901234567890.5, "small": 1e-400, "list": [9007199254740993, 1.5]}',
    )
    const { data } = await api.run(`{ things(filter: { rowId: { eq: ${id} } }) { nodes { aJsonb } } }`)

    expect(JSON.stringify(data.things.nodes[0].aJsonb)).toMatch(/"list":\[9007199254740993,1.5\]/)
    expect(JSON.stringify(data.things.nodes[0].aJsonb)).toContain('12345678901234567890.5')
  })

  it('written in the document arrive with all their digits', async () => {
    const { createThing } = await api.data(
      'mutation { createThing(input: { aJsonb: [12345678901234567890.5, 1.50] }) { ... on Thing { rowId } } }',
    )
    const [row] = await api.db.query(`select a_jsonb::text from app.things where id = ${createThing.rowId}`)
    expect(row).toEqual({ a_jsonb: '[12345678901234567890.5, 1.50]' })
  })

  it('null is null, also where the column may not be', () => {
    expect(String(api.schema.getType('Thing'))).toBe('Thing')
    expect(Object.keys(EDGE_VALUES)).toContain('jsonb')
  })
})

describe('of money', () => {
  it('is a number whatever the server calls its currency', async () => {
    const id = await insert('a_money', '1234567.89')
    const { things } = await api.data(
      `{ things(filter: { rowId: { eq: ${id} }, aMoney: { eq: "1234567.89" } }) { nodes { aMoney } } }`,
    )
    expect(things.nodes).toEqual([{ aMoney: '1234567.89' }])
    expect(TENANT).toBe('acme')
  })
})

describe('what is no value of its type', () => {
  it('is refused where a variable holds a number that the parser of the request made infinite', async () => {
    const query = 'query ($v: JSON!) { things(filter: { aJsonb: { contains: $v } }) { totalCount } }'
    const { errors } = await api.run(query, { v: JSON.parse('{"a": [1e400]}') })
    expect(errors?.[0]?.message).toMatch(/too large to be held/)
  })

  it.each([
    ['aUuid: { eq: "x" }', 'A UUID was wanted'],
    ['aDate: { eq: 3 }', 'A Date was wanted'],
    ['aJsonb: { contains: { a: 1e1234 } }', 'An exponent of a JSON number has three digits at most'],
  ])('is told with its place in the document: %s', async (filter, wanted) => {
    // A document that is not valid is thrown here; the gateway answers it with the same places.
    await expect(api.run(`{ things(filter: { ${filter} }) { totalCount } }`)).rejects.toMatchObject({
      message: expect.stringContaining(wanted),
      locations: [{ line: 1, column: expect.any(Number) }],
    })
  })
})
