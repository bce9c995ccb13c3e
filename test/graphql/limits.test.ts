/** The contract of graphql/limits/limits.ts: each limit attacked inline, through fragments, nested, by alias. */

import { type DocumentNode, getIntrospectionQuery, parse } from 'graphql'
import { describe, expect, it } from 'vitest'
import { GatewayError } from '../../src/base/errors.ts'
import {
  checkDocument,
  type DocumentLimits,
  documentParser,
  FIXED_LIMITS,
  type LimitName,
  limitsPlugin,
} from '../../src/graphql/limits/limits.ts'

const limits: DocumentLimits = { documentTokens: 1_000, depth: 5, aliases: 4, rootFields: 3 }
const roomy: DocumentLimits = { documentTokens: 100_000, depth: 100, aliases: 1_000, rootFields: 1_000 }

function refusal(text: string, given: DocumentLimits = limits): GatewayError {
  try {
    checkDocument(text, given)
  } catch (error) {
    if (error instanceof GatewayError) return error
    throw error
  }
  throw new Error('was not refused')
}

function expectRefused(text: string, limit: LimitName, given: DocumentLimits = limits): void {
  const { code, details, message } = refusal(text, given)
  expect({ code, limit: details.limit }).toEqual({ code: 'QUERY_TOO_COMPLEX', limit })
  expect(details.asked).toBeGreaterThan(details.allowed as number)
  expect(message).toContain(String(details.allowed))
}

const times = (count: number, text: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => text(i)).join(' ')

/** `{a{a{… leaf …}}}`, `levels` fields around `leaf`. */
const nested = (levels: number, leaf: string): string => '{a'.repeat(levels) + leaf + '}'.repeat(levels)

describe('what honest clients send', () => {
  it.each([
    ['at every limit at once', '{ x: a { y: b { z: c { w: d { e } } } } b c }'],
    ['several operations, each within', 'query A { a b c } query B { a b c }'],
    ['a fragment that nothing spreads', '{ a } fragment F on Q { b }'],
    ['a fragment that is missing', '{ ...Nowhere }'],
    ['a fragment of more fields than a root may have', '{ a { ...F } } fragment F on Q { b c d e f g }'],
    ['type definitions', 'type A { a: Int }'],
  ])('%s', (_, text) => {
    expect(checkDocument(text, limits).kind).toBe('Document')
  })

  it('a page of components that each bring their fragment', () => {
    const text = `{ a { ${times(30, (i) => `...F${i}`)} } } ${times(30, (i) => `fragment F${i} on Q { id f${i} }`)}`
    expect(checkDocument(text, limits).definitions).toHaveLength(31)
  })

  it.each([
    {},
    { descriptions: true, specifiedByUrl: true, inputValueDeprecation: true, schemaDescription: true },
    { directiveIsRepeatable: true, oneOf: true },
  ])('the standard introspection query, with %j', (options) => {
    const shallow = { ...limits, depth: 2 }
    expect(checkDocument(getIntrospectionQuery(options), shallow).kind).toBe('Document')
  })

  it('takes a document that is parsed already', () => {
    const document = parse('{ a }')
    expect(checkDocument(document, limits)).toBe(document)
    expect(() => checkDocument(parse(nested(9, 'a')), limits)).toThrow(GatewayError)
  })
})

describe('text that is not GraphQL', () => {
  it.each([
    '',
    '{',
    '{ a(',
    'query { a } }',
    '"',
    '{ a: }',
    '\u0000',
    '{ "a" }',
    '﻿﻿',
    'fragment on on T { a }',
  ])('%j is told its place', (text) => {
    const { code, message, details } = refusal(text)
    expect(code).toBe('GRAPHQL_PARSE_FAILED')
    expect(message).toMatch(/line \d+, column \d+/)
    expect(details.line).toBeGreaterThan(0)
  })
})

describe('depth', () => {
  it('inline', () => expectRefused(nested(5, '{b}'), 'depth'))
  it('through a fragment', () => expectRefused(`${nested(3, '{...F}')} fragment F on Q {a{b{c}}}`, 'depth'))
  it('through nested fragments', () => {
    expectRefused(
      '{...A} fragment A on Q {a{...B}} fragment B on Q {a{...C}} fragment C on Q {a{a{a{b}}}}',
      'depth',
    )
  })
  it('through inline fragments', () => {
    expectRefused('{a{...on Q{a{...{a{...on Q{a{... @include(if: true){a{b}}}}}}}}}}', 'depth')
  })
  it('through aliases', () => expectRefused('{a{a{x:a{a{y:a{b}}}}}}', 'depth'))
  it('in the second operation', () => expectRefused(`query A{a} query B${nested(5, '{b}')}`, 'depth'))
  it('in a fragment that is spread before it is defined, and after a shallow twin', () => {
    expectRefused(`{ ...S ...D } fragment S on Q {a} fragment D on Q ${nested(5, '{b}')}`, 'depth')
  })
  it('under a field that pretends to be introspection', () => {
    expectRefused(`{ __type ${nested(40, '{b}')} }`, 'introspectionDepth', roomy)
    expectRefused(`{ x: __schema ${nested(40, '{b}')} }`, 'introspectionDepth', roomy)
    expectRefused(`{ ...F } fragment F on Q { __schema ${nested(40, '{b}')} }`, 'introspectionDepth', roomy)
  })
  it('beside introspection', () =>
    expectRefused(`{ __schema { types { name } } a ${nested(5, '{b}')} }`, 'depth'))
})

describe('aliases', () => {
  const five = times(5, (i) => `x${i}: b`)
  it('inline', () => expectRefused(`{a{${five}}}`, 'aliases'))
  it('through a fragment', () => expectRefused(`{a{...F}} fragment F on Q {${five}}`, 'aliases'))
  it('through one fragment spread often', () => {
    expectRefused(`{a{...F} b{...F} c{...F}} fragment F on Q {x: a y: b}`, 'aliases')
  })
  it('through nested fragments', () => {
    expectRefused('{a{...A ...B}} fragment A on Q {a{...B}} fragment B on Q {x: a y: b z: c}', 'aliases')
  })
  it('through inline fragments', () =>
    expectRefused('{a{...{x:a y:a} ...on Q{z:a w:a ...{v:a}}}}', 'aliases'))
})

describe('fields at the top', () => {
  it('inline', () => expectRefused('{a b c d}', 'rootFields'))
  it('of a mutation', () => expectRefused('mutation {a b c d}', 'rootFields'))
  it('through a fragment', () => expectRefused('{a ...F} fragment F on Q {b c d}', 'rootFields'))
  it('through nested fragments', () => {
    expectRefused('{...A ...B} fragment A on Q {a ...B} fragment B on Q {b c}', 'rootFields')
  })
  it('through inline fragments', () => expectRefused('{a ...{b ...{c ...{d}}}}', 'rootFields'))
  it('through aliases', () => expectRefused('{w:a x:a y:a z:a}', 'rootFields'))
  it('repeated', () => expectRefused('{a a a a}', 'rootFields'))
})

describe('the same name again', () => {
  const many = FIXED_LIMITS.repeats + 1
  it('inline', () => expectRefused(`{a{${times(many, () => 'b')}}}`, 'repeats'))
  it('through one fragment spread often', () => {
    expectRefused(`{a{${times(many, () => '...F')}}} fragment F on Q {b}`, 'repeats')
  })
  it('through many fragments', () => {
    expectRefused(
      `{a{${times(many, (i) => `...F${i}`)}}} ${times(many, (i) => `fragment F${i} on Q {b}`)}`,
      'repeats',
    )
  })
  it('through nested fragments', () => {
    const chain = times(many, (i) => `fragment F${i} on Q {b ...F${i + 1}}`)
    expectRefused(`{a{...F0}} ${chain}`, 'repeats')
  })
  it('through inline fragments', () => expectRefused(`{a{${times(many, () => '...{b}')}}}`, 'repeats'))
  it('through one alias', () => {
    expectRefused(`{a{${times(many, (i) => `x: b${i}`)}}}`, 'repeats', roomy)
  })
  it('in a fragment that nothing spreads', () => {
    expectRefused(`{a} fragment F on Q {${times(many, () => 'b')}}`, 'repeats')
  })
})

describe('directives', () => {
  const many = times(FIXED_LIMITS.directives + 1, () => '@skip(if: false)')
  it.each([
    ['on a field', `{a ${many}}`],
    ['on a fragment', `{...F} fragment F on Q {a ${many}}`],
    ['on a spread', `{...F ${many}} fragment F on Q {a}`],
    ['on an inline fragment', `{... ${many} {a}}`],
    ['on an operation', `query ${many} {a}`],
    ['on a variable', `query ($a: Int ${many}) {a}`],
    ['through one fragment spread often', `{${times(20, () => '...F')}} fragment F on Q {a @x @x @x}`],
    [
      'through nested fragments',
      '{...A ...A ...A ...A} fragment A on Q {...B ...B ...B ...B} fragment B on Q {a @x @x @x @x}',
    ],
  ])('%s', (_, text) => {
    expectRefused(text, 'directives', roomy)
  })

  const stack = times(FIXED_LIMITS.stacked + 1, () => '@skip(if: false)')
  it.each([
    ['on a field', `{a ${stack}}`],
    ['below a field', `{a {b ${stack}}}`],
    ['on a fragment', `{...F} fragment F on Q {a ${stack}}`],
    ['in a fragment that nothing spreads', `{a} fragment F on Q {a {b ${stack}}}`],
    ['on a spread', `{...F ${stack}} fragment F on Q {a}`],
    ['on an inline fragment', `{... ${stack} {a}}`],
    ['on an operation', `query ${stack} {a}`],
    ['on a variable', `query ($a: Int ${stack}) {a}`],
  ])('heaped up %s', (_, text) => {
    expectRefused(text, 'stacked', roomy)
  })
})

describe('short documents that stand for huge ones', () => {
  const doubling = (count: number, body: (i: number) => string): string =>
    `{a{...F${count}}} fragment F0 on Q {leaf} ${times(count, (i) => `fragment F${i + 1} on Q {${body(i)}}`)}`

  it.each([
    ['2^60 by spreading twice', doubling(60, (i) => `...F${i} ...F${i}`), 'repeats'],
    ['2^60 by spreading inline twice', doubling(60, (i) => `...{...F${i}} ...{...F${i}}`), 'repeats'],
    ['3^20 by nesting', doubling(20, (i) => `a{...F${i}} b{...F${i}} c{...F${i}}`), 'fields'],
    ['2^20 by aliases', doubling(20, (i) => `x:a{...F${i}} y:a{...F${i}}`), 'aliases'],
  ] as const)('%s', (_, text, limit) => {
    expectRefused(text, limit, { ...roomy, documentTokens: 1_000 })
  })

  it('are measured in one step a fragment, however often each is reached', () => {
    // No bound is passed here, because nothing is selected: without memory this takes 2^60 steps.
    const text = doubling(60, (i) => `...{...F${i}} ...{...F${i}}`).replace('{leaf}', '{...Nowhere}')
    expect(checkDocument(text, roomy).definitions).toHaveLength(62)
  })
})

describe('circles', () => {
  it.each([
    '{...A} fragment A on Q {...A}',
    '{...A} fragment A on Q {a{...B}} fragment B on Q {b{...C}} fragment C on Q {...A}',
    '{a} fragment A on Q {...B} fragment B on Q {...{...A}}',
  ])('%s', (text) => {
    const { code, message } = refusal(text)
    expect(code).toBe('GRAPHQL_VALIDATION_FAILED')
    expect(message).toContain('spreads itself')
  })
})

describe('tokens and levels', () => {
  it('tokens', () => expectRefused(`{a(b: [${times(1_000, () => '1')}])}`, 'documentTokens'))
  it('counts them before it builds anything', () => {
    expectRefused('{a'.repeat(1_000_000), 'documentTokens')
  })
  it.each([
    ['inline fragments', (n: number) => `{${'...{'.repeat(n)}a${'}'.repeat(n)}}`],
    [
      'a chain of fragments',
      (n: number) => `{...F0} ${times(n, (i) => `fragment F${i} on Q {...F${i + 1}}`)}`,
    ],
    ['fields', (n: number) => nested(n, '{b}')],
    ['lists', (n: number) => `{a(b: ${'['.repeat(n)}${']'.repeat(n)})}`],
  ])('levels of %s never fill the stack', (_, text) => {
    const huge = { ...roomy, depth: 1e9, documentTokens: 1e9 }
    expect(refusal(text(30_000), huge).code).toBe('QUERY_TOO_COMPLEX')
  })
})

describe('D16: validation never sees what would keep it busy', () => {
  const defaults = { documentTokens: 1_000, depth: 12, aliases: 30, rootFields: 20 }
  it.each([
    ['one name 960 times', `{a{${times(960, () => 'b')}}}`, 'repeats'],
    ['400 pairs of selections to merge', `{a{${times(240, () => 'a{b}')}}}`, 'repeats'],
    ['20,000 tokens', `{a{${times(20_000, () => 'b')}}}`, 'documentTokens'],
    ['400 directives', `{a ${times(400, () => '@x')}}`, 'directives'],
    ['100 levels', nested(100, '{b}'), 'depth'],
  ] as const)('%s', (_, text, limit) => {
    expectRefused(text, limit, defaults)
  })
})

describe('the plugin', () => {
  function parserOf(getLimits: () => DocumentLimits): (text: string) => DocumentNode {
    let parser: ((text: string) => DocumentNode) | undefined
    const setParseFn = (given: typeof parser): void => {
      parser = given
    }
    limitsPlugin(documentParser(getLimits)).onParse?.({ setParseFn } as never)
    if (!parser) throw new Error('the plugin set no parser')
    return parser
  }

  it('parses a text once', () => {
    const parser = parserOf(() => limits)
    expect(parser('{ a }')).toBe(parser('{ a }'))
  })

  it('forgets what passed when the limits change', () => {
    let now = roomy
    const parser = parserOf(() => now)
    const text = nested(20, '{b}')
    expect(parser(text).kind).toBe('Document')
    now = limits
    expect(() => parser(text)).toThrow(GatewayError)
    now = { ...roomy }
    expect(parser(text).kind).toBe('Document')
  })
})
