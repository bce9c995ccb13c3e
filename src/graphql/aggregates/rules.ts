/** Rules of columns, passed on to their aggregates: who may not read a column may not read its greatest value. */

import { type GraphQLSchema, isObjectType } from 'graphql'
import type { Table } from '../../model/types.ts'
import type { RuleTree } from '../permissions/rules.ts'

const ENDINGS = ['DistinctCounts', 'Sums', 'Averages', 'Extremes', 'AggregateGroupKey'] as const

/**
 * `tree` with the rule of each column, and of all fields of a row ('Ticket.*'), also for what is measured and grouped
 * of it. A rule that names the field of an aggregate itself goes before.
 */
export function withAggregateRules(
  tree: RuleTree,
  schema: GraphQLSchema,
  tables: readonly Table[],
): RuleTree {
  const merged: Record<string, RuleTree[string]> = { ...tree }
  for (const { typeName } of tables) {
    const rules = Object.entries(tree[typeName] ?? {})
    if (rules.length === 0) continue
    for (const ending of ENDINGS) {
      const type = schema.getType(typeName + ending)
      if (!isObjectType(type)) continue
      const fields = type.getFields()
      const passed = rules.filter(([field]) => field === '*' || Object.hasOwn(fields, field))
      merged[type.name] = { ...Object.fromEntries(passed), ...tree[type.name] }
    }
  }
  return merged
}
