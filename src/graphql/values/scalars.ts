/**
 * Scalars: values as Postgres writes them, so that nothing is lost on the way.
 *
 * Dates and exact numbers stay text end to end: JavaScript's Date has no microseconds (a cursor made from
 * it skips rows) and its numbers have 53 bits. Inputs are checked for their form here, so that the error
 * can name the place in the document; Postgres checks the value.
 */

import {
  type FloatValueNode,
  GraphQLError,
  GraphQLFloat,
  type GraphQLScalarType,
  type IntValueNode,
  Kind,
  type ValueNode,
} from 'graphql'
import type { ScalarName } from '../../model/scalar-names.ts'

export interface ScalarRule {
  readonly description: string
  readonly specifiedByURL?: string
  /** Whether a text has the scalar's form. */
  readonly accepts: (text: string) => boolean
  /** Whether a JSON number may stand for the text; default false. */
  readonly numbers?: boolean
}

const matches = (form: RegExp) => (text: string) => form.test(text)
const isText = (text: string) => !text.includes('\0')
const integerText = /^[+-]?\d{1,19}$/
const isBigInt = (text: string) =>
  integerText.test(text) && BigInt.asIntN(64, BigInt(text.replace('+', ''))) === BigInt(text.replace('+', ''))

export const SCALARS = {
  BigInt: {
    description: 'An integer of 64 bits, as text: "9007199254740993". Numbers are accepted as input.',
    accepts: isBigInt,
    numbers: true,
  },
  Decimal: {
    description: 'An exact number of any size, as text: "12.50". Numbers are accepted as input.',
    // Six characters with an exponent of four digits would come back as 10,000.
    accepts: matches(/^([+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?|NaN|[+-]?Infinity)$/),
    numbers: true,
  },
  UUID: {
    description: 'A UUID in lower case: "0190c3f2-7a51-7c8e-9c1b-1f2d3e4a5b6c".',
    specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc9562',
    accepts: matches(/^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/),
  },
  Date: {
    description: 'A calendar date: "2026-03-29".',
    accepts: matches(/^\d{4,7}-\d\d-\d\d( BC)?$|^-?infinity$/),
  },
  Time: {
    description:
      'A time of day with microseconds: "13:45:00.000001", with "+02" where the column has a zone.',
    accepts: matches(/^\d\d:\d\d(:\d\d(\.\d{1,6})?)?([+-]\d\d(:?\d\d){0,2}|Z)?$/),
  },
  DateTime: {
    description:
      'A moment with microseconds, as Postgres writes it, in UTC where the column has a zone: "2026-03-29 01:59:59.999999+00". ISO 8601 is accepted as input.',
    accepts: matches(
      /^\d{4,6}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?( ?([+-]\d\d(:?\d\d){0,2}|Z))?)?( BC)?$|^-?infinity$/,
    ),
  },
  Interval: {
    description: 'A span of time in ISO 8601: "P1DT2H".',
    accepts: isText,
  },
  JSON: { description: 'Any JSON value.', accepts: isText },
  Bytes: {
    description: 'Binary data in hexadecimal: "\\\\x48656c6c6f".',
    accepts: matches(/^\\x([0-9a-fA-F]{2})*$/),
  },
  PgText: {
    description: 'A value of a Postgres type without a scalar of its own, as Postgres writes it.',
    accepts: isText,
  },
  Inet: {
    description: 'An address of IPv4 or IPv6, with its network or without: "192.168.1.5/24".',
    specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc4632',
    accepts: isText,
  },
  Cidr: {
    description: 'A network of IPv4 or IPv6: "10.0.0.0/8".',
    specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc4632',
    accepts: isText,
  },
  MacAddress: {
    description: 'A MAC address of 6 or 8 bytes: "08:00:2b:01:02:03".',
    specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc9542',
    accepts: isText,
  },
  BitString: { description: 'Bits, as text: "0101".', accepts: matches(/^[01]*$/) },
  XML: {
    description: 'A document or a piece of one, as text: "<a>1</a>".',
    specifiedByURL: 'https://www.w3.org/TR/xml/',
    accepts: isText,
  },
  TsVector: {
    description: "Words prepared for search, as Postgres writes them: \"'fat':2 'rat':3\".",
    accepts: isText,
  },
  TsQuery: { description: "A search for words, as Postgres writes it: \"'fat' & 'rat'\".", accepts: isText },
  PgLsn: { description: 'A place in the write-ahead log: "16/B374D848".', accepts: isText },
  PgPoint: { description: 'A point: "(1.5,2)".', accepts: isText },
  PgLine: { description: 'A line Ax + By + C = 0: "{1,-1,0}".', accepts: isText },
  PgLineSegment: { description: 'A line between two points: "[(0,0),(1,1)]".', accepts: isText },
  PgBox: { description: 'A box by two of its corners: "(1,1),(0,0)".', accepts: isText },
  PgPath: {
    description: 'Points in a row: "[(0,0),(1,1)]", in round brackets when it is closed.',
    accepts: isText,
  },
  PgPolygon: { description: 'A polygon by its corners: "((0,0),(1,1),(2,0))".', accepts: isText },
  PgCircle: { description: 'A circle by its centre and radius: "<(0,0),1.5>".', accepts: isText },
} satisfies Record<Exclude<ScalarName, 'Boolean' | 'Int' | 'Float' | 'String'>, ScalarRule>

type ScalarConfig = Pick<GraphQLScalarType, 'serialize' | 'parseValue' | 'parseLiteral'>

/** How a text scalar is read and written. JSON values travel as JSON and arrive in Postgres as its text. */
export function scalarConfig(name: keyof typeof SCALARS): ScalarConfig {
  if (name === 'JSON') return jsonConfig
  const rule: ScalarRule = SCALARS[name]
  // Of a variable graphql-js tells the place; of a literal it passes this error on as it is.
  const parse = (value: unknown, node?: ValueNode): string => {
    const text = typeof value === 'number' && rule.numbers ? String(value) : value
    if (typeof text === 'string' && rule.accepts(text)) return text
    const wanted = `A ${name} was wanted, for example ${example(rule)}`
    throw new GraphQLError(`${wanted}; ${came(value)} came.`, { nodes: node ?? null })
  }
  return {
    serialize: (value) => value,
    parseValue: (value) => parse(value),
    parseLiteral: (node) => parse(literalText(node, rule), node),
  }
}

const example = (rule: ScalarRule): string => /"[^"]+"/.exec(rule.description)?.[0] ?? 'a text'

function came(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : `a value of type ${typeof value}`
}

function literalText(node: ValueNode, rule: ScalarRule): unknown {
  if (node.kind === Kind.STRING) return node.value
  if (node.kind !== Kind.INT && node.kind !== Kind.FLOAT) return null
  return rule.numbers ? node.value : Number(node.value)
}

/** A JSON value on its way to Postgres: the wrapper tells it from a text that merely looks like JSON. */
export class JsonInput {
  readonly text: string

  /** @throws GraphQLError  a number that the request's parser could not hold, and JSON.stringify would call null */
  constructor(value: unknown) {
    if (holdsInfinity(value))
      throw new GraphQLError('A JSON number in a variable is too large to be held; write it in the document.')
    this.text = JSON.stringify(value)
  }
}

// A walk of its own: a replacer function makes JSON.stringify fail on half as deep a value.
function holdsInfinity(value: unknown): boolean {
  const left = [value]
  while (left.length > 0) {
    const item = left.pop()
    if (item === Number.POSITIVE_INFINITY || item === Number.NEGATIVE_INFINITY) return true
    if (typeof item === 'object' && item !== null) for (const part of Object.values(item)) left.push(part)
  }
  return false
}

const jsonConfig: ScalarConfig = {
  serialize: (value) => value,
  parseValue: (value) => new JsonInput(value),
  parseLiteral: (node, variables) => new JsonInput(literalJson(node, variables)),
}

function literalJson(node: ValueNode, variables: Record<string, unknown> | null | undefined): unknown {
  switch (node.kind) {
    case Kind.INT:
    case Kind.FLOAT:
      return exactNumber(jsonNumber(node))
    case Kind.STRING:
    case Kind.ENUM:
    case Kind.BOOLEAN:
      return node.value
    case Kind.NULL:
      return null
    case Kind.LIST:
      return node.values.map((item) => literalJson(item, variables))
    case Kind.OBJECT:
      return Object.fromEntries(
        node.fields.map((field) => [field.name.value, literalJson(field.value, variables)]),
      )
    case Kind.VARIABLE: {
      const value = variables?.[node.name.value]
      return value instanceof JsonInput ? parseJson(value.text) : value
    }
  }
}

/**
 * JSON text as a value that `JSON.stringify` writes with all its digits: numbers with more than a double holds
 * are objects that only it understands.
 */
export function parseJson(text: string): unknown {
  // Each number is looked at only where one is long enough to lose anything.
  if (!/\d[\d.]{15}|\d[eE]/.test(text)) return JSON.parse(text)
  return parseWithSources(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined ? exactNumber(source) : value,
  )
}

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown
// TypeScript does not know either yet; Node has both since 21.
const parseWithSources = JSON.parse as (text: string, reviver: Reviver) => unknown
const { rawJSON } = JSON as unknown as { rawJSON(text: string): object }

// A number is given back with all its digits: "1e131071" would be 131,072 of them.
function jsonNumber(node: IntValueNode | FloatValueNode): string {
  if (SCALARS.Decimal.accepts(node.value)) return node.value
  const wanted = 'An exponent of a JSON number has three digits at most'
  throw new GraphQLError(`${wanted}; ${came(node.value)} came.`, { nodes: node })
}

function exactNumber(source: string): unknown {
  const number = Number(source)
  return String(number) === source ? number : rawJSON(source)
}

const NOT_FINITE: ReadonlySet<unknown> = new Set(['NaN', 'Infinity', '-Infinity'])

/**
 * Let GraphQL's own Float carry what Postgres's does: NaN and the infinities, as text. A number with a scalar
 * of its own would be foreign to every client, and one such row must not fail its field.
 *
 * The built-in type is one object for the whole process and Pothos takes no other, so it is changed in place.
 */
export function widenFloat(): void {
  if (widened) return
  widened = true
  const { serialize, parseValue, parseLiteral } = GraphQLFloat
  const isText = (value: unknown): value is string => NOT_FINITE.has(value)
  GraphQLFloat.description =
    'A number of 64 bits. What is not finite is text: "NaN", "Infinity", "-Infinity".'
  Object.assign(GraphQLFloat, {
    serialize: (value: unknown) =>
      typeof value === 'number' && !Number.isFinite(value) ? String(value) : serialize(value),
    parseValue: (value: unknown) => (isText(value) ? value : parseValue(value)),
    parseLiteral: (node: ValueNode) =>
      node.kind === Kind.STRING && isText(node.value) ? node.value : parseLiteral(node),
  })
}
let widened = false
