/** Changes and deletes rows: by their keys, or as many as a filter chooses and `atMost` allows. */

import { fail } from '../../base/errors.ts'
import type { Row } from '../../db/batch.ts'
import type { Value } from '../../db/sql.ts'
import type { Table } from '../../model/types.ts'
import type { GatewayContext } from '../context.ts'
import type { Condition } from '../plan/types.ts'
import {
  type Changes,
  chooseStatement,
  deleteStatement,
  type Lock,
  lockStatement,
  updateStatement,
} from '../plan/writes.ts'
import { changesOf, type Fields, fieldsOf, keyOf } from './fields.ts'
import { HOOKS_OF } from './hooks.ts'
import { each, inOrder, leftOut, runWrite } from './run.ts'
import type { Choice, RowWriter, WriterParts } from './types.ts'

type Changing = Pick<RowWriter, 'update' | 'updateWhere' | 'remove' | 'removeWhere'> & {
  /** Change rows that are locked already. */
  updateFound(table: Table, rows: readonly Row[], patch: Fields, context: GatewayContext): Promise<Row[]>
}

export function changeRows(parts: WriterParts): Changing {
  async function update(table: Table, keys: readonly Value[][], patch: Fields, context: GatewayContext) {
    if (parts.hooks(table).has(...HOOKS_OF.update)) {
      return updateFound(table, await locked(table, keys, 'update', context), patch, context)
    }
    context.scope.countWrites(keys.length, parts.rowsMax())
    return set(table, keys, changesOf(table, patch), context)
  }

  async function updateWhere(table: Table, choice: Choice, patch: Fields, context: GatewayContext) {
    return updateFound(table, await chosen(table, choice, 'update', context), patch, context)
  }

  async function updateFound(
    table: Table,
    rows: readonly Row[],
    patch: Fields,
    context: GatewayContext,
  ): Promise<Row[]> {
    context.scope.countWrites(rows.length, parts.rowsMax())
    const hooks = parts.hooks(table)
    if (!hooks.has(...HOOKS_OF.update)) {
      return set(table, keysOf(table, rows), changesOf(table, patch), context)
    }
    const before = rows.map((row) => fieldsOf(table, row))
    const patches = await each(before, (row) => hooks.beforeUpdate(patch, row, context))
    const after = await setEach(table, rows, patches, context)
    await each([...after.keys()], async (i) => {
      await hooks.afterUpdate(fieldsOf(table, after[i]!), before[i]!, context)
    })
    return after
  }

  async function remove(table: Table, keys: readonly Value[][], context: GatewayContext) {
    if (parts.hooks(table).has(...HOOKS_OF.delete)) {
      return removeFound(table, await locked(table, keys, deleteLock(table), context), null, context)
    }
    return take(table, keys, null, context)
  }

  async function removeWhere(table: Table, choice: Choice, context: GatewayContext) {
    const lock = deleteLock(table)
    const rows = await chosen(table, choice, lock, context)
    return removeFound(table, rows, lock ? null : choice.where, context)
  }

  async function removeFound(
    table: Table,
    rows: readonly Row[],
    where: Condition | null,
    context: GatewayContext,
  ): Promise<Row[]> {
    const hooks = parts.hooks(table)
    if (hooks.has('beforeDelete'))
      await each(rows, (row) => hooks.beforeDelete(fieldsOf(table, row), context))
    const gone = await take(table, keysOf(table, rows), where, context)
    if (hooks.has('afterDelete')) await each(gone, (row) => hooks.afterDelete(fieldsOf(table, row), context))
    return gone
  }

  async function take(
    table: Table,
    keys: readonly Value[][],
    where: Condition | null,
    context: GatewayContext,
  ): Promise<Row[]> {
    if (keys.length === 0) return []
    context.scope.countWrites(keys.length, parts.rowsMax())
    const statement = deleteStatement(table, context.scope.identity.tenant, keys, where)
    return inOrder(await runWrite(context, table, statement))
  }

  return { update, updateWhere, updateFound, remove, removeWhere }
}

// To lock a row takes the right to update it. Without, the filter is asked again when rows are deleted.
function deleteLock(table: Table): Lock {
  return table.can.update ? 'delete' : null
}

function keysOf(table: Table, rows: readonly Row[]): Value[][] {
  return rows.map((row) => keyOf(table, row))
}

async function locked(
  table: Table,
  keys: readonly Value[][],
  lock: Lock,
  context: GatewayContext,
): Promise<Row[]> {
  const { tenant } = context.scope.identity
  return inOrder(await runWrite(context, table, lockStatement(table, tenant, table.primaryKey, keys, lock)))
}

async function chosen(
  table: Table,
  { where, atMost }: Choice,
  lock: Lock,
  context: GatewayContext,
): Promise<Row[]> {
  const { tenant } = context.scope.identity
  const rows = await runWrite(context, table, chooseStatement(table, tenant, where, atMost + 1, lock))
  if (rows.length <= atMost) return rows
  const sentence = `The filter matches at least ${rows.length} ${table.manyField}; "atMost" allows ${atMost}. Nothing was changed.`
  return fail('AT_MOST_EXCEEDED', sentence, { matched: rows.length, allowed: atMost })
}

/** Rows that get the same values are one statement. */
async function setEach(
  table: Table,
  rows: readonly Row[],
  patches: readonly Fields[],
  context: GatewayContext,
): Promise<Row[]> {
  const changes = patches.map((patch) => changesOf(table, patch))
  const values = (i: number): string =>
    JSON.stringify(changes[i]!.map(({ column, value }) => [column.name, value]))
  const after = [...rows]
  for (const [, places] of Map.groupBy(rows.keys(), values)) {
    const keys = keysOf(
      table,
      places.map((i) => rows[i]!),
    )
    const found = await set(table, keys, changes[places[0]!]!, context)
    if (found.length !== places.length) leftOut(table)
    places.forEach((place, i) => {
      after[place] = found[i]!
    })
  }
  return after
}

/** Rows in the order of their keys. */
async function set(
  table: Table,
  keys: readonly Value[][],
  changes: Changes,
  context: GatewayContext,
): Promise<Row[]> {
  if (keys.length === 0) return []
  const { tenant } = context.scope.identity
  if (changes.length === 0) return locked(table, keys, 'update', context)
  return inOrder(await runWrite(context, table, updateStatement(table, tenant, keys, changes)))
}
