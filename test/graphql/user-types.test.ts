/**
 * Types that users make, keys of odd types, and what the schema says of it: row types in row types, ranges of their
 * own, arrays of other shapes than declared, deprecations, hidden columns.
 */

import { GraphQLInputObjectType, GraphQLObjectType, printType } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isGatewayError } from '../../src/base/errors.ts'
import { buildSchema } from '../../src/graphql/schema.ts'
import { introspect } from '../../src/model/introspect.ts'
import { openTableApi, type TableApi } from '../kit/table-api.ts'

const TABLES = `
  create schema other;
  create type other.weekday as enum ('mon', 'tue', 'it''s "late"');
  create type weekdays as range (subtype = other.weekday);
  create domain short as varchar(10);
  create type place as (street short, "Zip Code" text, at point, cost money);
  create type contact as (name text, home place, others place[], day other.weekday, open daterange, "it's" jsonb, seen timestamptz);
  create domain matrix as int[][];
  create type nothing as ();
  create table people (tenant_id text not null default 'acme', id serial primary key,
    person contact, people contact[], place place not null default row('x', null, null, null), during weekdays, several weekdays[],
    spans int4multirange[] , m matrix, deep int[][], list int[], doc jsonb not null default '{}', price money, x float8, e nothing, whole place[]);`

let api: TableApi

beforeAll(async () => {
  api = await openTableApi(`${TABLES}
    create table by_array (tenant_id text, id text[], note text, primary key (tenant_id, id));
    create table by_range (tenant_id text, id int4range, primary key (tenant_id, id));
    create table by_money (tenant_id text, id money, weight money, primary key (tenant_id, id));
    create table by_json (tenant_id text, id jsonb, primary key (tenant_id, id));
    create table by_float (tenant_id text, id float8, primary key (tenant_id, id));
    create type spot as (street text, no int); create table by_place (tenant_id text, id spot, primary key (tenant_id, id));
    create domain percent as int check (value <= 100); create type percents as range (subtype = percent);
    create table domain_ranges (tenant_id text, id int, at percents, primary key (tenant_id, id));
    insert into domain_ranges values ('acme', 1, '[1,5)');
    create table parts (tenant_id text, id int primary key, of money, in_array text[],
      foreign key (tenant_id, of) references by_money, foreign key (tenant_id, in_array) references by_array);
    insert into by_array values ('acme', '{a,"b c"}', 'x'), ('acme', '{}', 'y'), ('acme', '{NULL}', 'z');
    insert into by_range values ('acme', '[1,5)'), ('acme', 'empty');
    insert into by_money select 'acme', n * 1000.01, -n from generate_series(1, 5) as n;
    insert into by_json values ('acme', '{"a": 1}'), ('acme', '"text"');
    insert into by_float values ('acme', 'NaN'), ('acme', '0.1'), ('acme', '-Infinity');
    insert into by_place values ('acme', '(a,1)'), ('acme', '("a b",)');
    insert into parts values ('acme', 1, 2000.02, '{a,"b c"}'), ('acme', 2, null, '{}')`)
})
afterAll(() => api?.end())

const PERSON = `name home { street zipCode at cost } others { street } day open { lower upper } itS seen`

it('ranges over domains are text, because their operators take values of the domain alone', async () => {
  const { domainRanges } = await api.data(
    '{ domainRanges(filter: { at: { isNull: false } }) { nodes { at } } }',
  )
  expect(domainRanges.nodes).toEqual([{ at: '[1,5)' }])
})

describe('row types', () => {
  const person = {
    name: 'a "quoted", (odd) \\ name',
    home: { street: '', zipCode: null, at: '(1,2)', cost: '$12.50' },
    others: [{ street: 'one' }, null, { street: 'NULL' }],
    day: 'IT_S_LATE',
    open: { lower: '2026-01-01', upper: null },
    itS: { a: ['"', '\\', ')'] },
    seen: '2026-01-01 00:00:00.000001+00',
  }

  it('are objects inside objects and lists, and come back as they were written', async () => {
    const { createPerson } = await api.data(
      `mutation ($input: CreatePersonInput!) { createPerson(input: $input) {
        ... on Person { person { ${PERSON} } people { ${PERSON} } place { street } } ... on ConstraintError { message } } }`,
      { input: { person, people: [person, null], place: { street: 'x' } } },
    )
    expect(createPerson).toEqual({ person, people: [person, null], place: { street: 'x' } })
  })

  it('are null where the row is null, and an object where only its fields are', async () => {
    await api.db.query(`insert into app.people (id, person) values (100, '(,,,,,,)'), (101, null)`)
    const { people } = await api.data(
      '{ people(filter: { rowId: { gte: 100 } }, orderBy: [{ rowId: ASC }]) { nodes { person { name } } } }',
    )
    expect(people.nodes).toEqual([{ person: { name: null } }, { person: null }])
  })

  it('without a field are text', () => {
    expect(printType(api.schema.getType('Person')!)).toContain('  e: PgText\n')
  })
})

describe('ranges', () => {
  it('of an own type have bounds of that type, also in lists and as multiranges', async () => {
    const input = {
      during: { lower: 'MON', upper: 'IT_S_LATE' },
      several: [{ lower: 'MON' }, { isEmpty: true }, null],
      spans: [[{ lower: 1, upper: 3 }, { lower: 7 }], [], null],
    }
    const fields = '{ lower upper lowerInclusive upperInclusive isEmpty }'
    const { createPerson } = await api.data(
      `mutation ($input: CreatePersonInput!) { createPerson(input: $input) {
        ... on Person { during ${fields} several ${fields} spans { lower upper } } } }`,
      { input },
    )
    const range = {
      lower: 'MON',
      upper: 'IT_S_LATE',
      lowerInclusive: true,
      upperInclusive: false,
      isEmpty: false,
    }
    const empty = { lower: null, upper: null, lowerInclusive: false, upperInclusive: false, isEmpty: true }
    expect(createPerson).toEqual({
      during: range,
      several: [{ ...range, upper: null }, empty, null],
      spans: [
        [
          { lower: 1, upper: 3 },
          { lower: 7, upper: null },
        ],
        [],
        null,
      ],
    })
  })

  it('whose bounds are the wrong way round are refused', async () => {
    const { errors } = await api.run(
      'mutation { createPerson(input: { during: { lower: TUE, upper: MON } }) { __typename } }',
    )
    expect(codeOf(errors)).toBe('BAD_USER_INPUT')
  })
})

describe('arrays', () => {
  it('declared with several dimensions are text', async () => {
    const { createPerson } = await api.data(
      'mutation { createPerson(input: { m: "{{1,2},{3,4}}", deep: "{{1}}" }) { ... on Person { m deep } } }',
    )
    expect(createPerson).toEqual({ m: '{{1,2},{3,4}}', deep: '{{1}}' })
  })

  it('with more dimensions than declared say so, and the other fields go on', async () => {
    await api.db.query(
      `insert into app.people (id, list) values (200, '{{1,2},{3,4}}'), (201, '[5:6]={1,2}')`,
    )
    const { data, errors } = await api.run(
      '{ people(filter: { rowId: { gte: 200 } }, orderBy: [{ rowId: ASC }]) { nodes { list rowId } } }',
    )
    expect(data.people.nodes).toEqual([
      { list: null, rowId: 200 },
      { list: [1, 2], rowId: 201 },
    ])
    expect(codeOf(errors)).toBe('VALUE_UNREADABLE')
    expect(errors?.[0]?.path).toEqual(['people', 'nodes', 0, 'list'])
  })
})

describe('JSON null', () => {
  it('is null where the column may not be null', async () => {
    await api.db.query(`insert into app.people (id, doc) values (300, 'null')`)
    const { people } = await api.data('{ people(filter: { rowId: { eq: 300 } }) { nodes { doc } } }')

    expect(people.nodes).toEqual([{ doc: null }])
    expect(printType(api.schema.getType('CreatePersonInput')!)).toContain('doc: JSON\n')
  })
})

describe('Float', () => {
  it('takes and gives what is not finite as text', async () => {
    const { createPerson } = await api.data(
      'mutation ($x: Float) { createPerson(input: { x: $x }) { ... on Person { x } } }',
      { x: '-Infinity' },
    )
    const { errors } = await api.run(
      'mutation ($x: Float) { createPerson(input: { x: $x }) { __typename } }',
      {
        x: 'many',
      },
    )
    expect(createPerson).toEqual({ x: '-Infinity' })
    expect(errors?.[0]?.message).toContain('Float cannot represent')
  })
})

describe('keys', () => {
  it.each(['byArrays', 'byRanges', 'byMoneyList', 'byJsons', 'byFloats', 'byPlaces'])(
    'of %s are ids that find their row, and cursors that find the next',
    async (list) => {
      const { [list]: all } = await api.data(`{ ${list} { nodes { id } edges { cursor } } }`)
      const ids = all.nodes.map(({ id }: { id: string }) => id)
      const { nodes } = await api.data('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids })

      expect(nodes.map(({ id }: { id: string }) => id)).toEqual(ids)
      for (const [i, { cursor }] of all.edges.entries()) {
        const { [list]: page } = await api.data(
          `query ($after: String) { ${list}(after: $after) { nodes { id } } }`,
          {
            after: cursor,
          },
        )
        expect(page.nodes.map(({ id }: { id: string }) => id)).toEqual(ids.slice(i + 1))
      }
    },
  )

  it('lead to related rows, whatever their type', async () => {
    const { parts } = await api.data(
      '{ parts(orderBy: [{ byMoney: { weight: ASC_NULLS_LAST } }]) { nodes { byMoney { rowId weight } byArray { note } } edges { cursor } } }',
    )
    expect(parts.nodes).toEqual([
      { byMoney: { rowId: '2000.02', weight: '-2.00' }, byArray: { note: 'x' } },
      { byMoney: null, byArray: { note: 'y' } },
    ])
    const { parts: next } = await api.data(
      'query ($after: String) { parts(orderBy: [{ byMoney: { weight: ASC_NULLS_LAST } }], after: $after) { nodes { rowId } } }',
      { after: parts.edges[0].cursor },
    )
    expect(next.nodes).toEqual([{ rowId: 2 }])
  })
})

describe('the schema', () => {
  it('has a rare scalar only where a column has its type', () => {
    expect(api.schema.getType('PgPoint')).toBeDefined()
    expect(api.schema.getType('Inet')).toBeUndefined()
  })

  it('says what is deprecated, and shows nothing of what is hidden', async () => {
    await api.db.query(`begin;
      comment on table app.by_array is '@deprecated use lists';
      comment on column app.by_array.note is '@deprecated no more notes';
      comment on column app.parts.in_array is '@omit'`)
    const model = await introspect(api.db, { column: 'tenant_id', schemas: ['app'] })
    await api.db.query('rollback')
    const schema = buildSchema(model, () => ({ pageSize: 10, pageSizeDefault: 10, rows: 100 }), [])
    const reason = (type: string, field: string): string | null | undefined => {
      const found = schema.getType(type)
      if (!(found instanceof GraphQLObjectType || found instanceof GraphQLInputObjectType)) expect.fail(type)
      return found.getFields()[field]?.deprecationReason
    }

    expect(reason('ByArray', 'note')).toBe('no more notes')
    expect(reason('CreateByArrayInput', 'note')).toBe('no more notes')
    for (const field of ['byArray', 'byArrays', 'byArrayBy']) {
      if (schema.getQueryType()?.getFields()[field]) expect(reason('Query', field)).toBe('use lists')
    }
    for (const field of [
      'createByArray',
      'createByArrays',
      'updateByArray',
      'deleteByArray',
      'deleteByArrays',
    ]) {
      expect(reason('Mutation', field)).toBe('use lists')
    }
    expect(reason('Part', 'byArray')).toBe('use lists')
    expect(schema.getTypeMap().Part && printType(schema.getType('Part')!)).not.toContain('inArray')
    const types = Object.keys(schema.getTypeMap()).filter((name) => /Part/.test(name))
    expect(types.filter((name) => printType(schema.getType(name)!).includes('inArray'))).toEqual([])
  })
})

function codeOf(errors: readonly unknown[] | undefined): string | undefined {
  const cause = (errors?.[0] as { originalError?: unknown } | undefined)?.originalError
  return isGatewayError(cause) ? cause.code : String(cause)
}
