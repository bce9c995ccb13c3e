/**
 * One operation in other words: fragments, aliases, fields that are asked for twice and merged, directives,
 * __typename, and lists with a place for a cursor. What was valid stays valid.
 */

import {
  type ArgumentNode,
  type ASTNode,
  type DirectiveNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type FragmentSpreadNode,
  type GraphQLCompositeType,
  type GraphQLSchema,
  getNamedType,
  isCompositeType,
  isObjectType,
  Kind,
  type NameNode,
  type OperationDefinitionNode,
  parse,
  print,
  type SelectionNode,
  type SelectionSetNode,
  type ValueNode,
  type VariableDefinitionNode,
  type VariableNode,
  visit,
} from 'graphql'
import type { Random } from './random.ts'

export interface Dressed {
  readonly query: string
  /** Values for the variables of directives and sizes; some are left to their defaults. */
  added(): Record<string, boolean | number | null>
}

/** Give the operation of `query`, which stands alone in it, other words. */
export function dress(schema: GraphQLSchema, query: string, random: Random): Dressed {
  const [node] = parse(query, { noLocation: true }).definitions
  if (node?.kind !== Kind.OPERATION_DEFINITION) throw new TypeError(`dress: no operation in ${query}`)
  const root = schema.getRootType(node.operation)
  if (!root) throw new TypeError(`dress: the schema has no ${node.operation}`)
  const dresser = new Dresser(schema, random)
  const selectionSet = dresser.set(node.selectionSet, root)
  const fragments = used(selectionSet, dresser.fragments)
  const variables = namesOf(Kind.VARIABLE, [selectionSet, ...fragments])
  const variableDefinitions = [
    ...(node.variableDefinitions ?? []),
    ...dresser.cursors,
    ...dresser.sizes,
    ...dresser.conditions,
  ].filter(({ variable }) => variables.has(variable.name.value))
  const operation: OperationDefinitionNode = { ...node, variableDefinitions, selectionSet }
  const definitions = random.shuffle([operation, ...fragments])
  const document: DocumentNode = { kind: Kind.DOCUMENT, definitions }
  return {
    query: print(document),
    added: () =>
      Object.fromEntries([
        ...dresser.conditions.flatMap((definition) => drawnFlag(definition, random)),
        ...drawnSizes(dresser.sizes, random),
      ]),
  }
}

type Drawn = readonly [name: string, value: boolean | number | null]

function drawnFlag({ variable, defaultValue }: VariableDefinitionNode, random: Random): Drawn[] {
  return defaultValue && random.chance(0.5) ? [] : [[variable.name.value, random.chance(0.5)]]
}

function drawnSizes(sizes: readonly VariableDefinitionNode[], random: Random): Drawn[] {
  return sizes.flatMap(({ variable }, i): Drawn[] => {
    if (i % 2 === 1) return []
    const pair = random.shuffle([variable, sizes[i + 1]!.variable]).map(({ name }) => name.value)
    const [given, other] = pair as [string, string]
    const value: Drawn = [given, random.int(6)]
    return random.chance(0.5) ? [value] : [value, [other, null]]
  })
}

/** Those that are reached; where a field is asked for twice, a part of it may be lost. */
function used(from: ASTNode, fragments: readonly FragmentDefinitionNode[]): FragmentDefinitionNode[] {
  const found = new Set<string>()
  const reach = (node: ASTNode): void => {
    for (const name of namesOf(Kind.FRAGMENT_SPREAD, [node])) {
      if (found.has(name)) continue
      found.add(name)
      const fragment = fragments.find((candidate) => candidate.name.value === name)
      if (fragment) reach(fragment)
    }
  }
  reach(from)
  return fragments.filter(({ name }) => found.has(name.value))
}

function namesOf(kind: Kind.VARIABLE | Kind.FRAGMENT_SPREAD, nodes: readonly ASTNode[]): Set<string> {
  const names = new Set<string>()
  const enter = (node: ASTNode): void => {
    if (node.kind === kind) names.add((node as VariableNode | FragmentSpreadNode).name.value)
  }
  for (const node of nodes) visit(node, { enter })
  return names
}

const CHANCES = {
  alias: 0.06,
  twice: 0.08,
  directive: 0.06,
  typename: 0.08,
  fragment: 0.12,
  paged: 0.4,
} as const

const CURSORS = [
  'pageInfo { startCursor endCursor }',
  'edges { cursor }',
  'pageInfo { hasPreviousPage endCursor hasNextPage }',
].map((text) => {
  const [node] = parse(`{ ${text} }`, { noLocation: true }).definitions
  if (node?.kind !== Kind.OPERATION_DEFINITION) throw new TypeError(text)
  return node.selectionSet.selections[0]!
})

class Dresser {
  readonly conditions: VariableDefinitionNode[] = []
  readonly cursors: VariableDefinitionNode[] = []
  /** Of each list `first` and `last`, of which one may be given. */
  readonly sizes: VariableDefinitionNode[] = []
  readonly fragments: FragmentDefinitionNode[] = []
  readonly #schema: GraphQLSchema
  readonly #random: Random
  #names = 0

  constructor(schema: GraphQLSchema, random: Random) {
    this.#schema = schema
    this.#random = random
  }

  set({ selections }: SelectionSetNode, type: GraphQLCompositeType): SelectionSetNode {
    const dressed = selections.flatMap((selection) => this.#selection(selection, type))
    const named = this.#happens('typename') ? this.#withTypename(dressed) : dressed
    return setOf(this.#happens('fragment') ? this.#withFragment(named, type) : named)
  }

  #selection(node: SelectionNode, type: GraphQLCompositeType): SelectionNode[] {
    if (node.kind === Kind.FRAGMENT_SPREAD) return [node]
    if (node.kind === Kind.INLINE_FRAGMENT) {
      const inner = node.typeCondition && this.#schema.getType(node.typeCondition.name.value)
      const selectionSet = this.set(node.selectionSet, isCompositeType(inner) ? inner : type)
      return [{ ...node, selectionSet, directives: this.#directives() }]
    }
    const plain = this.#happens('alias') && !node.alias ? { ...node, alias: this.#name('a') } : node
    const own = this.#happens('paged') ? this.#paged(plain, type) : plain
    const field = { ...own, ...this.#below(own, type), directives: this.#directives() }
    return this.#happens('twice') ? [this.#part(field), this.#part(field)] : [field]
  }

  #below({ name, selectionSet }: FieldNode, type: GraphQLCompositeType): { selectionSet?: SelectionSetNode } {
    if (!selectionSet || !('getFields' in type)) return {}
    const inner = getNamedType(type.getFields()[name.value]?.type)
    return isCompositeType(inner) ? { selectionSet: this.set(selectionSet, inner) } : {}
  }

  /** A connection with places for cursors or sizes, and with cursors to put there; any other field as it is. */
  #paged(field: FieldNode, type: GraphQLCompositeType): FieldNode {
    const found = 'getFields' in type ? type.getFields()[field.name.value] : undefined
    const isList = ['first', 'after'].every((name) => found?.args.some((arg) => arg.name === name))
    const names = this.#random.pick([['after'], ['before'], ['after', 'before'], ['first', 'last']])
    const isGiven = field.arguments?.some(({ name }) => names.includes(name.value))
    if (!isList || isGiven || !field.selectionSet) return field
    const added = names.map((name) => this.#argument(name))
    return {
      ...field,
      arguments: [...(field.arguments ?? []), ...added],
      selectionSet: setOf([...field.selectionSet.selections, this.#random.pick(CURSORS)]),
    }
  }

  #argument(name: string): ArgumentNode {
    const isSize = name === 'first' || name === 'last'
    const variable = { kind: Kind.VARIABLE, name: this.#name(isSize ? name : 'cursor') } as const
    const type = { kind: Kind.NAMED_TYPE, name: nameOf(isSize ? 'Int' : 'String') } as const
    const into = isSize ? this.sizes : this.cursors
    into.push({ kind: Kind.VARIABLE_DEFINITION, variable, type })
    return { kind: Kind.ARGUMENT, name: nameOf(name), value: variable }
  }

  /** The field with some of what it selects: both parts are merged again. */
  #part(field: FieldNode): FieldNode {
    const { selectionSet } = field
    const directives = this.#directives()
    if (!selectionSet) return { ...field, directives }
    const [first, ...more] = this.#random.shuffle(selectionSet.selections)
    const rest = more.filter(() => this.#random.chance(0.6))
    return { ...field, directives, selectionSet: setOf(first ? [first, ...rest] : rest) }
  }

  #withTypename(selections: readonly SelectionNode[]): SelectionNode[] {
    const alias = this.#random.chance(0.3) ? { alias: this.#name('t') } : {}
    const field: FieldNode = { kind: Kind.FIELD, name: nameOf('__typename'), ...alias }
    const at = this.#random.int(selections.length + 1)
    return selections.toSpliced(at, 0, field)
  }

  /** Some of the selections in a fragment; one with a name is now and then spread twice. */
  #withFragment(selections: readonly SelectionNode[], type: GraphQLCompositeType): SelectionNode[] {
    const from = this.#random.int(selections.length)
    const count = 1 + this.#random.int(selections.length - from)
    const inner = selections.slice(from, from + count)
    if (this.#random.chance(0.5)) return selections.toSpliced(from, count, this.#inline(inner, type))
    const spread = this.#named(inner, type)
    const spreads = this.#random.chance(0.2) ? [spread(), ...inner, spread()] : [spread()]
    return selections.toSpliced(from, count, ...spreads)
  }

  #inline(inner: readonly SelectionNode[], type: GraphQLCompositeType): SelectionNode {
    const typeCondition = this.#random.chance(0.5) ? { typeCondition: this.#condition(type, inner) } : {}
    const directives = this.#directives()
    return { kind: Kind.INLINE_FRAGMENT, ...typeCondition, directives, selectionSet: setOf(inner) }
  }

  #named(inner: readonly SelectionNode[], type: GraphQLCompositeType): () => SelectionNode {
    const name = this.#name('F')
    this.fragments.push({
      kind: Kind.FRAGMENT_DEFINITION,
      name,
      typeCondition: this.#condition(type, inner),
      selectionSet: setOf(inner),
    })
    return () => ({ kind: Kind.FRAGMENT_SPREAD, name, directives: this.#directives() })
  }

  /** The type, or an interface of it that has all fields of `inner`. */
  #condition(type: GraphQLCompositeType, inner: readonly SelectionNode[]) {
    const fitting = (isObjectType(type) ? type.getInterfaces() : []).filter((candidate) =>
      inner.every((node) => node.kind === Kind.FIELD && node.name.value in candidate.getFields()),
    )
    const { name } = fitting[0] ?? type
    return { kind: Kind.NAMED_TYPE, name: nameOf(name) } as const
  }

  #directives(): DirectiveNode[] {
    if (!this.#happens('directive')) return []
    const name = nameOf(this.#random.pick(['skip', 'include']))
    const argument: ArgumentNode = { kind: Kind.ARGUMENT, name: nameOf('if'), value: this.#flag() }
    return [{ kind: Kind.DIRECTIVE, name, arguments: [argument] }]
  }

  #flag(): ValueNode {
    const value: ValueNode = { kind: Kind.BOOLEAN, value: this.#random.chance(0.5) }
    if (this.#random.chance(0.4)) return value
    const known = this.#random.chance(0.3) ? this.conditions.at(-1) : undefined
    if (known) return known.variable
    const variable = { kind: Kind.VARIABLE, name: this.#name('if') } as const
    const named = { kind: Kind.NAMED_TYPE, name: nameOf('Boolean') } as const
    const type = { kind: Kind.NON_NULL_TYPE, type: named } as const
    const kind = Kind.VARIABLE_DEFINITION
    this.conditions.push(
      this.#random.chance(0.3)
        ? { kind, variable, type: this.#random.pick([named, type]), defaultValue: value }
        : { kind, variable, type },
    )
    return variable
  }

  #name(prefix: string): NameNode {
    return nameOf(`${prefix}${++this.#names}`)
  }

  #happens(what: keyof typeof CHANCES): boolean {
    return this.#random.chance(CHANCES[what])
  }
}

const nameOf = (value: string): NameNode => ({ kind: Kind.NAME, value })
const setOf = (selections: readonly SelectionNode[]): SelectionSetNode => ({
  kind: Kind.SELECTION_SET,
  selections,
})
