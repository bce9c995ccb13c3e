/**
 * Selections as the executor sees them: fragments written out, fields of one response name together, and what
 * @skip and @include leave out left out. They are graphql-js's own, so that both lanes agree.
 */

import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLBoolean,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  type TypeNode,
  visit,
} from 'graphql'
import { collectFields, collectSubfields } from 'graphql/execution/collectFields.js'
import type { Variables } from './arguments.ts'
import { StepBack } from './step-back.ts'

export interface Selected {
  /** The response name as JSON, with its colon. */
  readonly key: string
  /** Null for __typename. */
  readonly field: GraphQLField<unknown, unknown> | null
  readonly nodes: readonly FieldNode[]
}

export interface Selections {
  readonly schema: GraphQLSchema
  readonly operation: OperationDefinitionNode
  readonly fragments: Readonly<Record<string, FragmentDefinitionNode>>
  /** The variables on which the selections depend, all of them booleans. */
  readonly conditions: Variables
  /** @throws StepBack  a field that the type does not have: introspection */
  root(type: GraphQLObjectType): Selected[]
  /** The fields that `nodes` select of `type`. */
  under(type: GraphQLObjectType, nodes: readonly FieldNode[]): Selected[]
}

export function selectionsOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  conditions: Variables,
): Selections {
  const fragments: Record<string, FragmentDefinitionNode> = Object.create(null)
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments[definition.name.value] = definition
  }
  const named = (type: GraphQLObjectType, found: Map<string, readonly FieldNode[]>): Selected[] =>
    [...found].map(([name, nodes]) => ({
      key: `${JSON.stringify(name)}:`,
      field: fieldOf(type, nodes[0]!),
      nodes,
    }))
  return {
    schema,
    operation,
    fragments,
    conditions,
    root: (type) => named(type, collectFields(schema, fragments, conditions, type, operation.selectionSet)),
    under: (type, nodes) => named(type, collectSubfields(schema, fragments, conditions, type, nodes)),
  }
}

function fieldOf(type: GraphQLObjectType, { name }: FieldNode): GraphQLField<unknown, unknown> | null {
  if (name.value === '__typename') return null
  const field = type.getFields()[name.value]
  if (!field) throw new StepBack()
  return field
}

/**
 * Names of the variables of `operation` that @skip and @include look at, in the whole document. Booleans alone: in
 * another operation the same name may be that of a text, which whoever asks has chosen.
 */
export function conditionVariables(document: DocumentNode, operation: OperationDefinitionNode): string[] {
  const booleans = (operation.variableDefinitions ?? []).filter(({ type }) => isBoolean(type))
  const known = new Set(booleans.map(({ variable }) => variable.name.value))
  const names = new Set<string>()
  visit(document, {
    Directive({ name, arguments: given = [] }) {
      if (name.value !== 'skip' && name.value !== 'include') return
      for (const { value } of given) if (value.kind === Kind.VARIABLE) names.add(value.name.value)
    },
  })
  return [...names].filter((name) => known.has(name))
}

function isBoolean(type: TypeNode): boolean {
  if (type.kind === Kind.NON_NULL_TYPE) return isBoolean(type.type)
  return type.kind === Kind.NAMED_TYPE && type.name.value === GraphQLBoolean.name
}
