/**
 * A column or a field of an extension that is deprecated is so wherever the schema has it, and its use is found: as
 * a field, in a filter, in an order, and in the variables of a mutation.
 */

import { type GraphQLSchema, parse, validate } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Extension } from '../../src/graphql/extension.ts'
import { buildSchema, printSdl } from '../../src/graphql/schema.ts'
import { deprecatedUses } from '../../src/http/deprecations.ts'
import type { Column, Model } from '../../src/model/types.ts'
import { openWorldApi } from '../kit/api.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

const extension: Extension = {
  extend({ builder, type }) {
    builder.objectField(type('Task'), 'shout', (t) =>
      t.string({ resolve: () => 'x', deprecationReason: 'Use title.' }),
    )
  },
}

let world: World
let schema: GraphQLSchema
beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1, rows: 1 })
  const api = await openWorldApi(world)
  const sizes = () => ({ pageSize: 100, pageSizeDefault: 20, rows: 10_000 })
  schema = buildSchema(withDeprecated(api.model), sizes, [extension])
  api.end()
})
afterAll(() => world?.stop())

/** As the model is when the comment of `tasks.effort` or the configuration deprecates the column. */
function withDeprecated(model: Model): Model {
  const mark = (column: Column): Column =>
    column.name === 'effort' ? { ...column, comment: 'Hours.', deprecated: 'Use due_on.' } : column
  return { ...model, tables: model.tables.map((table) => ({ ...table, columns: table.columns.map(mark) })) }
}

function usesOf(text: string, variableValues: Record<string, unknown> = {}): string[] {
  const document = parse(text)
  expect(validate(schema, document)).toEqual([])
  const uses = deprecatedUses({ schema, document, variableValues })
  return uses.map(({ typeName, fieldName }) => `${typeName}.${fieldName}`).sort()
}

describe('a column that is deprecated', () => {
  it('keeps its documentation beside the reason', () => {
    const sdl = printSdl(schema)
    expect(sdl).toMatch(/"""Hours\."""\n {2}effort: BigInt @deprecated\(reason: "Use due_on\."\)/)
  })

  it.each<[string, string, Record<string, unknown>, string[]]>([
    ['a field', '{ tasks { nodes { effort } } }', {}, ['Task.effort']],
    ['a filter', '{ tasks(filter: { effort: { gt: 1 } }) { totalCount } }', {}, ['TaskFilter.effort']],
    ['an order', '{ tasks(orderBy: [{ effort: ASC }]) { totalCount } }', {}, ['TaskOrderBy.effort']],
    [
      'an order by a measure',
      '{ projects(orderBy: [{ tasks: { max: { effort: ASC } } }]) { totalCount } }',
      {},
      ['TaskColumnsOrderBy.effort'],
    ],
    [
      'the variables of a mutation',
      'mutation ($id: ID!, $patch: TaskPatch!) { updateTask(id: $id, patch: $patch) { __typename } }',
      { id: 'x', patch: { effort: 3 } },
      ['TaskPatch.effort'],
    ],
    ['what it has nothing to do with', '{ tasks { nodes { title dueOn } } }', {}, []],
  ])('is found in %s', (_, text, variables, uses) => {
    expect(usesOf(text, variables)).toEqual(uses)
  })
})

it('a field that an extension deprecates is found too', () => {
  expect(usesOf('{ tasks { nodes { shout } } }')).toEqual(['Task.shout'])
})
