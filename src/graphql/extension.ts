/**
 * Extensions: modules of the user that add fields, types, mutations, permissions and hooks in code, through the
 * same Pothos builder. Everything that such a module imports comes from here.
 *
 *     export default {
 *       permissions: { 'Query.busiestUsers': 'member' },
 *       hooks: ({ table }) => ({ Ticket: { beforeCreate: (input) => … } }),
 *       extend({ builder, table }) { … },
 *     } satisfies Extension
 *
 * A resolver reaches rows only through its context: the tenant is fixed there, and so is the deadline.
 */

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type ErrorDetails, fail } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import type { Row } from '../db/batch.ts'
import { compile, type SQL, type Statement, sql } from '../db/sql.ts'
import type { Model, Table } from '../model/types.ts'
import type { Builder } from './builder.ts'
import type { GatewayContext } from './context.ts'
import type { JobDefinition, JobDefinitions, JobRun } from './jobs/definition.ts'
import { enqueue } from './jobs/enqueue.ts'
import type { Fields } from './mutations/fields.ts'
import { type TableHandle, tableHandle } from './mutations/handles.ts'
import { HOOK_NAMES, type TableHooks } from './mutations/hooks.ts'
import type { RowWriter } from './mutations/types.ts'
import type { Grant } from './permissions/rules.ts'
import type { RowRef, SchemaParts } from './types.ts'

export type { Fields, GatewayContext, JobDefinition, JobRun, Row, TableHandle, TableHooks }
export { enqueue }

export interface Extension {
  /**
   * Who may use a field that is added: 'Query.busiestUsers' → 'member', or a rule of graphql-shield.
   * Fields of Query and Mutation without an entry are denied. An entry for a generated field replaces its rule.
   */
  readonly permissions?: Readonly<Record<string, Grant>>
  /** By GraphQL type: what runs before and after rows of it are written. */
  hooks?(tools: ExtensionTools): Readonly<Record<string, TableHooks>>
  /** By name: what runs later, for one tenant each (docs/jobs.md). */
  readonly jobs?: JobDefinitions
  extend?(tools: ExtensionTools): void
}

export interface ExtensionTools {
  readonly builder: Builder
  readonly model: Model
  /**
   * A table by its GraphQL type: 'Ticket'. Its rows, and writes in the transaction of the mutation.
   *
   * @throws CONFIG_INVALID  the tables give no such type
   */
  table(typeName: string): TableHandle
  /** `table(typeName).type`. */
  type(typeName: string): RowRef
  /** `table(typeName).column(field)`. */
  column(typeName: string, field: string): (row: Row) => string | null
  readonly sql: typeof sql
  /** An SQL fragment as a statement for `context.scope.run`. */
  statement(fragment: SQL): Statement
}

/**
 * Refuse what the caller asks: the operation is rolled back and `message` is what he reads.
 *
 * @param options.code     default BAD_USER_INPUT
 * @param options.details  for programs; never row data of anybody else's
 */
export function refuse(
  message: string,
  options: { code?: 'BAD_USER_INPUT' | 'FORBIDDEN'; details?: ErrorDetails } = {},
): never {
  return fail(options.code ?? 'BAD_USER_INPUT', message, options.details)
}

export function extensionTools(parts: SchemaParts, writer: RowWriter): ExtensionTools {
  const { builder, model } = parts
  const table = (typeName: string): TableHandle => tableHandle(parts, writer, tableNamed(model, typeName))
  return {
    builder,
    model,
    sql,
    statement: compile,
    table,
    type: (typeName) => table(typeName).type,
    column: (typeName, field) => table(typeName).column(field),
  }
}

/**
 * The hooks of all extensions, by GraphQL type.
 *
 * @throws CONFIG_INVALID  hooks are given for a type that the tables do not give, or under a name that nobody calls
 */
export function hooksOfExtensions(
  extensions: readonly Extension[],
  tools: ExtensionTools,
): ReadonlyMap<string, readonly TableHooks[]> {
  const hooks = new Map<string, TableHooks[]>()
  for (const extension of extensions) {
    for (const [typeName, found] of Object.entries(extension.hooks?.(tools) ?? {})) {
      tableNamed(tools.model, typeName)
      requireKnown(found, HOOK_NAMES, `hooks of ${typeName}`)
      hooks.set(typeName, [...(hooks.get(typeName) ?? []), found])
    }
  }
  return hooks
}

function tableNamed({ tables }: Model, typeName: string): Table {
  const found = tables.find((table) => table.typeName === typeName)
  if (found) return found
  const types = tables.map((table) => table.typeName)
  const reason = `the tables give no such type${probably(typeName, types)}.`
  return fail('CONFIG_INVALID', `An extension asks for the type "${typeName}"; ${reason}`)
}

/** A rule under a mistyped name would be no rule, and nothing else would say so. */
function requireKnown(given: object, known: readonly string[], where: string): void {
  const stranger = Object.keys(given).find((name) => !known.includes(name))
  if (stranger === undefined) return
  const wanted = `wanted ${known.join(', ')}${probably(stranger, known)}`
  fail('CONFIG_INVALID', `${where}: ${wanted}; "${stranger}" came.`)
}

function probably(word: string, known: readonly string[]): string {
  const meant = nearest(word, known)
  return meant === undefined ? '' : ` (did you mean "${meant}"?)`
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

const PARTS: readonly string[] = ['permissions', 'hooks', 'jobs', 'extend'] satisfies (keyof Extension)[]

async function loadExtension(path: string, key: string): Promise<Extension> {
  const loaded = await import(pathToFileURL(path).href).catch((cause: Error) =>
    fail('CONFIG_INVALID', `${key}: ${path} cannot be loaded: ${cause.message}`, {}, { cause }),
  )
  const { default: extension } = loaded as { default?: Extension }
  if (typeof extension !== 'object' || extension === null) {
    return fail('CONFIG_INVALID', `${key}: wanted an object as the default export of ${path}.`)
  }
  requireKnown(extension, PARTS, `${key}, ${path}`)
  return extension
}
