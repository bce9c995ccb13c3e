/** Variables that hold too much: refused before each of their objects is looked at field by field. */

import { buildSchema, getOperationAST, parse } from 'graphql'
import { describe, expect, it } from 'vitest'
import { checkInputs } from '../../src/graphql/limits/inputs.ts'

const SCHEMA = buildSchema(`
  scalar JSON
  input Where { and: [Where!] not: Where rows: [[Row!]!] note: JSON }
  input Row { id: Int note: JSON }
  type Query { found(where: Where, rows: [Row!], note: JSON, one: Row): Int }`)
const QUERY = `query($where: Where!, $rows: [Row!]! = [], $note: JSON, $one: Row, $gone: Nothing) {
  found(where: $where, rows: $rows, note: $note, one: $one) }`

function refused(variables: object, rows: number): string {
  try {
    checkInputs(SCHEMA, getOperationAST(parse(QUERY))!, { ...variables }, rows)
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

const times = (count: number, item: unknown): unknown[] => Array.from({ length: count }, () => item)
const nested = (levels: number): object => (levels === 0 ? {} : { not: nested(levels - 1) })

describe('the objects in variables', () => {
  it.each([
    ['in a list', (count: number) => ({ rows: times(count, {}) })],
    ['in a list of lists', (count: number) => ({ where: { rows: times(count - 1, [{}]) } })],
    ['in several variables', (count: number) => ({ rows: times(count - 2, { id: 1 }), one: {}, where: {} })],
    ['under each other', (count: number) => ({ where: nested(count - 1) })],
  ])('are counted: %s', (_what, make) => {
    expect(refused(make(1_010), 10)).toBe('')
    expect(refused(make(1_011), 10)).toContain('more than 1010 input objects')
  })

  it.each([
    ['JSON', { note: times(5_000, { a: {} }), rows: [{ note: times(5_000, {}) }] }],
    ['what the type does not have', { where: { nothing: times(5_000, {}), constructor: {}, __proto__: {} } }],
    ['what no variable asks for', { other: times(5_000, {}) }],
    ['numbers, texts and null', { rows: [1, 'a', null, [1]], where: 'x', one: null }],
  ])('are none: %s', (_what, variables) => {
    expect(refused(variables, 0)).toBe('')
  })
})
