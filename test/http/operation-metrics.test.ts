/** The contract of http/operation-metrics.ts and deprecations.ts: labels that have an end, and what is deprecated. */

import { buildSchema, parse } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMetrics } from '../../src/base/metrics.ts'
import { deprecatedUses } from '../../src/http/deprecations.ts'
import { operationMetrics } from '../../src/http/operation-metrics.ts'
import { type Edge, startEdge } from '../kit/edge.ts'

const { registry } = createMetrics({ version: '1.2.3' })

describe('metrics of operations', () => {
  let edge: Edge
  beforeAll(async () => {
    const { plugin, countCompiled } = operationMetrics(registry)
    edge = await startEdge({ plugins: [plugin], countCompiled })
  })
  afterAll(() => edge.close())

  const seriesOf = async (name: string): Promise<string[]> =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`))

  it('are named after the operation that ran, also behind a fragment', async () => {
    const query = 'fragment F on Query { hello } query One { ...F } query Two { ...F }'
    await edge.post({ query, operationName: 'Two' })
    expect(await seriesOf('graphql_envelop_request')).toEqual([
      'graphql_envelop_request{operationType="query",operationName="Two"} 1',
    ])
  })

  it('count errors without the path to them', async () => {
    await edge.post({ query: 'query Boom { boom again: boom }' })
    expect(await seriesOf('graphql_envelop_error_result')).toContain(
      'graphql_envelop_error_result{operationType="query",operationName="Boom"} 2',
    )
    expect(await registry.metrics()).not.toContain('path=')
  })

  const DEPRECATED = 'graphql_envelop_deprecated_field'
  it('count what is deprecated, once an operation', async () => {
    await edge.post({ query: 'query Home { old again: old hello }' })
    await edge.post({ query: 'query Home { old }' })
    await edge.post({ query: 'query Home { old nowhere }' })
    expect(await seriesOf(DEPRECATED)).toEqual([
      `${DEPRECATED}{operationType="query",operationName="Home",typeName="Query",fieldName="old"} 2`,
    ])
  })

  it('fault 66: random names become "other"', async () => {
    for (let i = 0; i < 260; i += 1) await edge.post({ query: `query Random${i} { hello }` })
    await edge.post({ query: 'query Random260 { old }' })
    expect((await seriesOf(DEPRECATED)).at(-1)).toContain('operationName="other"')
    const series = await seriesOf('graphql_envelop_request')
    expect(series.length).toBeLessThanOrEqual(201)
    expect(series.some((line) => line.includes('operationName="other"'))).toBe(true)
    expect((await registry.metrics()).split('\n').some((line) => line.includes('Random259'))).toBe(false)
  })
})

describe('what is deprecated', () => {
  const schema = buildSchema(`
    type Query { list(filter: Filter, kind: Kind, old: Int @deprecated): [Item] gone: Item @deprecated(reason: "x") }
    type Mutation { change(patch: Patch, patches: [Patch!]): Item }
    type Item { id: ID name: String title: String @deprecated(reason: "use name") next: Item }
    input Filter { and: [Filter!] name: String title: String @deprecated(reason: "use name") }
    input Patch { name: String title: String @deprecated(reason: "use name") kind: Kind }
    enum Kind { NEW OLD @deprecated(reason: "use NEW") }
  `)
  const usesOf = (
    text: string,
    variableValues: Record<string, unknown> = {},
    operationName?: string,
  ): string[] => {
    const document = parse(text)
    const args = { schema, document, variableValues, operationName }
    const first = deprecatedUses(args)
    expect(deprecatedUses(args)).toEqual(first)
    return first.map(({ typeName, fieldName }) => `${typeName}.${fieldName}`).sort()
  }

  it.each<[string, string, Record<string, unknown>, string[]]>([
    ['nothing', '{ list { id name } }', {}, []],
    ['a field', '{ list { title } }', {}, ['Item.title']],
    ['a field with fields', '{ gone { id } }', {}, ['Query.gone']],
    [
      'a field in a fragment, twice',
      '{ list { ...F next { ...F } } } fragment F on Item { title }',
      {},
      ['Item.title'],
    ],
    ['an argument', '{ list(old: 1) { id } }', {}, ['Query.list(old:)']],
    ['an input field', '{ list(filter: { and: [{ title: "x" }] }) { id } }', {}, ['Filter.title']],
    ['a value', '{ list(kind: OLD) { id } }', {}, ['Kind.OLD']],
    [
      'variables',
      'mutation ($p: Patch!, $q: [Patch!]) { change(patch: $p, patches: $q) { id } }',
      { p: { name: 'x' }, q: [{ title: 'x', kind: 'OLD' }] },
      ['Kind.OLD', 'Patch.title'],
    ],
    ['a default of a variable', 'query ($k: Kind = OLD) { list(kind: $k) { id } }', {}, ['Kind.OLD']],
    [
      'a list in a variable',
      'query ($f: Filter) { list(filter: $f) { id } }',
      { f: { and: [{ title: '' }] } },
      ['Filter.title'],
    ],
    [
      'variables that are no values of theirs',
      'query ($f: Filter, $k: Kind, $n: Nowhere) { list(filter: $f, kind: $k) { id } }',
      { f: { constructor: 1, and: 'x', name: null }, k: 'toString', n: 1 },
      [],
    ],
  ])('is found in %s', (_, text, variables, uses) => {
    expect(usesOf(text, variables)).toEqual(uses)
  })

  it('is that of the operation that runs', () => {
    const text = 'query A { list { title } } query B { gone { id } }'
    expect(usesOf(text, {}, 'B')).toEqual(['Query.gone'])
    expect(usesOf(text, {}, 'A')).toEqual(['Item.title'])
  })
})
