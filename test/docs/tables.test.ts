/** docs/tables.md: its table of types says what the API does, operator by operator. */

import { readFileSync } from 'node:fs'
import type { GraphQLInputObjectType } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { valueTypeNames } from '../../src/model/type-names.ts'
import { openTableApi, type TableApi } from '../kit/table-api.ts'

const PAGE = readFileSync(new URL('../../docs/tables.md', import.meta.url), 'utf8')
const COMPARED = 'eq neq gt gte lt lte in notIn isNull'

interface Documented {
  readonly type: string
  readonly graphql: string
  readonly operators: readonly string[]
}

/** A line of the table for each type that it names. */
function documented(): Documented[] {
  const lines = PAGE.slice(PAGE.indexOf('| Postgres | GraphQL')).split('\n\n')[0]!.split('\n').slice(2)
  let last: string[] = []
  return lines.flatMap((line) => {
    const [, types = '', graphql = '', , operators = ''] = line.split('|').map((cell) => cell.trim())
    const words = operators.replace('compared', COMPARED).replaceAll(/[`,]/g, '').split(' ')
    if (operators !== 'the same') last = words
    return types.split(', ').map((type) => ({ type, graphql: graphql.replaceAll('`', ''), operators: last }))
  })
}

let api: TableApi

beforeAll(async () => {
  const columns = documented().map(({ type }, i) => `c${i} ${type === 'bit' ? 'bit(4)' : type}`)
  api = await openTableApi(`create table things (tenant_id text, ${columns.join(', ')})`)
})
afterAll(() => api?.end())

describe('the table of types', () => {
  it('names the GraphQL type of each', () => {
    const nameOf = valueTypeNames(api.model)
    const given = api.model.tables[0]!.columns.map(({ type }) => nameOf(type))
    expect(documented().map(({ type }, i) => [type, given[i]])).toEqual(
      documented().map(({ type, graphql }) => [type, graphql]),
    )
  })

  it('names the operators of each', () => {
    const filter = api.schema.getType('ThingFilter') as GraphQLInputObjectType
    const given = documented().map(({ type }, i) => {
      const operators = filter.getFields()[`c${i}`]!.type as GraphQLInputObjectType
      return [type, Object.keys(operators.getFields()).sort()]
    })
    expect(given).toEqual(documented().map(({ type, operators }) => [type, [...operators].sort()]))
  })

  it('leaves out no type that has a scalar of its own', () => {
    expect(documented().length).toBeGreaterThan(40)
  })
})
