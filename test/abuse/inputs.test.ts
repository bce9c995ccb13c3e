/** Variables that hold too much: refused before each of their objects is looked at field by field. */

import { buildSchema, getOperationAST, parse } from 'graphql'
import { describe, expect, it } from 'vitest'
import { checkInputs } from '../../src/graphql/limits/inputs.ts'

const SCHEMA = buildSchema(`
  scalar JSON
  input Where { and: [Where!] not: Where rows: [[Row!]!] note: JSON }
  input Row { id: Int note: JSON }
  type Query { found(where: Where, rows: [Row!], note: JSON, one: Row): Int }`)
const MUTATION = `mutation($where: Where!, $rows: [Row!]! = [], $note: JSON, $one: Row, $gone: Nothing) {
  found(where: $where, rows: $rows, note: $note, one: $one) }`

function refused(variables: object, rows: number, document = MUTATION): string {
  try {
    checkInputs(SCHEMA, getOperationAST(parse(document))!, { ...variables }, rows)
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

const times = (count: number, item: unknown): unknown[] => Array.from({ length: count }, () => item)
const nested = (levels: number): object => (levels === 0 ? {} : { not: nested(levels - 1) })

describe('the objects in variables', () => {
  it.each([
    ['in a list', (count: number) => ({ where: { and: times(count - 1, {}) } })],
    ['in a list of lists', (count: number) => ({ where: { rows: times(count - 1, [{}]) } })],
    [
      'in several variables',
      (count: number) => ({ where: { and: times(count - 3, {}) }, one: { id: 1 }, rows: [{}] }),
    ],
    ['under each other', (count: number) => ({ where: nested(count - 1) })],
  ])('are counted: %s', (_what, make) => {
    expect(refused(make(1_010), 10)).toBe('')
    expect(refused(make(1_011), 10)).toContain('more than 1010 input objects')
  })

  it('of a list of rows are not looked at where they are too many', () => {
    expect(refused({ rows: times(10, {}) }, 10)).toBe('')
    expect(refused({ rows: times(11, null) }, 10)).toContain('more than 10 input objects')
  })

  it('are not rows in a query', () => {
    const query = MUTATION.replace('mutation', 'query')
    expect(refused({ rows: times(1_000, {}) }, 5_000, query)).toBe('')
    expect(refused({ rows: times(1_001, {}) }, 5_000, query)).toContain('more than 1000 input objects')
  })

  it.each([
    ['fields that there are not', { where: Object.fromEntries(times(51, {}).map((_, i) => [`no${i}`, 1])) }],
    ['lists where objects belong', { where: { and: times(1_001, []) } }],
    ['things in such lists', { where: { and: [times(51, 1)] } }],
  ])('may be none, and count all the same: %s', (_what, variables) => {
    expect(refused(variables, 0)).toContain('more than 1000 input objects')
  })

  it.each([
    ['JSON', { note: times(5_000, { a: {} }), rows: [{ note: times(5_000, {}) }] }],
    ['what the type does not have', { where: { nothing: times(5_000, {}), constructor: {}, __proto__: {} } }],
    ['what no variable asks for', { other: times(5_000, {}) }],
    ['numbers, texts and null', { rows: [1, 'a', null, [1]], where: 'x', one: null }],
  ])('are none: %s', (_what, variables) => {
    expect(refused(variables, 10)).toBe('')
  })
})
