/**
 * Object types: one per table, with its columns, its relations in both directions and its connection.
 */

import type { InterfaceRef, ObjectRef } from '@pothos/core'
import type { Row } from '../db/batch.ts'
import type { Column, Model, Relation, Table } from '../model/types.ts'
import type { Builder, SchemaTypes, SharedTypes } from './builder.ts'
import type { RequestScope } from './context.ts'
import { type FilterTypes, filterTypes } from './filters/types.ts'
import { means } from './meanings.ts'
import { type OrderTypes, orderTypes } from './orders.ts'
import { type Edge, type ListArguments, listPlan, type Page, type PageSizes, pageOf } from './pages.ts'
import { measuresOfNothing } from './plan/aggregates.ts'
import { encodeId } from './plan/ids.ts'
import type { ListPlan } from './plan/types.ts'
import { reader } from './values/text.ts'
import { documented, outputField, type ValueTypes, valueTypes } from './values/types.ts'

type Types = PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>
export type RowRef = ObjectRef<Types, Row>

export interface TableTypes {
  readonly row: RowRef
  readonly connection: ObjectRef<Types, Page>
}

/** What the parts of a schema share while it is built. */
export interface SchemaParts extends ValueTypes {
  readonly builder: Builder
  readonly model: Model
  readonly shared: SharedTypes
  readonly sizes: () => PageSizes
  readonly tables: ReadonlyMap<string, Table>
  /** GraphQL types of a table, by its id. */
  types(table: Table): TableTypes
  readonly filters: FilterTypes & OrderTypes
}

export function tableTypes(
  builder: Builder,
  model: Model,
  shared: SharedTypes,
  sizes: () => PageSizes,
): SchemaParts {
  const tables = new Map(model.tables.map((table) => [table.id, table]))
  const values = valueTypes(builder, model)
  const refs = new Map<string, TableTypes>(
    model.tables.map((table) => [
      table.id,
      {
        row: builder.objectRef<Row>(table.typeName),
        connection: builder.objectRef<Page>(`${table.typeName}Connection`),
      },
    ]),
  )
  const parts: SchemaParts = {
    builder,
    model,
    shared,
    sizes,
    tables,
    types: (table) => refs.get(table.id)!,
    ...values,
    filters: { ...filterTypes(builder, values, tables), ...orderTypes(builder, shared, tables) },
  }
  for (const table of model.tables) {
    implementRow(parts, table)
    implementConnection(parts, table)
  }
  return parts
}

function implementRow(parts: SchemaParts, table: Table): void {
  const node = parts.shared.node as unknown as InterfaceRef<Types, Row>
  const identified = table.primaryKey.length > 0
  parts.builder.objectType(parts.types(table).row, {
    ...describe(table.comment),
    ...(identified ? { interfaces: [node] } : {}),
    fields: (t) => ({
      ...(identified
        ? {
            id: t.id({ nullable: false, ...means({ kind: 'id' }), resolve: (row) => encodeId(table, row) }),
          }
        : {}),
      ...Object.fromEntries(
        table.columns.flatMap((column, i) =>
          column.can.read ? [[column.field, columnField(t, parts, column, i)]] : [],
        ),
      ),
      ...Object.fromEntries(
        table.relations.map((relation) => [relation.field, relationField(t, parts, table, relation)]),
      ),
    }),
  })
}

type RowFields = PothosSchemaTypes.ObjectFieldBuilder<Types, Row>

function columnField(t: RowFields, parts: SchemaParts, column: Column, position: number) {
  const read = reader(column.type)
  const options = { ...documented(column), ...means({ kind: 'column', column }), nullable: column.nullable }
  return outputField(t, parts, column.type, options, (row, _args, { scope }) =>
    read(scope.takeValue(row[position] ?? null)),
  )
}

function relationField(t: RowFields, parts: SchemaParts, table: Table, relation: Relation) {
  const target = parts.tables.get(relation.target)!
  const own = relation.columns.map((pair) => table.columns.findIndex(({ name }) => name === pair.own))
  const others = relation.columns.map((pair) => pair.other)
  const keyOf = (row: Row): string[] | null => {
    const key = own.map((position) => row[position] ?? null)
    return key.includes(null) ? null : (key as string[])
  }
  if (relation.kind === 'one') {
    return t.field({
      type: parts.types(target).row,
      ...documented(relation),
      ...means({ kind: 'relation', relation, target }),
      nullable: true,
      resolve: (row, _args, { scope }) => {
        const key = keyOf(row)
        if (!key) return null
        scope.take(1, parts.sizes().rows)
        return scope.loaders.row(target, others, key)
      },
    })
  }
  return t.field({
    type: parts.types(target).connection,
    ...documented(relation),
    ...means({ kind: 'relation', relation, target }),
    nullable: false,
    args: listArguments(t, parts, target),
    resolve: (row, args, { scope }, { fieldNodes }) => {
      const make = () => listPlan(parts, target, scope.identity.tenant, args as ListArguments, others)
      return childPage(scope.planOf(fieldNodes[0]!, others, make), keyOf(row), scope, parts.sizes().rows)
    },
  })
}

function childPage(plan: ListPlan, key: string[] | null, scope: RequestScope, rowsMax: number): Page {
  const { tenant } = scope.identity
  if (!key)
    return pageOf(
      plan,
      tenant,
      async () => [],
      async (wanted) => measuresOfNothing(wanted),
    )
  const load = async (): Promise<Row[]> => {
    const rows = await scope.loaders.children(plan, key, scope.room(rowsMax))
    scope.take(Math.min(rows.length, plan.limit), rowsMax)
    return rows
  }
  return pageOf(plan, tenant, load, (wanted) => scope.loaders.measures(wanted, key, scope.room(rowsMax)))
}

function implementConnection(parts: SchemaParts, table: Table): void {
  const { builder, shared } = parts
  const { row, connection } = parts.types(table)
  const edge = builder.objectRef<Edge>(`${table.typeName}Edge`).implement({
    fields: (t) => ({
      cursor: t.exposeString('cursor', { nullable: false, ...means({ kind: 'edge', part: 'cursor' }) }),
      node: t.field({
        type: row,
        nullable: false,
        ...means({ kind: 'edge', part: 'node' }),
        resolve: ({ node }) => node,
      }),
    }),
  })
  builder.objectType(connection, {
    description: `A page of ${table.manyField}.`,
    fields: (t) => ({
      nodes: t.field({
        type: [row],
        nullable: { list: false, items: false },
        ...means({ kind: 'page', part: 'nodes' }),
        resolve: async ({ shown }) => [...(await shown()).nodes],
      }),
      edges: t.field({
        type: [edge],
        nullable: { list: false, items: false },
        ...means({ kind: 'page', part: 'edges' }),
        resolve: async ({ shown }) => [...(await shown()).edges],
      }),
      pageInfo: t.field({
        type: shared.pageInfo,
        nullable: false,
        ...means({ kind: 'page', part: 'pageInfo' }),
        resolve: async ({ shown }) => (await shown()).pageInfo,
      }),
      totalCount: t.int({
        nullable: false,
        description: 'Rows of the whole list, over all pages.',
        ...means({ kind: 'page', part: 'totalCount' }),
        resolve: ({ totalCount }) => totalCount(),
      }),
    }),
  })
}

/** The arguments of a list; the same for a table and for the children of a row. */
export function listArguments(t: { arg: RowFields['arg'] }, { filters }: SchemaParts, table: Table) {
  const orderType = filters.orderType(table)
  return {
    first: t.arg.int({ description: 'Rows from the start, or after "after".' }),
    last: t.arg.int({ description: 'Rows from the end, or before "before".' }),
    after: t.arg.string({ description: 'A cursor of this list: rows after it.' }),
    before: t.arg.string({ description: 'A cursor of this list: rows before it.' }),
    offset: t.arg.int({
      description: 'Rows to pass over, from the start or from "after"; 10,000 at most.',
    }),
    filter: t.arg({ type: filters.filterType(table) }),
    ...(orderType && { orderBy: t.arg({ type: [orderType], required: { list: false, items: true } }) }),
  }
}

export function describe(comment: string | undefined): { description?: string } {
  return comment === undefined ? {} : { description: comment }
}
