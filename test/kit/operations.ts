/**
 * Random GraphQL operations that a schema allows: a pure function of the schema, a stream of chance and a
 * source of values.
 *
 * The documents are always valid, so that what is tested lies behind validation; values may be anything
 * that the source gives. A part of the arguments is written into the document, the rest travels as
 * variables, as clients do both.
 */

import {
  type GraphQLArgument,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputObjectType,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
} from 'graphql'
import type { Random } from './random.ts'

/** Where a value is wanted. */
export interface Place {
  /** Name of the scalar. */
  readonly type: string
  /** Root field, argument, then the fields of input objects: ['tasks', 'filter', 'title', 'eq']. */
  readonly path: readonly string[]
  readonly operation: 'query' | 'mutation'
  /** The input type whose field it is; undefined for an argument. */
  readonly input?: string
}

/** Gives a value for a scalar, as JSON; undefined leaves an optional place out. */
export type ValueSource = (place: Place, random: Random) => unknown

export interface Operation {
  readonly kind: 'query' | 'mutation'
  readonly query: string
  readonly variables: Readonly<Record<string, unknown>>
}

export interface Shape {
  /** Fields at the top, at most; default 3. */
  readonly rootFields?: number
  /** Levels of fields; default 5. */
  readonly depth?: number
  /** Fields of one selection, at most; default 5. */
  readonly width?: number
}

/** One random operation of `schema`. */
export function randomOperation(
  schema: GraphQLSchema,
  kind: 'query' | 'mutation',
  random: Random,
  values: ValueSource,
  shape: Shape = {},
): Operation {
  const root = kind === 'query' ? schema.getQueryType() : schema.getMutationType()
  if (!root) throw new TypeError(`randomOperation: the schema has no ${kind}`)
  const writer = new Writer(schema, kind, random, values, shape)
  const selection = writer.roots(root)
  const declared = writer.declared.length > 0 ? `(${writer.declared.join(', ')})` : ''
  return { kind, query: `${kind} Fuzz${declared} ${selection}`, variables: writer.variables }
}

/** Chance that an argument is written into the document instead of travelling as a variable. */
const INLINE = 0.25
/** Chance that an optional argument or input field is given. */
const GIVEN = 0.35

class Writer {
  readonly declared: string[] = []
  readonly variables: Record<string, unknown> = {}
  readonly #schema: GraphQLSchema
  readonly #kind: 'query' | 'mutation'
  readonly #random: Random
  readonly #values: ValueSource
  readonly #shape: Required<Shape>
  #aliases = 0

  constructor(
    schema: GraphQLSchema,
    kind: 'query' | 'mutation',
    random: Random,
    values: ValueSource,
    shape: Shape,
  ) {
    this.#schema = schema
    this.#kind = kind
    this.#random = random
    this.#values = values
    this.#shape = { rootFields: 3, depth: 5, width: 5, ...shape }
  }

  roots(root: GraphQLObjectType): string {
    const fields = Object.values(root.getFields())
    const count = 1 + this.#random.int(this.#shape.rootFields)
    const chosen = Array.from({ length: count }, () => this.#random.pick(fields))
    return `{ ${chosen.map((field) => this.#field(field, [field.name], 1, this.#alias())).join(' ')} }`
  }

  #alias(): string {
    return `f${++this.#aliases}`
  }

  #field(field: GraphQLField<unknown, unknown>, path: string[], depth: number, alias = ''): string {
    const type = getNamedType(field.type)
    const name = alias ? `${alias}: ${field.name}` : field.name
    const head = `${name}${this.#arguments(field.args, path)}`
    return isCompositeType(type) ? `${head} ${this.#selection(type, path, depth + 1)}` : head
  }

  #selection(type: GraphQLCompositeType, path: string[], depth: number): string {
    if (isAbstractType(type)) return this.#fragments(type, path, depth)
    const fields = this.#random
      .shuffle(Object.values(type.getFields()))
      .filter((field) => this.#fits(field, depth))
    const chosen = fields.slice(0, 1 + this.#random.int(this.#shape.width))
    const parts = chosen.map((field) => this.#field(field, [...path, field.name], depth))
    return `{ ${['__typename', ...parts].slice(parts.length > 0 && this.#random.chance(0.7) ? 1 : 0).join(' ')} }`
  }

  // Names are prefixed by their type: two types may have fields of one name and different shapes, which a
  // selection may not merge.
  #fragments(type: Parameters<GraphQLSchema['getPossibleTypes']>[0], path: string[], depth: number): string {
    const types = this.#random.shuffle([...this.#schema.getPossibleTypes(type)]).slice(0, 3)
    const fragments = types.map((possible) => {
      const fields = this.#random
        .shuffle(Object.values(possible.getFields()))
        .filter((field) => this.#fits(field, depth))
        .slice(0, 3)
      const parts = fields.map((field) =>
        this.#field(field, [...path, field.name], depth, `${possible.name}_${field.name}`),
      )
      return parts.length > 0 ? `... on ${possible.name} { ${parts.join(' ')} }` : ''
    })
    return `{ __typename ${fragments.join(' ')} }`
  }

  #fits(field: GraphQLField<unknown, unknown>, depth: number): boolean {
    if (isLeafType(getNamedType(field.type))) return true
    return depth < this.#shape.depth && this.#random.chance(1 / depth + 0.3)
  }

  #arguments(args: readonly GraphQLArgument[], path: string[]): string {
    const given = args.flatMap((arg) => {
      if (!isNonNullType(arg.type) && !this.#random.chance(GIVEN)) return []
      const value = this.#value(arg.type, [...path, arg.name])
      if (value === undefined) return []
      if (this.#random.chance(INLINE) && hasOnlyNames(value))
        return [`${arg.name}: ${literal(arg.type, value)}`]
      const name = `v${this.declared.length + 1}`
      this.declared.push(`$${name}: ${arg.type}`)
      this.variables[name] = value
      return [`${arg.name}: $${name}`]
    })
    return given.length > 0 ? `(${given.join(', ')})` : ''
  }

  #value(type: GraphQLInputType, path: string[], input?: string): unknown {
    if (isNonNullType(type))
      return this.#value(type.ofType, path, input) ?? this.#value(type.ofType, path, input)
    if (isListType(type)) {
      // An empty list of what to group by is refused, and the whole operation with it.
      const least = path.at(-1) === 'by' ? 1 : 0
      const length = Math.max(least, this.#random.int(4))
      const items = Array.from({ length }, () => this.#value(type.ofType, path, input))
      return items.filter((item) => item !== undefined)
    }
    if (isEnumType(type)) return this.#random.pick(type.getValues()).name
    if (isInputObjectType(type)) return this.#inputObject(type, path)
    const place = { type: type.name, path, operation: this.#kind, ...(input && { input }) }
    return this.#values(place, this.#random)
  }

  #inputObject(type: GraphQLInputObjectType, path: string[]): Record<string, unknown> {
    const fields = Object.values(type.getFields())
    const deep = path.length > 8
    const wanted = (field: GraphQLInputField): boolean =>
      isNonNullType(field.type) || (!deep && this.#random.chance(Math.max(GIVEN, 2 / fields.length) / 2))
    const chosen = type.isOneOf ? [this.#random.pick(fields)] : fields.filter(wanted)
    const entries = chosen.map(
      (field) => [field.name, this.#value(field.type, [...path, field.name], type.name)] as const,
    )
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
  }
}

/** A JSON value in the words of the document. */
function literal(type: GraphQLInputType, value: unknown): string {
  if (isNonNullType(type)) return literal(type.ofType, value)
  if (value === null) return 'null'
  if (isListType(type)) {
    return `[${(value as unknown[]).map((item) => literal(type.ofType, item)).join(', ')}]`
  }
  if (isEnumType(type)) return String(value)
  if (!isInputObjectType(type)) return jsonLiteral(value)
  const fields = type.getFields()
  const parts = Object.entries(value as object).map(
    ([name, item]) => `${name}: ${literal(fields[name]!.type, item)}`,
  )
  return `{ ${parts.join(', ')} }`
}

/** Whether every key is a name, as the document wants it; a JSON value may have any. */
function hasOnlyNames(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  const keys = Array.isArray(value) ? [] : Object.keys(value)
  return keys.every((key) => /^[_A-Za-z]\w*$/.test(key)) && Object.values(value).every(hasOnlyNames)
}

// Values of scalars such as JSON may be objects; GraphQL writes their keys without quotes.
function jsonLiteral(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonLiteral).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{ ${Object.entries(value)
    .map(([key, item]) => `${key}: ${jsonLiteral(item)}`)
    .join(', ')} }`
}
