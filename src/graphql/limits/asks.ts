/**
 * What an operation asks of tables, as a tree without columns: read from its document once, for demand.ts.
 *
 * Fields of one response name are one, as the executor takes them: a page of components that each bring their own
 * fragment asks once for what they share. What @skip and @include say, and every number, may hang on a variable, and is
 * a function then.
 */

import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValueNode,
  valueFromASTUntyped,
} from 'graphql'
import { meaningOf } from '../meanings.ts'
import type { PageSizes } from '../pages.ts'
import { fragmentsOf } from '../permissions/touched-fields.ts'
import { PRICES } from './cost.ts'
import { countObjects } from './inputs.ts'

/** What a request brings. */
export interface Values {
  readonly sizes: PageSizes
  /** Of a variable, or its default. */
  value(name: string): unknown
  /** Told of each page that is asked for by a number. */
  askPage(size: number): void
}

type Amount = (values: Values) => number

interface Asked {
  readonly isIn: (values: Values) => boolean
  readonly points: number | Amount
  readonly below: readonly Ask[]
}

/** Rows for each parent or, of groups and of written rows, once for the whole list; or an object that is no row. */
export type Ask =
  | (Asked & { readonly kind: 'each' | 'once'; readonly rows: Amount })
  | (Asked & { readonly kind: 'object' })

export interface Asks {
  readonly asks: readonly Ask[]
  /** Of variables. */
  readonly defaults: ReadonlyMap<string, unknown>
  /** No variable counts. */
  readonly isConstant: boolean
}

/** @param document  valid, and within its limits */
export function asksOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): Asks {
  const reader = new Reader(schema, document)
  const root = schema.getRootType(operation.operation)
  const at = { set: operation.selectionSet, parent: root!, guards: [] }
  const price = operation.operation === OperationTypeNode.MUTATION ? PRICES.write : PRICES.part
  const asks = root ? reader.under([at], price) : []
  const defaults = (operation.variableDefinitions ?? []).flatMap(({ variable, defaultValue }) =>
    defaultValue ? [[variable.name.value, valueFromASTUntyped(defaultValue)] as const] : [],
  )
  return { asks, defaults: new Map(defaults), isConstant: reader.isConstant }
}

/** A variable that leaves out what it stands at. */
interface Guard {
  readonly variable: string
  /** What it has to be for that; whatever is no boolean leaves nothing out, and execution refuses it. */
  readonly leavesOutIf: boolean
}

interface Place {
  readonly set: SelectionSetNode
  readonly parent: GraphQLNamedType
  /** All of them apply. */
  readonly guards: readonly Guard[]
}

/** The fields of one response name. */
interface Selected {
  readonly field: GraphQLField<unknown, unknown>
  readonly node: FieldNode
  readonly places: Place[]
  /** One of them has to let it in. */
  readonly ways: (readonly Guard[])[]
}

class Reader {
  isConstant = true
  readonly #schema: GraphQLSchema
  readonly #fragments: ReadonlyMap<string, FragmentDefinitionNode>

  constructor(schema: GraphQLSchema, document: DocumentNode) {
    this.#schema = schema
    this.#fragments = fragmentsOf(document)
  }

  /** @param price  of each field at the top of the operation */
  under(places: readonly Place[], price?: number): Ask[] {
    const found = new Map<string, Selected>()
    for (const place of places) this.#collect(place, found)
    return [...found.values()].flatMap((selected) => {
      const ask = this.#ask(selected, price)
      const isNothing = ask.kind === 'object' && ask.points === 0 && ask.below.length === 0
      return isNothing ? [] : [ask]
    })
  }

  #collect({ set, parent, guards: around }: Place, found: Map<string, Selected>): void {
    for (const selection of set.selections) {
      const own = guardsOf(selection)
      if (!own) continue
      const guards = own.length > 0 ? [...around, ...own] : around
      if (selection.kind === Kind.FIELD) {
        addField(selection, parent, guards, found)
        continue
      }
      const isSpread = selection.kind === Kind.FRAGMENT_SPREAD
      const fragment = isSpread ? this.#fragments.get(selection.name.value) : selection
      const on = fragment?.typeCondition && this.#schema.getType(fragment.typeCondition.name.value)
      if (fragment) this.#collect({ set: fragment.selectionSet, parent: on ?? parent, guards }, found)
    }
  }

  #ask({ field, node, places, ways }: Selected, price: number | undefined): Ask {
    const below = this.under(places)
    const isIn = this.#isIn(ways)
    if (price === PRICES.write) return { isIn, below, ...this.#write(field, node) }
    const meaning = meaningOf(field)
    if (takes(field, 'first', 'last')) {
      return { kind: 'each', isIn, points: PRICES.part, rows: this.#page(node, 'last', 'first'), below }
    }
    if (takes(field, 'by', 'first'))
      return { kind: 'once', isIn, points: PRICES.whole, rows: this.#page(node, 'first'), below }
    if (meaning?.kind === 'page' && (meaning.part === 'totalCount' || meaning.part === 'aggregates'))
      return { kind: 'object', isIn, points: PRICES.whole, below }
    if (meaning?.kind === 'nodes')
      return { kind: 'each', isIn, points: PRICES.part, rows: this.#page(node, 'ids'), below }
    const isOne =
      meaning?.kind === 'node' || (meaning?.kind === 'relation' && meaning.relation.kind === 'one')
    if (isOne) return { kind: 'each', isIn, points: PRICES.part, rows: () => 1, below }
    return { kind: 'object', isIn, points: price ?? 0, below }
  }

  /** A field of Mutation. Several rows that it writes are rows of its answer too. */
  #write(field: GraphQLField<unknown, unknown>, node: FieldNode) {
    const atMost = takes(field, 'filter', 'atMost') ? this.#numberAt(node, 'atMost') : undefined
    if (atMost) {
      const rows: Amount = (values) => Math.max(0, atMost(values) ?? 1)
      return { kind: 'once' as const, rows, points: written(rows) }
    }
    const input = field.args.find(({ name }) => name === 'input')
    const given = node.arguments?.find(({ name }) => name.value === 'input')?.value
    const objects: Amount = input && given ? this.#objectsIn(given, input.type) : () => 1
    const points = written((values) => Math.max(1, objects(values)))
    if (!input || !isListType(getNullableType(input.type))) return { kind: 'object' as const, points }
    const length = this.#numberAt(node, 'input')
    return { kind: 'once' as const, rows: (values: Values) => length(values) ?? 1, points }
  }

  /** As `pages.ts` will read it; a number that it will refuse counts as the nearest that it takes. */
  #page(node: FieldNode, ...names: readonly string[]): Amount {
    const numbers = names.map((name) => this.#numberAt(node, name))
    return (values) => {
      const { pageSize, pageSizeDefault } = values.sizes
      const asked = numbers.map((number) => number(values)).find((number) => number !== undefined)
      if (asked !== undefined) values.askPage(asked)
      return Math.max(0, Math.min(asked ?? pageSizeDefault, pageSize))
    }
  }

  /** The number at an argument, or how many a list there has. */
  #numberAt(node: FieldNode, argument: string): (values: Values) => number | undefined {
    const value = node.arguments?.find(({ name }) => name.value === argument)?.value
    if (value?.kind === Kind.VARIABLE) {
      const name = this.#variable(value.name.value)
      return (values) => numberIn(values.value(name))
    }
    const fixed = value && numberIn(valueFromASTUntyped(value))
    return () => fixed
  }

  /** Input objects at an argument: of new rows, those of their children are among them. */
  #objectsIn(value: ValueNode, type: GraphQLInputType): Amount {
    if (value.kind === Kind.VARIABLE) {
      const name = this.#variable(value.name.value)
      return (values) => countObjects(values.value(name), type, values.sizes.rows)
    }
    const inner = getNullableType(type)
    const of = isListType(inner) ? inner.ofType : inner
    if (value.kind === Kind.LIST) return sumOf(value.values.map((item) => this.#objectsIn(item, of)))
    const named = getNamedType(type)
    if (value.kind !== Kind.OBJECT || !isInputObjectType(named)) return () => 0
    const types = named.getFields()
    const parts = value.fields.map(({ name, value: part }) => {
      const field = types[name.value]
      return field ? this.#objectsIn(part, field.type) : () => 0
    })
    return sumOf([() => 1, ...parts])
  }

  #isIn(ways: Selected['ways']): Ask['isIn'] {
    if (ways.some((guards) => guards.length === 0)) return () => true
    for (const { variable } of ways.flat()) this.#variable(variable)
    const lets =
      (values: Values) =>
      ({ variable, leavesOutIf }: Guard) =>
        values.value(variable) !== leavesOutIf
    return (values) => ways.some((guards) => guards.every(lets(values)))
  }

  #variable(name: string): string {
    this.isConstant = false
    return name
  }
}

/** The variables that may leave a selection out; null where it is left out whatever they are. */
function guardsOf({ directives = [] }: SelectionNode): Guard[] | null {
  const guards: Guard[] = []
  for (const { name, arguments: given = [] } of directives) {
    if (name.value !== 'skip' && name.value !== 'include') continue
    const leavesOutIf = name.value === 'skip'
    const value = given.find((argument) => argument.name.value === 'if')?.value
    if (value?.kind === Kind.BOOLEAN && value.value === leavesOutIf) return null
    if (value?.kind === Kind.VARIABLE) guards.push({ variable: value.name.value, leavesOutIf })
  }
  return guards
}

function addField(
  node: FieldNode,
  parent: GraphQLNamedType,
  guards: readonly Guard[],
  found: Map<string, Selected>,
): void {
  if (!isObjectType(parent) && !isInterfaceType(parent)) return
  const field = parent.getFields()[node.name.value]
  if (!field) return // introspection
  const key = `${parent.name}.${(node.alias ?? node.name).value}`
  const selected = found.get(key) ?? { field, node, places: [], ways: [] }
  found.set(key, selected)
  selected.ways.push(guards)
  const set = node.selectionSet
  if (set) selected.places.push({ set, parent: getNamedType(field.type), guards })
}

function takes({ args }: GraphQLField<unknown, unknown>, ...names: readonly string[]): boolean {
  return names.every((wanted) => args.some(({ name }) => name === wanted))
}

/** The number that a value is, or how many there are in it: what is no list stands for a list of one. */
function numberIn(value: unknown): number | undefined {
  if (value == null) return undefined
  if (Array.isArray(value)) return value.length
  return typeof value === 'number' ? value : 1
}

const written =
  (rows: Amount): Amount =>
  (values) =>
    PRICES.write + PRICES.written * rows(values)

const sumOf =
  (amounts: readonly Amount[]): Amount =>
  (values) =>
    amounts.reduce((sum, amount) => sum + amount(values), 0)
