/**
 * Writes rows, for the fields of Mutation and for extensions alike: in the transaction of the operation, with
 * the tenant in each statement, with hooks, counted.
 *
 *     input ─▶ beforeCreate ─▶ one statement per set of given columns ─▶ children, level by level ─▶ afterCreate
 *     keys or a filter ─▶ rows, locked in key order ─▶ beforeUpdate ─▶ one statement per distinct patch ─▶ afterUpdate
 *
 * Rows are read and locked first only where a hook wants to see them, or where a filter chooses them.
 */

import type { Table } from '../../model/types.ts'
import { changeRows } from './change-rows.ts'
import { createRows } from './create-rows.ts'
import { HOOKS_OF, HookChain, type HooksOf } from './hooks.ts'
import type { RowWriter, WriterParts } from './types.ts'

export function createWriter(
  tables: ReadonlyMap<string, Table>,
  hooksOf: HooksOf,
  rowsMax: () => number,
): RowWriter {
  const parts: WriterParts = {
    tables,
    hooks: (table) => new HookChain(hooksOf(table.typeName)),
    rowsMax,
  }
  const changing = changeRows(parts)
  const isHooked: RowWriter['isHooked'] = (table, verb) => parts.hooks(table).has(...HOOKS_OF[verb])
  return { ...createRows(parts, changing.updateFound), ...changing, isHooked }
}
