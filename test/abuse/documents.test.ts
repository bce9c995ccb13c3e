/** Documents against the whole public port: bombs, and verdicts that one caller could decide for another. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Edge, startEdge } from '../kit/edge.ts'

let edge: Edge
beforeAll(async () => {
  edge = await startEdge()
})
afterAll(() => edge.close())
afterEach(() => {
  edge.events.length = 0
})

const times = (count: number, text: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => text(i)).join(' ')

const as = async (role: 'viewer' | 'admin', tenant = 'acme') => ({
  authorization: `Bearer ${await edge.token([role], tenant)}`,
})

describe("D12: what is remembered of a document is nobody else's verdict", () => {
  const query = 'mutation Remembered { deleteItem }'
  it('allowed to one, then refused to another', async () => {
    expect((await edge.post({ query }, await as('admin'))).status).toBe(200)
    expect((await edge.post({ query }, await as('viewer', 'globex'))).code).toBe('FORBIDDEN')
    expect((await edge.post({ query }, await as('admin', 'globex'))).status).toBe(200)
  })

  it('refused to one, then allowed to another', async () => {
    const fresh = 'mutation Fresh { deleteItem }'
    expect((await edge.post({ query: fresh }, await as('viewer'))).code).toBe('FORBIDDEN')
    expect((await edge.post({ query: fresh }, await as('admin'))).status).toBe(200)
  })

  it('each operation of one document for itself', async () => {
    const both = 'query Cheap { hello } mutation Dear { deleteItem }'
    expect((await edge.post({ query: both, operationName: 'Cheap' }, await as('viewer'))).status).toBe(200)
    expect((await edge.post({ query: both, operationName: 'Dear' }, await as('viewer'))).code).toBe(
      'FORBIDDEN',
    )
  })

  it('and for each value of its conditions', async () => {
    const conditional = 'query C($x: Boolean!) { hello ruleless @include(if: $x) }'
    for (const x of [false, true, false, true]) {
      const { code, status } = await edge.post({ query: conditional, variables: { x } })
      expect({ x, code, status }).toEqual({ x, code: x ? 'FORBIDDEN' : undefined, status: x ? 403 : 200 })
    }
  })

  it('the same text by two tenants gives each its own rows', async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const tenant = i % 2 ? 'acme' : 'globex'
        return (await edge.post({ query: '{ mine }' }, await as('viewer', tenant))).json.data?.mine === tenant
      }),
    )
    expect(answers.every(Boolean)).toBe(true)
  })
})

describe("D14: shield's own defaults are not in force", () => {
  it('a field without a rule is refused, alone and beside others, whatever the role', async () => {
    for (const query of [
      '{ ruleless }',
      '{ hello ruleless }',
      '{ a: ruleless }',
      'query { ...F } fragment F on Query { ruleless }',
    ]) {
      const { code, text } = await edge.post({ query }, await as('admin'))
      expect(code).toBe('FORBIDDEN')
      expect(text).not.toContain('seen by nobody')
    }
  })

  it('an error of a resolver keeps its code', async () => {
    const { json } = await edge.post({ query: '{ hello away }' })
    expect(json.data).toEqual({ hello: 'world', away: null })
    expect(json.errors?.[0]?.extensions).toMatchObject({
      code: 'SHARD_UNAVAILABLE',
      retryable: true,
      details: { shard: 'a' },
    })
  })
})

describe('D16: bombs are refused before validation', () => {
  const bombs: [string, string, string][] = [
    ['1,004 tokens of one name', `{${times(1_001, () => 'hello')}}`, 'documentTokens'],
    ['900 of one name', `{items{${times(900, () => 'id')}}}`, 'repeats'],
    ['150 levels', `{items${'{next'.repeat(150)}{id}${'}'.repeat(150)}}`, 'depth'],
    ['400 aliases', `{${times(200, (i) => `a${i}: hello`)}}`, 'aliases'],
    [
      'aliases through fragments',
      `{items{...A ...A ...A ...A}} fragment A on Item {${times(10, (i) => `a${i}: id`)}}`,
      'aliases',
    ],
    ['500 root fields', `{${times(25, () => 'hello')}}`, 'rootFields'],
    ['400 directives', `{hello ${times(300, () => '@skip')}}`, 'directives'],
    [
      '2^60 fields in 60 fragments',
      `{items{...F60}} fragment F0 on Item {id} ${times(60, (i) => `fragment F${i + 1} on Item {...F${i} ...{...F${i}}}`)}`,
      'repeats',
    ],
    [
      'introspection in introspection',
      `{__schema{types{${'fields{type{'.repeat(15)}name${'}}'.repeat(15)}}}}`,
      'depth',
    ],
    ['100 kB of brackets', `{echo(text: ${'['.repeat(100_000)}`, 'documentTokens'],
  ]
  it.each(bombs)('%s', async (_, query, limit) => {
    const { status, code, json } = await edge.post({ query })
    expect({ status, code }).toEqual({ status: 400, code: 'QUERY_TOO_COMPLEX' })
    expect(json.errors?.[0]?.extensions.details).toMatchObject({ limit })
    expect(json.errors).toHaveLength(1)
  })

  it('200 kB of comment and one long text are no bombs, and leave nothing behind', async () => {
    expect((await edge.post({ query: `#${'x'.repeat(200_000)}\n{ hello }` })).status).toBe(200)
    expect((await edge.post({ query: `{ echo(text: "${'x'.repeat(200_000)}") }` })).status).toBe(200)
  })

  it('many mistakes give a bounded answer', async () => {
    const { json, text } = await edge.post({
      query: `{${times(20, (i) => `nope${i}`)} items{${times(300, (i) => `no${i}`)}}}`.replace(
        /nope\d+/g,
        '',
      ),
    })
    expect(json.errors?.length).toBeLessThanOrEqual(21)
    expect(text.length).toBeLessThan(20_000)
  })

  it('a circle of fragments', async () => {
    const query = '{items{...A}} fragment A on Item {...B} fragment B on Item {...A}'
    expect((await edge.post({ query })).code).toBe('GRAPHQL_VALIDATION_FAILED')
  })
})
