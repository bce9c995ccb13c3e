/**
 * The arguments of a list in an operation: constants of the document, or values of variables. Constants are read
 * once; what depends on variables is read for each request, by the functions that the resolvers use.
 */

import { type FieldNode, type GraphQLField, getArgumentValues, Kind, type ValueNode } from 'graphql'
import type { TenantId } from '../../base/ids.ts'
import type { Table } from '../../model/types.ts'
import { type ListArguments, type Lists, pagePlan, rowsOfList } from '../pages.ts'
import type { ListPlan } from '../plan/types.ts'

/** Values of variables, coerced. */
export type Variables = Readonly<Record<string, unknown>>

export interface ListSource {
  /** Its place among the lists of its root field. */
  readonly index: number
  readonly table: Table
  /** For children: the columns that hold the parent's key. */
  readonly by: readonly string[] | null
  /** The plan is the same for every request. */
  readonly isConstant: boolean
  /** The limit is a constant, and stands in the statement as such: it tells Postgres which index to walk. */
  readonly hasFixedLimit: boolean
  /**
   * The plan of the list for a request.
   *
   * @throws GatewayError  the arguments are refused
   */
  of(variables: Variables, tenant: TenantId): ListPlan
}

export function listSource(
  lists: Lists,
  index: number,
  table: Table,
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  by: readonly string[] | null,
): ListSource {
  const argumentsOf = (variables: Variables) => getArgumentValues(field, node, variables) as ListArguments
  const rowsOf = (args: ListArguments) => rowsOfList(lists, table, args)
  // Most documents leave the page alone to variables; its filter and its order are then read once.
  const rows = usesVariable(node, ['filter', 'orderBy']) ? null : rowsOf(constantArguments(field, node))
  const make = (variables: Variables, tenant: TenantId): ListPlan => {
    const args = argumentsOf(variables)
    return pagePlan(lists, rows ?? rowsOf(args), tenant, args, by)
  }
  const hasFixedLimit = !usesVariable(node, ['first', 'last'])
  // A cursor belongs to one tenant, everything else of a constant list to all of them.
  if (usesVariable(node) || node.arguments?.some(({ name }) => /^(after|before)$/.test(name.value))) {
    return { index, table, by, hasFixedLimit, isConstant: false, of: make }
  }
  const plan = make({}, '' as TenantId)
  return { index, table, by, hasFixedLimit, isConstant: true, of: () => plan }
}

/** The arguments of a field that hold no variables. */
function constantArguments(field: GraphQLField<unknown, unknown>, node: FieldNode): ListArguments {
  const given = node.arguments?.filter(({ value }) => !holdsVariable(value)) ?? []
  const constants = { ...node, arguments: given }
  return getArgumentValues(field, constants) as ListArguments
}

/** Whether the arguments of a field, or those of them that are named, hold variables. */
export function usesVariable(node: FieldNode, names?: readonly string[]): boolean {
  return (node.arguments ?? []).some(
    ({ name, value }) => (!names || names.includes(name.value)) && holdsVariable(value),
  )
}

function holdsVariable(value: ValueNode): boolean {
  if (value.kind === Kind.VARIABLE) return true
  if (value.kind === Kind.LIST) return value.values.some(holdsVariable)
  return value.kind === Kind.OBJECT && value.fields.some((field) => holdsVariable(field.value))
}
