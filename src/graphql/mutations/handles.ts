/**
 * A table in the hands of an extension: its rows by key and as lists, and writes that go the way of the
 * generated mutations (tenant, hooks, transaction, counts).
 */

import { fail } from '../../base/errors.ts'
import type { Row } from '../../db/batch.ts'
import { wireText } from '../../db/sql.ts'
import type { Table } from '../../model/types.ts'
import type { GatewayContext } from '../context.ts'
import { rowByKey } from '../lookups.ts'
import { type ListArguments, listPlan } from '../pages.ts'
import { decodeIdOf, encodeId } from '../plan/ids.ts'
import { listStatement } from '../plan/lists.ts'
import type { RowRef, SchemaParts } from '../types.ts'
import { changesOf, type Fields, fieldsOf, keyOf, textOf } from './fields.ts'
import type { RowWriter } from './types.ts'

export interface TableHandle {
  /** The object type, for fields that give such rows. */
  readonly type: RowRef
  /** A row as the API shows it: by field, with the values of GraphQL. */
  read(row: Row): Fields
  /**
   * The reader of one column as Postgres text: `column('createdAt')(row)`.
   *
   * @throws CONFIG_INVALID  the table has no such column
   */
  column(field: string): (row: Row) => string | null
  /** The global id of a row. */
  id(row: Row): string
  /** The row with a global id; null when the tenant has none. @throws BAD_USER_INPUT  no id of this table */
  byId(id: string, context: GatewayContext): Promise<Row | null>
  /** The row whose fields have these values: `byKey({ email })`; null for a null. Rows of one level are read together. */
  byKey(key: Fields, context: GatewayContext): Promise<Row | null>
  /** A page of rows; arguments as those of the list in the API. */
  list(args: ListArguments, context: GatewayContext): Promise<Row[]>
  /** Create a row, with children as in the API. @throws BrokenConstraint, and what a hook refuses with */
  insert(input: Fields, context: GatewayContext): Promise<Row>
  /** Change a row that was read; null when it is gone. @throws as `insert` */
  update(row: Row, patch: Fields, context: GatewayContext): Promise<Row | null>
  /** Delete a row that was read; null when it is gone. @throws as `insert` */
  delete(row: Row, context: GatewayContext): Promise<Row | null>
}

export function tableHandle(parts: SchemaParts, writer: RowWriter, table: Table): TableHandle {
  const list: TableHandle['list'] = async (args, { scope }) => {
    const { tenant } = scope.identity
    const plan = listPlan(parts, table, tenant, args)
    const [rows = []] = await scope.run([listStatement(plan, tenant)])
    const page = rows.slice(0, plan.limit)
    scope.take(page.length, parts.sizes().rows)
    return plan.backward ? page.reverse() : page
  }
  return {
    type: parts.types(table).row,
    read: (row) => fieldsOf(table, row),
    column(field) {
      const column = table.columns.find((candidate) => candidate.field === field)
      if (!column) return noColumn(table, field)
      return (row) => textOf(table, row, column.name)
    },
    id: (row) => encodeId(table, row),
    byId: (id, { scope }) => rowByKey(scope, table, table.primaryKey, decodeIdOf(table, id)),
    async byKey(key, { scope }) {
      const given = changesOf(table, key)
      const values = given.map(({ value }) => wireText(value)).filter((text) => text !== null)
      // No row is found by a null, and none by nothing.
      if (values.length < Math.max(given.length, 1)) return null
      const columns = given.map(({ column }) => column.name)
      return rowByKey(scope, table, columns, values)
    },
    list,
    async insert(input, context) {
      const [row] = await writer.create(table, [input], inMutation(context))
      return row!
    },
    async update(row, patch, context) {
      const [changed] = await writer.update(table, [keyOf(table, row)], patch, inMutation(context))
      return changed ?? null
    },
    async delete(row, context) {
      const [gone] = await writer.remove(table, [keyOf(table, row)], inMutation(context))
      return gone ?? null
    },
  }
}

export function noColumn({ typeName }: Table, field: string): never {
  return fail('CONFIG_INVALID', `An extension asks for "${typeName}.${field}"; the table has no such column.`)
}

// Outside of a mutation there is no transaction to write in, and Postgres would say so in worse words.
function inMutation(context: GatewayContext): GatewayContext {
  if (context.scope.inTransaction) return context
  throw new Error('An extension writes rows in a query; only fields of Mutation have a transaction.')
}
