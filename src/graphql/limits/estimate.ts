/**
 * How many rows an operation may ask for: the pages of its lists multiplied, before anything runs.
 *
 * It is what the answer would hold if every page were full, so an honest operation may ask for far more
 * than there is: only what goes past every measure is refused here, without a shard being asked. What
 * really comes is counted when it comes (`RequestScope.take`). One walk over the selections; a fragment
 * is counted once and its rows used wherever it is spread.
 */

import {
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  getOperationAST,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { fail } from '../../base/errors.ts'
import type { GatewayContext } from '../context.ts'
import type { PageSizes } from '../pages.ts'
import type { Operation } from '../permissions/permissions.ts'
import { Conditions, fragmentsOf, type Variables } from '../permissions/touched-fields.ts'
import { checkInputs } from './inputs.ts'

/** Estimated rows that are let through, as a multiple of the rows that an answer may hold. */
const SLACK = 100

/**
 * Yoga's place for the limit of rows: the estimate goes after permissions, so that it tells nobody of fields
 * that he may not use. An answer that has come to too many rows on the way is refused whole: it would have
 * nulls in thousands of places where there are rows.
 */
export function rowLimitPlugin(getSizes: () => PageSizes): Plugin<GatewayContext> {
  return {
    onExecute({ args }) {
      const { schema, document, operationName, variableValues } = args
      const operation = getOperationAST(document, operationName)
      if (operation) checkInputs(schema, operation, variableValues ?? {}, getSizes().rows)
      checkEstimate(schema, args, getSizes())
      return {
        onExecuteDone({ setResult }) {
          const { overflow } = (args.contextValue as GatewayContext).scope
          if (overflow)
            setResult({ errors: [new GraphQLError(overflow.message, { originalError: overflow })] })
        },
      }
    },
  }
}

function checkEstimate(schema: GraphQLSchema, operation: EstimatedOperation, sizes: PageSizes): void {
  const allowed = SLACK * sizes.rows
  const asked = estimateRows(schema, operation, sizes)
  if (asked <= allowed) return
  const sentence = `The operation asks for up to ${asked} rows; ${allowed} are allowed. Ask for shorter lists.`
  fail('QUERY_TOO_COMPLEX', sentence, { limit: 'estimatedRows', asked, allowed })
}

type EstimatedOperation = Omit<Operation, 'contextValue'>

/**
 * Rows of the lists of a valid operation if every page were full; `Number.MAX_SAFE_INTEGER` at the most.
 *
 * A list is a field that takes `first` and `last`. Its groups take `first` alone, and are there once for the list,
 * however long its page is. Of other lists (`nodes`, those of extensions) nobody knows how long they get; they
 * count as one.
 */
export function estimateRows(
  schema: GraphQLSchema,
  { document, operationName, variableValues }: EstimatedOperation,
  sizes: PageSizes,
): number {
  const operation = getOperationAST(document, operationName)
  const root = operation && schema.getRootType(operation.operation)
  if (!operation || !root) return 0
  const variables = variableValues ?? {}
  const conditions = new Conditions(operation, variables)
  const fragments = fragmentsOf(document)
  const numbers = numbersOf(operation, variables)
  const walk = { schema, fragments, sizes, numbers, conditions, known: new Map() }
  return sumOf(rowsUnder(operation.selectionSet, root, walk))
}

/** Rows under a selection: for each row of the page that it is about, and once for the whole list. */
interface Rows {
  readonly each: number
  readonly once: number
}

interface Walk {
  readonly schema: GraphQLSchema
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>
  readonly sizes: PageSizes
  /** Variables that are numbers, and of those that are lists the lengths. */
  readonly numbers: ReadonlyMap<string, number>
  readonly conditions: Conditions
  /** Rows of fragments that have been counted. */
  readonly known: Map<string, Rows>
}

const capped = (rows: number): number => Math.min(rows, Number.MAX_SAFE_INTEGER)

const NONE: Rows = { each: 0, once: 0 }
const sumOf = ({ each, once }: Rows): number => capped(each + once)

function rowsUnder({ selections }: SelectionSetNode, parent: GraphQLNamedType, walk: Walk): Rows {
  return selections.reduce((sum, selection) => {
    const { each, once } = rowsOf(selection, parent, walk)
    return { each: capped(sum.each + each), once: capped(sum.once + once) }
  }, NONE)
}

function rowsOf(selection: SelectionNode, parent: GraphQLNamedType, walk: Walk): Rows {
  if (walk.conditions.exclude(selection)) return NONE
  if (selection.kind === Kind.FIELD) return rowsOfField(selection, parent, walk)
  if (selection.kind === Kind.FRAGMENT_SPREAD) return rowsOfFragment(selection.name.value, walk)
  const { typeCondition, selectionSet } = selection
  return rowsUnder(selectionSet, typeNamed(typeCondition?.name.value, walk) ?? parent, walk)
}

function rowsOfFragment(name: string, walk: Walk): Rows {
  const known = walk.known.get(name)
  if (known !== undefined) return known
  const fragment = walk.fragments.get(name)
  const type = typeNamed(fragment?.typeCondition.name.value, walk)
  const rows = fragment && type ? rowsUnder(fragment.selectionSet, type, walk) : NONE
  walk.known.set(name, rows)
  return rows
}

function rowsOfField(node: FieldNode, parent: GraphQLNamedType, walk: Walk): Rows {
  if (!node.selectionSet || !(isObjectType(parent) || isInterfaceType(parent))) return NONE
  const field = parent.getFields()[node.name.value]
  if (!field) return NONE // introspection
  const below = rowsUnder(node.selectionSet, getNamedType(field.type), walk)
  if (takes(field, 'first', 'last')) {
    return { each: capped(pageSizeOf(node, walk) * (1 + below.each) + below.once), once: 0 }
  }
  if (takes(field, 'by', 'first')) return { each: 0, once: pageSizeOf(node, walk) }
  const written = writtenRows(node, field, walk)
  if (written !== undefined) return { each: 0, once: capped(written * (1 + below.each) + below.once) }
  return { each: sumOf(below), once: 0 }
}

/** Rows that a mutation of several writes at most; undefined for any other field. */
function writtenRows(
  node: FieldNode,
  field: GraphQLField<unknown, unknown>,
  { numbers }: Walk,
): number | undefined {
  if (takes(field, 'filter', 'atMost')) return Math.max(0, numberAt(node, 'atMost', numbers) ?? 1)
  const input = field.args.find(({ name }) => name === 'input')
  return input && isListType(getNullableType(input.type))
    ? (numberAt(node, 'input', numbers) ?? 1)
    : undefined
}

function takes({ args }: GraphQLField<unknown, unknown>, ...names: readonly string[]): boolean {
  return names.every((wanted) => args.some(({ name }) => name === wanted))
}

/** As `pages.ts` will read it; a number that it will refuse counts as the nearest that it takes. */
function pageSizeOf(node: FieldNode, { sizes, numbers }: Walk): number {
  const { pageSize, pageSizeDefault } = sizes
  const asked = numberAt(node, 'last', numbers) ?? numberAt(node, 'first', numbers) ?? pageSizeDefault
  return Math.max(0, Math.min(asked, pageSize))
}

function numberAt(
  node: FieldNode,
  argument: string,
  numbers: ReadonlyMap<string, number>,
): number | undefined {
  const value = node.arguments?.find(({ name }) => name.value === argument)?.value
  if (value?.kind === Kind.INT) return Number(value.value)
  if (value?.kind === Kind.LIST) return value.values.length
  return value?.kind === Kind.VARIABLE ? numbers.get(value.name.value) : undefined
}

function numbersOf(operation: OperationDefinitionNode, variables: Variables): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>()
  for (const { variable, defaultValue } of operation.variableDefinitions ?? []) {
    const name = variable.name.value
    const found = Object.hasOwn(variables, name) ? variables[name] : undefined
    const given = Array.isArray(found) ? found.length : found
    const value = given === undefined && defaultValue?.kind === Kind.INT ? Number(defaultValue.value) : given
    if (typeof value === 'number' && Number.isFinite(value)) numbers.set(name, value)
  }
  return numbers
}

function typeNamed(name: string | undefined, { schema }: Walk): GraphQLNamedType | undefined {
  return name === undefined ? undefined : schema.getType(name)
}
