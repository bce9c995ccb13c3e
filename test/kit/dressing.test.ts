/** Other words for an operation: valid on any schema, with every kind of them, and the same again from a seed. */

import { buildSchema, parse, validate } from 'graphql'
import { expect, it } from 'vitest'
import { dress } from './dressing.ts'
import { type Place, repeatableOperation } from './operations.ts'
import { seededRandom } from './random.ts'
import { varied } from './varying.ts'

const schema = buildSchema(`
  interface Node { id: ID! }
  enum Direction { ASC DESC }
  type Task implements Node { id: ID! title(short: Boolean): String! project: Project }
  type Project implements Node { id: ID! tasks(filter: Filter, first: Int, last: Int, after: String, before: String, order: [Order!]): Tasks! }
  type Tasks { nodes: [Task!]! edges: [Edge!]! pageInfo: PageInfo! }
  type Edge { cursor: String! node: Task! }
  type PageInfo { startCursor: String endCursor: String hasNextPage: Boolean! hasPreviousPage: Boolean! }
  input Filter { title: Words not: Filter }
  input Words { eq: String in: [String!] isNull: Boolean }
  input Order @oneOf { title: Direction id: Direction }
  type Query { node(id: ID!): Node tasks(filter: Filter, first: Int, last: Int, after: String, before: String): Tasks! project(id: ID!): Project }
`)

const value = ({ type }: Place) => ({ Int: 3, Boolean: true })[type] ?? 'text'
const SHAPE = { written: 0.5, holes: 0.3, defaults: 0.3, sparse: true }

function draw(seed: number, count: number) {
  const random = seededRandom(seed)
  return Array.from({ length: count }, () => {
    const { operation, again } = repeatableOperation(schema, 'query', random, value, SHAPE)
    const { query, added } = dress(schema, operation.query, random)
    const variables = { ...operation.variables, ...added() }
    return { query, variables, others: [again(), varied(variables, random)] }
  })
}

it('makes valid documents', () => {
  const kinds = /@skip|@include|\.\.\.F\d|\.\.\. on|\.\.\. \{|a\d+: |__typename|\$cursor|\$first|= /g
  const found = new Set<string>()
  for (const { query } of draw(1, 500)) {
    expect(validate(schema, parse(query)), query).toEqual([])
    for (const [kind] of query.matchAll(kinds)) found.add(kind.replace(/\d+/, ''))
  }
  expect(found.size).toBe(10)
})

it('gives other variables, and nearly the same ones, without touching those that there were', () => {
  const drawn = draw(2, 300).filter(({ variables }) => Object.keys(variables).length > 1)
  const texts = drawn.map(({ variables, others }) =>
    [variables, ...others].map((part) => JSON.stringify(part)),
  )
  expect(texts.filter(([one, other, nearly]) => one !== other && one !== nearly).length).toBeGreaterThan(50)
})

it('is the same again for the same seed', () => {
  expect(draw(3, 30)).toEqual(draw(3, 30))
  expect(draw(3, 30)).not.toEqual(draw(4, 30))
})
