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
  GraphQLNonNull,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
} from 'graphql'
import { isWritable, literal } from './literals.ts'
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
  /** Levels of input objects, arguments and fields above them counted; default 8. */
  readonly inputs?: number
  /** Whether input objects have one or two fields, because many conditions together leave no rows; default false. */
  readonly sparse?: boolean
  /** Chance that an argument is written into the document instead of travelling as a variable; default 0.25. */
  readonly written?: number
  /** Chance that a part of what is written is a variable all the same; default 0. */
  readonly holes?: number
  /** Chance that a variable has a default; default 0. */
  readonly defaults?: number
}

/** A document that can be asked again. */
export interface Repeatable {
  readonly operation: Operation
  /** Other values for the variables: nulls and missing ones among them, where the document allows that. */
  again(): Record<string, unknown>
}

/** One random operation of `schema`. */
export function randomOperation(
  schema: GraphQLSchema,
  kind: 'query' | 'mutation',
  random: Random,
  values: ValueSource,
  shape: Shape = {},
): Operation {
  return repeatableOperation(schema, kind, random, values, shape).operation
}

/** As `randomOperation`, with a way to other variables for the same document. */
export function repeatableOperation(
  schema: GraphQLSchema,
  kind: 'query' | 'mutation',
  random: Random,
  values: ValueSource,
  shape: Shape = {},
): Repeatable {
  const root = kind === 'query' ? schema.getQueryType() : schema.getMutationType()
  if (!root) throw new TypeError(`randomOperation: the schema has no ${kind}`)
  const writer = new Writer(schema, kind, random, values, shape)
  const selection = writer.roots(root)
  const declared = writer.declared.length > 0 ? `(${writer.declared.join(', ')})` : ''
  const operation = { kind, query: `${kind} Fuzz${declared} ${selection}`, variables: writer.variables }
  return { operation, again: () => writer.again() }
}

const DEFAULTS: Required<Shape> = {
  rootFields: 3,
  depth: 5,
  width: 5,
  inputs: 8,
  sparse: false,
  written: 0.25,
  holes: 0,
  defaults: 0,
}

/** Chance that an optional argument or input field is given. */
const GIVEN = 0.35

class Writer {
  readonly declared: string[] = []
  readonly variables: Record<string, unknown> = {}
  readonly #drawn: Drawn[] = []
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
    this.#shape = { ...DEFAULTS, ...shape }
  }

  again(): Record<string, unknown> {
    const entries = this.#drawn.map(({ name, isNullable, hasDefault, draw }) => {
      if (isNullable && this.#random.chance(0.06)) return [name, null] as const
      if ((isNullable || hasDefault) && this.#random.chance(0.1)) return [name, undefined] as const
      return [name, draw() ?? (isNullable || hasDefault ? undefined : this.variables[name])] as const
    })
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
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
      const place = [...path, arg.name]
      if (this.#random.chance(this.#shape.written) && isWritable(value))
        return [`${arg.name}: ${this.#literal(arg.type, value, place)}`]
      return [`${arg.name}: ${this.#variable(arg.type, value, place)}`]
    })
    return given.length > 0 ? `(${given.join(', ')})` : ''
  }

  #variable(type: GraphQLInputType, value: unknown, path: string[], input?: string): string {
    const name = `v${this.declared.length + 1}`
    const hasDefault = this.#happens('defaults') && value !== null && isWritable(value)
    this.declared.push(`$${name}: ${type}${hasDefault ? ` = ${literal(type, value)}` : ''}`)
    this.variables[name] = value
    const draw = () => this.#value(type, path, input)
    this.#drawn.push({ name, isNullable: !isNonNullType(type), hasDefault, draw })
    return `$${name}`
  }

  // Without drawing a number for what never happens: a seed means what it meant.
  #happens(what: 'holes' | 'defaults'): boolean {
    return this.#shape[what] > 0 && this.#random.chance(this.#shape[what])
  }

  /** As `literal`, with holes in it. */
  #literal(type: GraphQLInputType, value: unknown, path: string[], input?: string): string {
    const inner = getNullableType(type)
    if (value === null) return 'null'
    const part = (of: GraphQLInputType, item: unknown, at: string[], within?: string): string =>
      this.#happens('holes') ? this.#variable(of, item, at, within) : this.#literal(of, item, at, within)
    if (isListType(inner))
      return `[${(value as unknown[]).map((item) => part(inner.ofType, item, path, input)).join(', ')}]`
    if (!isInputObjectType(inner)) return literal(type, value)
    const fields = Object.entries(value as object).map(([name, item]) => {
      const { type: own } = inner.getFields()[name]!
      const of = inner.isOneOf ? new GraphQLNonNull(getNullableType(own)) : own
      return `${name}: ${part(of, item, [...path, name], inner.name)}`
    })
    return `{ ${fields.join(', ')} }`
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
    const deep = path.length > this.#shape.inputs
    const share = this.#shape.sparse ? 0.5 / fields.length : Math.max(GIVEN, 2 / fields.length) / 2
    const wanted = (field: GraphQLInputField): boolean =>
      isNonNullType(field.type) || (!deep && this.#random.chance(share))
    const some = fields.filter(wanted)
    const chosen =
      type.isOneOf || (this.#shape.sparse && some.length === 0) ? [this.#random.pick(fields)] : some
    const entries = chosen.map(
      (field) => [field.name, this.#value(field.type, [...path, field.name], type.name)] as const,
    )
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
  }
}

/** A variable, and how to get another value for it. */
interface Drawn {
  readonly name: string
  readonly isNullable: boolean
  readonly hasDefault: boolean
  draw(): unknown
}
