/**
 * The arguments of a list in an operation: constants of the document, or values of variables. Constants are read
 * once; what depends on variables is read for each request, by the functions that the resolvers use.
 */

import type { FieldNode, GraphQLField } from 'graphql'
import type { TenantId } from '../../base/ids.ts'
import type { Table } from '../../model/types.ts'
import { conditionOf } from '../filters/plans.ts'
import { termsOf } from '../orders.ts'
import { type ListArguments, type Lists, pagePlan } from '../pages.ts'
import type { ListPlan } from '../plan/types.ts'
import { argumentReader, usesVariable, type Variables } from './arguments.ts'

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
  const { tables } = lists
  const argumentsOf = argumentReader(field, node)
  // Most documents leave the page alone to variables: the order and the filter are then read once.
  const order = onceUnless(usesVariable(node, ['orderBy']), ({ orderBy }) => termsOf(tables, table, orderBy))
  const where = onceUnless(usesVariable(node, ['filter']), ({ filter }) => conditionOf(tables, table, filter))
  const make = (variables: Variables, tenant: TenantId): ListPlan => {
    const args = argumentsOf(variables) as ListArguments
    return pagePlan(lists, { table, order: order(args), where: where(args) }, tenant, args, by)
  }
  const hasFixedLimit = !usesVariable(node, ['first', 'last'])
  // A cursor belongs to one tenant, everything else of a constant list to all of them.
  if (usesVariable(node) || node.arguments?.some(({ name }) => /^(after|before)$/.test(name.value))) {
    return { index, table, by, hasFixedLimit, isConstant: false, of: make }
  }
  const plan = make({}, '' as TenantId)
  return { index, table, by, hasFixedLimit, isConstant: true, of: () => plan }
}

/** `read`, each time or only once. */
function onceUnless<T>(varies: boolean, read: (args: ListArguments) => T): (args: ListArguments) => T {
  if (varies) return read
  let known: { readonly value: T } | undefined
  return (args) => {
    known ??= { value: read(args) }
    return known.value
  }
}
