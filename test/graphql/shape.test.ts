/** The shape of a list: what one index could serve of it, and none of its values. */

import { expect, it } from 'vitest'
import { listShape } from '../../src/graphql/plan/shape.ts'
import type { Condition, ListPlan, OrderTerm } from '../../src/graphql/plan/types.ts'
import type { Table } from '../../src/model/types.ts'

const table = { id: 'app.tickets' } as Table
const is = (column: string, operator: string, value: unknown = 'secret'): Condition =>
  ({ kind: 'compare', column, operator, value }) as Condition
const by = (column: string): OrderTerm => ({
  by: { kind: 'column', column },
  descending: false,
  nullsFirst: false,
})
const many = {
  by: { kind: 'many', join: { table, columns: [] }, measure: { kind: 'count', column: null } },
  descending: true,
  nullsFirst: true,
} as OrderTerm
const plan = (where: Condition | null, order: OrderTerm[] = []): ListPlan => ({
  table,
  where,
  order,
  limit: 1,
  offset: 0,
  backward: false,
  after: ['secret'],
  before: null,
  parentColumns: null,
})

it('sorts comparisons by what an index could do with them, and drops the values', () => {
  const where: Condition = {
    kind: 'and',
    of: [
      is('b', 'eq'),
      { kind: 'and', of: [is('a', 'eq'), is('a', 'eq', 'other')] },
      is('since', 'gte'),
      is('since', 'lt'),
      is('state', 'in', ['secret']),
      is('gone', 'isNull', true),
      is('due', 'isNull', false),
      is('title', 'contains'),
      { ...is('data', 'eq'), at: { path: ['secret'], as: 'string' } } as Condition,
      is('kind', 'neq'),
    ],
  }
  const shape = listShape(plan(where, [by('since'), by('id')]), true)
  expect(shape).toEqual({
    table: 'app.tickets',
    parent: null,
    equals: ['a', 'b'],
    ranges: ['since', 'state'],
    nulls: [
      { column: 'due', isNull: false },
      { column: 'gone', isNull: true },
    ],
    matches: [
      { column: 'data', operator: 'at' },
      { column: 'title', operator: 'contains' },
    ],
    order: [
      { column: 'since', descending: false, nullsFirst: false },
      { column: 'id', descending: false, nullsFirst: false },
    ],
  })
  expect(JSON.stringify(shape)).not.toContain('secret')
})

it('is equal for equal questions, whatever their order and values', () => {
  const one = plan({ kind: 'and', of: [is('a', 'eq', 1), is('b', 'lt', 2)] }, [by('id')])
  const other = plan({ kind: 'and', of: [is('b', 'gt', 3), is('a', 'eq', 4)] }, [by('id')])
  expect(JSON.stringify(listShape(one, true))).toBe(JSON.stringify(listShape(other, true)))
})

it('leaves out what one index cannot serve: alternatives, negations, other tables', () => {
  const parts: Condition[] = [is('a', 'eq'), is('b', 'eq')]
  const wheres: Condition[] = [
    { kind: 'or', of: parts },
    { kind: 'not', of: is('a', 'eq') },
    { kind: 'related', join: { table, columns: [] }, quantifier: 'some', where: is('a', 'eq') },
  ]
  for (const where of wheres) expect(listShape(plan(where), true).equals).toEqual([])
})

it('has the order up to the first value that is no column, and none where nothing is ordered', () => {
  expect(listShape(plan(null, [by('a'), many, by('id')]), true).order).toMatchObject([{ column: 'a' }])
  expect(listShape(plan(null, [many, by('id')]), true).order).toEqual([])
  expect(listShape(plan(null, [by('a')]), false).order).toEqual([])
})
