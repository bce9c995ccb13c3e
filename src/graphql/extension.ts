/**
 * Extensions: modules of the user that add fields in code, through the same Pothos builder.
 *
 *     export default {
 *       permissions: { 'Query.busiestUsers': 'member' },
 *       extend({ builder, type, column }) { … },
 *     } satisfies Extension
 *
 * A resolver reaches rows only through `context.scope`: its tenant is fixed, and so is its deadline.
 */

import { fail } from '../base/errors.ts'
import type { Row } from '../db/batch.ts'
import { compile, type SQL, type Statement, sql } from '../db/sql.ts'
import type { Model, Table } from '../model/types.ts'
import type { Role } from '../tenant/types.ts'
import type { Builder } from './builder.ts'
import type { RowRef, SchemaParts } from './types.ts'

export interface Extension {
  /** Least role for a field that is added: 'Query.busiestUsers' → 'member'. Fields of Query and Mutation
   * without an entry are denied. */
  readonly permissions?: Readonly<Record<string, Role>>
  extend(tools: ExtensionTools): void
}

export interface ExtensionTools {
  readonly builder: Builder
  readonly model: Model
  /** The object type of a table by its GraphQL name: 'Ticket'. */
  type(typeName: string): RowRef
  /** Reads a column of a row as Postgres text: `column('Ticket', 'createdAt')(row)`. */
  column(typeName: string, field: string): (row: Row) => string | null
  readonly sql: typeof sql
  /** An SQL fragment as a statement for `context.scope.run`. */
  statement(fragment: SQL): Statement
}

export function extensionTools({ builder, model, types }: SchemaParts): ExtensionTools {
  const tableOf = (typeName: string): Table =>
    model.tables.find((table) => table.typeName === typeName) ??
    fail('CONFIG_INVALID', `An extension asks for the type "${typeName}"; the tables give no such type.`)
  return {
    builder,
    model,
    sql,
    statement: compile,
    type: (typeName) => types(tableOf(typeName)).row,
    column(typeName, field) {
      const position = tableOf(typeName).columns.findIndex((column) => column.field === field)
      if (position < 0) {
        fail('CONFIG_INVALID', `An extension asks for "${typeName}.${field}"; the table has no such column.`)
      }
      return (row) => row[position] ?? null
    },
  }
}
