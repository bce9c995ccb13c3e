/** The top of the Query type: one row by id, lists, `node` and `nodes`, and the tenant itself. */

import { fail } from '../base/errors.ts'
import type { Row } from '../db/batch.ts'
import { byKeyField, lookupKeys } from '../model/lookups.ts'
import type { Model, Table } from '../model/types.ts'
import { rememberType } from './builder.ts'
import type { GatewayContext } from './context.ts'
import { addCurrentTenant, CURRENT_TENANT_FIELD } from './current-tenant.ts'
import { addLookup, rowByKey } from './lookups.ts'
import { means } from './meanings.ts'
import { type ListArguments, listPlan, type Page, pageOf } from './pages.ts'
import { aggregateStatement } from './plan/aggregates.ts'
import { decodeId, decodeIdOf, type RowId } from './plan/ids.ts'
import { listStatement } from './plan/lists.ts'
import { listArguments, type SchemaParts } from './types.ts'
import { outdated } from './values/types.ts'

export function addQueries(parts: SchemaParts): void {
  parts.builder.queryType({ description: "Reads the rows of the caller's tenant." })
  for (const table of parts.model.tables) {
    addList(parts, table)
    if (hasKey(table)) addOne(parts, table)
    addLookup(parts, table)
  }
  addNodes(parts)
  addCurrentTenant(parts.builder)
}

/** Names of the root fields that `addQueries` makes. */
export function queryFields({ tables }: Model): string[] {
  const ones = tables.filter(hasKey).map(({ oneField }) => oneField)
  const lookups = tables.filter((table) => lookupKeys(table).length > 0).map(byKeyField)
  return [
    ...ones,
    ...lookups,
    ...tables.map(({ manyField }) => manyField),
    'node',
    'nodes',
    CURRENT_TENANT_FIELD,
  ]
}

function hasKey({ primaryKey }: Table): boolean {
  return primaryKey.length > 0
}

function addOne(parts: SchemaParts, table: Table): void {
  parts.builder.queryField(table.oneField, (t) =>
    t.field({
      type: parts.types(table).row,
      description: `One ${table.typeName} by its id; null when there is none.`,
      ...outdated(table),
      ...means({ kind: 'row', table }),
      args: { id: t.arg.id({ required: true }) },
      resolve: (_root, { id }, { scope }) => rowByKey(scope, table, table.primaryKey, decodeIdOf(table, id)),
    }),
  )
}

function addList(parts: SchemaParts, table: Table): void {
  parts.builder.queryField(table.manyField, (t) =>
    t.field({
      type: parts.types(table).connection,
      ...outdated(table),
      ...means({ kind: 'list', table }),
      nullable: false,
      args: listArguments(t, parts, table),
      resolve: (_root, args, context) => tablePage(parts, table, args as ListArguments, context),
    }),
  )
}

function tablePage(parts: SchemaParts, table: Table, args: ListArguments, { scope }: GatewayContext): Page {
  const { tenant } = scope.identity
  const plan = listPlan(parts, table, tenant, args)
  const load = async (): Promise<Row[]> => {
    const [rows = []] = await scope.run([listStatement(plan, tenant)])
    scope.take(Math.min(rows.length, plan.limit), parts.sizes().rows)
    return rows
  }
  return pageOf(plan, tenant, load, async (wanted) => {
    const [measured = []] = await scope.run([aggregateStatement(wanted, tenant)])
    return measured
  })
}

function addNodes(parts: SchemaParts): void {
  const byTypeName = new Map(
    parts.model.tables
      .filter(({ primaryKey }) => primaryKey.length > 0)
      .map((table) => [table.typeName, table]),
  )
  const load = async ({ table, key }: RowId, { scope }: GatewayContext): Promise<Row | null> => {
    scope.take(1, parts.sizes().rows)
    const row = await rowByKey(scope, table, table.primaryKey, key)
    return row && rememberType(row, table.typeName)
  }
  parts.builder.queryField('node', (t) =>
    t.field({
      type: parts.shared.node,
      ...means({ kind: 'node' }),
      description: 'Any row by its id; null when there is none.',
      args: { id: t.arg.id({ required: true }) },
      resolve: (_root, { id }, context) => load(decodeId(id, byTypeName), context),
    }),
  )
  parts.builder.queryField('nodes', (t) =>
    t.field({
      type: [parts.shared.node],
      ...means({ kind: 'nodes' }),
      description: 'Rows by their ids, in the order asked; null where there is none.',
      nullable: { list: false, items: true },
      args: { ids: t.arg.idList({ required: true }) },
      resolve: (_root, { ids }, context) => {
        const { pageSize } = parts.sizes()
        if (ids.length > pageSize)
          fail('BAD_USER_INPUT', `"ids" wants ${pageSize} ids at most; ${ids.length} came.`)
        return ids.map((id) => decodeId(id, byTypeName, 'ids')).map((rowId) => load(rowId, context))
      },
    }),
  )
}
