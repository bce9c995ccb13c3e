/**
 * Which fields an operation touches: 'Type.field' of everything it selects, fragments followed, and the columns that
 * its arguments speak of.
 *
 * The operation and each fragment it reaches are visited once. A field of an interface counts as that
 * field of every type that may stand behind it. `__typename` and introspection touch nothing.
 */

import {
  type ASTVisitor,
  type DirectiveNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  getNamedType,
  isAbstractType,
  isInputObjectType,
  Kind,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql'
import { type Coordinate, type InputVariable, type Subjects, spokenOf } from './asked-columns.ts'

export type Variables = Readonly<Record<string, unknown>>

export interface TouchedFields {
  /** 'Type.field' → its parts. */
  readonly fields: ReadonlyMap<string, Coordinate>
  /** Whether other variables could touch other fields. */
  readonly conditional: boolean
  /** Variables whose values may speak of further columns. */
  readonly inputs: readonly InputVariable[]
}

/**
 * The fields that `operation` touches when it runs with `variables`.
 *
 * A document must have passed validation. A condition that cannot be told (a variable that is no
 * boolean) counts as true for what it selects: execution will refuse it, and nothing is let through.
 */
export function touchedFields(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Variables,
  subjects: Subjects,
): TouchedFields {
  const inputs: InputVariable[] = []
  const fields = new Map<string, Coordinate>()
  const touch = (type: string, field: string): void => {
    fields.set(`${type}.${field}`, { type, field })
  }
  const reached = new Set<OperationDefinitionNode | FragmentDefinitionNode>([operation])
  const fragments = fragmentsOf(document)
  const conditions = new Conditions(operation, variables)
  const typeInfo = new TypeInfo(schema)
  const visitor: ASTVisitor = {
    Field(node) {
      const parent = typeInfo.getParentType()
      if (!parent || node.name.value.startsWith('__') || conditions.exclude(node)) return false
      touch(parent.name, node.name.value)
      if (!isAbstractType(parent)) return undefined
      for (const type of schema.getPossibleTypes(parent)) touch(type.name, node.name.value)
      return undefined
    },
    ObjectField(node) {
      const input = typeInfo.getParentInputType()
      const column = spokenOf(schema, subjects, input && getNamedType(input), node.name.value)
      if (column) touch(column.type, column.field)
    },
    VariableDefinition({ variable }) {
      const type = typeInfo.getInputType()
      if (type && isInputObjectType(getNamedType(type))) inputs.push({ name: variable.name.value, type })
    },
    InlineFragment: (node) => (conditions.exclude(node) ? false : undefined),
    FragmentSpread(node) {
      const fragment = conditions.exclude(node) ? undefined : fragments.get(node.name.value)
      if (fragment) reached.add(fragment)
    },
  }
  // A set is walked in the order of insertion, and reaches what is added on the way.
  for (const definition of reached) visit(definition, visitWithTypeInfo(typeInfo, visitor))
  return { fields, conditional: conditions.usedVariables, inputs }
}

export function fragmentsOf(document: DocumentNode): ReadonlyMap<string, FragmentDefinitionNode> {
  const fragments = document.definitions.filter((node) => node.kind === Kind.FRAGMENT_DEFINITION)
  return new Map(fragments.map((fragment) => [fragment.name.value, fragment]))
}

/** Tells what @skip and @include leave out. */
export class Conditions {
  usedVariables = false
  readonly #values: Map<string, unknown>

  constructor(operation: OperationDefinitionNode, variables: Variables) {
    const defaults = (operation.variableDefinitions ?? []).map(
      ({ variable, defaultValue }): [string, unknown] => [
        variable.name.value,
        defaultValue?.kind === Kind.BOOLEAN ? defaultValue.value : undefined,
      ],
    )
    this.#values = new Map([...defaults, ...Object.entries(variables)])
  }

  exclude({ directives = [] }: { readonly directives?: readonly DirectiveNode[] | undefined }): boolean {
    return directives.some(
      (directive) =>
        (directive.name.value === 'skip' && this.#condition(directive) === true) ||
        (directive.name.value === 'include' && this.#condition(directive) === false),
    )
  }

  #condition(directive: DirectiveNode): unknown {
    const value = directive.arguments?.find((argument) => argument.name.value === 'if')?.value
    if (value?.kind === Kind.BOOLEAN) return value.value
    if (value?.kind !== Kind.VARIABLE) return undefined
    this.usedVariables = true
    return this.#values.get(value.name.value)
  }
}
