/** The generator: documents that are always valid, on any schema, and the same again from a seed. */

import { buildSchema, getVariableValues, OperationTypeNode, parse, validate, visit } from 'graphql'
import { describe, expect, it } from 'vitest'
import { type Place, randomOperation } from './operations.ts'
import { seededRandom } from './random.ts'

const schema = buildSchema(`
  scalar JSON
  interface Node { id: ID! }
  enum Color { RED GREEN }
  type Task implements Node { id: ID! title(short: Boolean): String! color: Color project: Project labels(first: Int, filter: Filter): [Label!]! }
  type Project implements Node { id: ID! title: Int tasks(first: Int!, after: String): [Task!]! }
  type Label { word: String! task: Task }
  type Problem { message: String! }
  union Result = Task | Problem
  input Filter { word: Words and: [Filter!] not: Filter color: Color meta: JSON }
  input Words { eq: String in: [String!] isNull: Boolean }
  input Key @oneOf { id: ID number: Int }
  type Query { node(id: ID!): Node nodes(ids: [ID!]!): [Node]! task(by: Key!): Task tasks(filter: Filter, first: Int): [Task!]! }
  input NewTask { title: String! color: Color! labels: [String!] meta: JSON }
  type Mutation { createTask(input: NewTask!): Result deleteTask(id: ID!): Result }
`)

const value = ({ type }: Place) =>
  ({ Int: 3, Boolean: true, Float: 1.5, JSON: { deep: [1, 'x', null] } })[type] ?? 'a "text" \n'

describe('randomOperation', () => {
  it.each(['query', 'mutation'] as const)('makes valid documents and fitting variables: %s', (kind) => {
    const random = seededRandom(1)
    for (let i = 0; i < 2_000; i++) {
      const { query, variables } = randomOperation(schema, kind, random, value)
      const document = parse(query)
      expect(validate(schema, document), query).toEqual([])
      const [operation] = document.definitions
      if (operation?.kind !== 'OperationDefinition') throw new Error('no operation')
      expect(operation.operation).toBe(
        kind === 'query' ? OperationTypeNode.QUERY : OperationTypeNode.MUTATION,
      )
      const coerced = getVariableValues(schema, operation.variableDefinitions ?? [], variables)
      expect(coerced.errors, JSON.stringify({ query, variables })).toBeUndefined()
    }
  })

  it('gives the same operations for the same seed', () => {
    const draw = (seed: number) => {
      const random = seededRandom(seed)
      return Array.from({ length: 20 }, () => randomOperation(schema, 'query', random, value))
    }
    expect(draw(5)).toEqual(draw(5))
    expect(draw(5)).not.toEqual(draw(6))
  })

  it('reaches every field, every argument and every input field', () => {
    const random = seededRandom(2)
    const places = new Set<string>()
    const texts: string[] = []
    for (let i = 0; i < 3_000; i++) {
      const kind = random.chance(0.5) ? 'query' : 'mutation'
      const source = (place: Place) => {
        places.add(place.path.slice(-2).join('.'))
        return value(place)
      }
      texts.push(randomOperation(schema, kind, random, source).query)
    }
    const all = texts.join('\n')
    for (const word of [
      'node(',
      'nodes(',
      'task(',
      'tasks(',
      'createTask(',
      'deleteTask(',
      'labels',
      'project',
      'color',
      'word',
      'on Problem',
    ]) {
      expect(all).toContain(word)
    }
    expect([...places]).toEqual(
      expect.arrayContaining([
        'word.eq',
        'word.in',
        'word.isNull',
        'by.id',
        'by.number',
        'tasks.after',
        'labels.first',
        'filter.meta',
        'input.title',
      ]),
    )
  })

  it('stays within its depth', () => {
    const random = seededRandom(3)
    for (let i = 0; i < 500; i++) {
      const { query } = randomOperation(schema, 'query', random, () => 1, { depth: 3 })
      let depth = 0
      visit(parse(query), {
        Field: {
          enter: () => {
            expect(++depth).toBeLessThanOrEqual(3)
          },
          leave: () => {
            depth--
          },
        },
      })
    }
  })
})
