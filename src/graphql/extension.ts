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

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { fail } from '../base/errors.ts'
import type { Row } from '../db/batch.ts'
import { compile, type SQL, type Statement, sql } from '../db/sql.ts'
import type { Model, Table } from '../model/types.ts'
import type { Builder } from './builder.ts'
import type { Grant } from './rules.ts'
import type { RowRef, SchemaParts } from './types.ts'

export interface Extension {
  /**
   * Who may use a field that is added: 'Query.busiestUsers' → 'member', or a rule of graphql-shield.
   * Fields of Query and Mutation without an entry are denied.
   */
  readonly permissions?: Readonly<Record<string, Grant>>
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

/**
 * Load the modules that the configuration names.
 *
 * @param folder  what relative paths are relative to
 * @throws CONFIG_INVALID  a module cannot be loaded, or its default export is no extension
 */
export async function loadExtensions(paths: readonly string[], folder: string): Promise<Extension[]> {
  return Promise.all(paths.map((path, i) => loadExtension(resolve(folder, path), `extensions[${i}]`)))
}

async function loadExtension(path: string, key: string): Promise<Extension> {
  const loaded = await import(pathToFileURL(path).href).catch((cause: Error) =>
    fail('CONFIG_INVALID', `${key}: ${path} cannot be loaded: ${cause.message}`, {}, { cause }),
  )
  const extension = (loaded as { default?: Partial<Extension> }).default
  if (typeof extension?.extend === 'function') return extension as Extension
  return fail('CONFIG_INVALID', `${key}: wanted a default export with a function "extend" in ${path}.`)
}
