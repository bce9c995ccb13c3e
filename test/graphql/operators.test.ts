/**
 * Every operator of every type: a value finds its own row, whatever a client sends ends in rows or in an error
 * that says what is wrong, and lists go page by page in an order by every type that has one.
 */

import { coerceInputValue, type GraphQLInputObjectType } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isGatewayError } from '../../src/base/errors.ts'
import { isBadParameter, sqlState } from '../../src/db/connection.ts'
import { compile, sql } from '../../src/db/sql.ts'
import { type FilterKey, isOrderable, operatorsOf } from '../../src/graphql/filters/operators.ts'
import { conditionOf } from '../../src/graphql/filters/plans.ts'
import { condition } from '../../src/graphql/plan/conditions.ts'
import { from, source } from '../../src/graphql/plan/fragments.ts'
import type { Column, Table } from '../../src/model/types.ts'
import type { Data } from '../kit/api.ts'
import { type Random, runRandom } from '../kit/random.ts'
import { openTableApi, type TableApi, TENANT } from '../kit/table-api.ts'
import { TYPED_COLUMNS } from '../kit/worlds/type-tables.ts'

const definitions = TYPED_COLUMNS.map(({ column, type }) => `${column} ${type}`)
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
let api: TableApi
let things: Table

beforeAll(async () => {
  api = await openTableApi(`
    create extension citext; create extension hstore; create extension ltree;
    create type mood as enum ('sad', 'so so', 'happy');
    create domain short as text check (length(value) < 100);
    create type pair as (x int, y json);
    create table things (tenant_id text not null default 'acme', id serial primary key, ${definitions.join(', ')},
      a_mood mood, a_mood_list mood[], a_short short, a_short_list short[], a_pair pair, a_pair_list pair[],
      a_citext citext, a_citext_list citext[], an_hstore hstore, an_ltree ltree);`)
  for (const { column, values } of [...TYPED_COLUMNS, ...OF_OUR_OWN]) {
    const rows = values.map((value) => `(${literal(value)})`)
    await api.db.query(`insert into app.things (${column}) values ${rows.join(', ')}`)
  }
  things = api.model.tables.find(({ name }) => name === 'things')!
})
afterAll(() => api?.end())

const OF_OUR_OWN = [
  { column: 'a_mood', values: ['sad', 'so so', 'happy'] },
  { column: 'a_mood_list', values: ['{}', '{"so so",happy}'] },
  { column: 'a_short', values: ['', 'short'] },
  { column: 'a_short_list', values: ['{}', '{"a,b",c}'] },
  { column: 'a_pair', values: ['(1,)', '(,)', '(1,"{}")'] },
  { column: 'a_pair_list', values: ['{}', '{"(1,)"}'] },
  { column: 'a_citext', values: ['', 'Mixed'] },
  { column: 'a_citext_list', values: ['{}', '{A,b}'] },
  { column: 'an_hstore', values: ['', 'a=>1'] },
  { column: 'an_ltree', values: ['a', 'a.b.c'] },
]

interface Case {
  readonly operator: FilterKey
  readonly argument: unknown
  /** Only this row. */
  readonly id?: number
}

/**
 * How many rows a filter finds. A refusal that says why is its text; any other error too, with an exclamation mark.
 * What is no value of the argument's type is null: GraphQL refuses it.
 */
async function count({ field }: Column, { operator, argument, id }: Case): Promise<number | string | null> {
  const given = { [field]: { [operator]: argument }, ...(id !== undefined && { rowId: { eq: id } }) }
  let isValid = true
  const filter = coerceInputValue(given, api.schema.getType('ThingFilter') as GraphQLInputObjectType, () => {
    isValid = false
  })
  if (!isValid) return null
  try {
    const of = source(things)
    const where = condition(of, conditionOf(new Map(), things, filter as object)!, TENANT)
    const [row] = await api.db.query(compile(sql`select count(*) from ${from(of)} where ${where}`))
    return Number(row?.count)
  } catch (error) {
    // The classes of SQLSTATE that a request is told of (context.ts).
    const isTold = isGatewayError(error) || /^(0A|22|54)/.test(sqlState(error) ?? '') || isBadParameter(error)
    return `${isTold ? '' : '!'}${error}`
  }
}

/** Operators that hold between a value and itself, with the argument that they take from it. */
const OWN: Partial<Record<FilterKey, (value: Data) => unknown>> = {
  eq: (value) => value,
  in: (value) => [value],
  gte: (value) => value,
  lte: (value) => value,
  contains: (value) => value,
  containedBy: (value) => value,
  like: (value) => String(value).replace(/[\\%_]/g, '\\$&'),
  ilike: (value) => String(value).replace(/[\\%_]/g, '\\$&'),
  startsWith: (value) => [...String(value)].slice(0, 2).join(''),
  endsWith: (value) => [...String(value)].slice(-2).join(''),
  has: (value) => value[0],
  isNull: () => false,
}
/** Operators that hold between no value and itself. */
const OTHER: Partial<Record<FilterKey, (value: Data) => unknown>> = {
  neq: (value) => value,
  notIn: (value) => [value],
  gt: (value) => value,
  lt: (value) => value,
  before: (value) => value,
  after: (value) => value,
  isNull: () => true,
}

const selectionOf = (type: Column['type']): string => {
  if (type.fields) return `{ ${type.fields.map(({ field }) => field).join(' ')} }`
  return type.range ? '{ lower upper lowerInclusive upperInclusive isEmpty }' : ''
}

/** A column's values by row, as a client has them; those that no list can show left out. */
async function valuesOf({ name, field, type }: Column): Promise<[number, Data][]> {
  const { data } = await api.run(
    `{ things(first: 1000, filter: { ${field}: { isNull: false } }) { nodes { rowId ${field} ${selectionOf(type)} } } }`,
  )
  const nodes: Data[] = JSON.parse(JSON.stringify(data.things.nodes))
  // Arrays that begin elsewhere than at 1 are no list that a client could write.
  const odd = type.array
    ? await api.db.query(`select id from app.things where array_lower(${name}, 1) <> 1`)
    : []
  const isPlain = ({ rowId }: Data): boolean => !odd.some(({ id }) => id === String(rowId))
  return nodes
    .filter((node) => node[field] !== null && isPlain(node))
    .map((node) => [node.rowId, node[field]])
}

/** What must be found of a value in its own row. */
function casesOf(column: Column, id: number, value: Data): (Case & { wanted: number })[] {
  const text = JSON.stringify(value)
  // Null items are not taken by list operators, and a client's numbers have 53 bits.
  if (/null/.test(text) || (column.type.kind === 'json' && /\d{16}|e\+?\d{3}|-0/.test(text))) return []
  return operatorsOf(column.type).flatMap((operator) => {
    if (operator === 'has' && value.length === 0) return []
    const [own, other] = [OWN[operator], OTHER[operator]]
    return [
      ...(own ? [{ operator, argument: own(value), id, wanted: 1 }] : []),
      ...(other ? [{ operator, argument: other(value), id, wanted: 0 }] : []),
    ]
  })
}

const HOSTILE = [
  '',
  '\\',
  '%_\\',
  '{',
  '}',
  '[1,',
  '(',
  "'",
  '"',
  '\u0000',
  '\ud800',
  '1e9999',
  '-',
  '{{{',
  'NaN',
  '( & |',
  '1',
  '1-1',
]

function hostile(random: Random, operator: FilterKey): unknown {
  const text = random.pick(HOSTILE)
  if (operator === 'isNull' || operator === 'isEmpty') return random.chance(0.5)
  if (operator === 'at') return [{ path: [text, random.pick(HOSTILE)], string: { like: text }, exists: true }]
  return random.pick<unknown>([
    text,
    [text],
    [],
    { lower: text, upper: text },
    [{ lower: text }],
    [[text]],
    2 ** 31 - 1,
    0.1,
  ])
}

describe('every operator of every type', () => {
  it('finds the row of its own value, or says why it cannot', async () => {
    const wrong: string[] = []
    for (const column of things.columns.slice(1)) {
      const cases = (await valuesOf(column)).flatMap(([id, value]) => casesOf(column, id, value))
      for (const asked of cases) {
        const found = await count(column, asked)
        const told = `${column.name} ${asked.operator} ${JSON.stringify(asked.argument)?.slice(0, 60)}: ${found}`
        if (found !== asked.wanted && !/The filter is too large/.test(String(found))) wrong.push(told)
      }
    }
    expect(wrong).toEqual([])
  })

  it('takes anything that a client can send for it', async () => {
    const random = runRandom().fork('hostile')
    const wrong: string[] = []
    for (const column of things.columns.slice(1)) {
      const cases = operatorsOf(column.type).flatMap((operator) =>
        Array.from({ length: 5 }, () => ({ operator, argument: hostile(random, operator) })),
      )
      for (const asked of cases) {
        const found = String(await count(column, asked))
        if (found.startsWith('!'))
          wrong.push(`${column.name} ${asked.operator} ${JSON.stringify(asked.argument)}: ${found}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it.each([
    ['a_point', ['isNull']],
    ['a_pair', ['isNull']],
    ['a_pair_list', ['isEmpty', 'isNull']],
    ['a_json_list', ['isEmpty', 'isNull']],
    ['a_xid', ['eq', 'neq', 'in', 'notIn', 'isNull']],
    ['a_tsvector', ['search', 'isNull']],
  ])('%s has only what Postgres can do: %j', (name, operators) => {
    expect(operatorsOf(things.columns.find((column) => column.name === name)!.type)).toEqual(operators)
  })
})

describe('an order by every type', () => {
  it('goes page by page as Postgres sorts, and back', async () => {
    const all = things.columns.slice(1).filter(isOrderable)
    expect(all.length).toBeGreaterThan(40)
    for (const { field, name } of all) {
      const [direction, sql] = name < 'a_m' ? ['ASC', 'asc'] : ['DESC_NULLS_LAST', 'desc nulls last']
      const rows = await api.db.query(
        `select id from app.things where ${name} is not null or id < 4 order by ${name} ${sql}, id`,
      )
      const expected = rows.map(({ id }) => Number(id))
      const order = {
        filter: { or: [{ [field]: { isNull: false } }, { rowId: { lt: 4 } }] },
        orderBy: [{ [field]: direction }],
      }
      // A cursor holds 64 kB; the long text does not fit, and is the last row.
      const isLong = ['a_text', 'a_bytea'].includes(name)
      expect(await walk(order, 'first', isLong ? 20 : 2), name).toEqual(expected)
      if (!isLong) expect(await walk(order, 'last', 3), name).toEqual(expected)
    }
  })

  async function walk(order: object, end: 'first' | 'last', size: number): Promise<number[]> {
    const [way, edge, more] =
      end === 'first' ? ['after', 'endCursor', 'hasNextPage'] : ['before', 'startCursor', 'hasPreviousPage']
    const seen: number[] = []
    for (let cursor: string | undefined; ; ) {
      const { things: page } = await api.data(
        `query($filter: ThingFilter, $orderBy: [ThingOrderBy!], $cursor: String) {
          things(${end}: ${size}, ${way}: $cursor, filter: $filter, orderBy: $orderBy) { nodes { rowId } pageInfo { ${edge} ${more} } } }`,
        { ...order, cursor },
      )
      const ids = page.nodes.map(({ rowId }: Data) => rowId)
      if (end === 'first') seen.push(...ids)
      else seen.unshift(...ids)
      if (!page.pageInfo[more]) return seen
      cursor = page.pageInfo[edge]
    }
  }
})
