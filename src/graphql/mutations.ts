/**
 * The Mutation type: create, update and delete for each table.
 *
 * A broken constraint is an answer (a ConstraintError in the result), because forms need it; anything else
 * is an error. Either way the operation's transaction is rolled back (transaction.ts).
 */

import type { GraphQLResolveInfo } from 'graphql'
import { fail } from '../base/errors.ts'
import type { Row } from '../db/batch.ts'
import type { Statement } from '../db/sql.ts'
import type { Column, Model, Table } from '../model/types.ts'
import { ConstraintFailure, type InputRef, inputObject } from './builder.ts'
import { constraintFailure } from './constraints.ts'
import type { RequestScope } from './context.ts'
import { decodeIdOf } from './plan/ids.ts'
import { type Changes, deleteStatement, insertStatement, updateStatement } from './plan/writes.ts'
import type { SchemaParts } from './types.ts'
import { toParameter } from './values.ts'

type Result = Row | ConstraintFailure | null

export function addMutations(parts: SchemaParts): void {
  parts.builder.mutationType({
    description: 'Changes rows of the tenant. All mutations of one operation are kept, or none.',
  })
  for (const table of parts.model.tables) {
    if (table.can.create) addCreate(parts, table)
    if (isUpdatable(table)) addUpdate(parts, table)
    if (isDeletable(table)) addDelete(parts, table)
  }
}

/** Names of the fields that `addMutations` makes. */
export function mutationFields({ tables }: Model): string[] {
  return [
    ...tables.filter(({ can }) => can.create).map(({ typeName }) => `create${typeName}`),
    ...tables.filter(isUpdatable).map(({ typeName }) => `update${typeName}`),
    ...tables.filter(isDeletable).map(({ typeName }) => `delete${typeName}`),
  ]
}

function isDeletable({ primaryKey, can }: Table): boolean {
  return can.delete && primaryKey.length > 0
}

function isUpdatable(table: Table): boolean {
  return table.can.update && table.primaryKey.length > 0 && patchColumns(table).length > 0
}

function addCreate(parts: SchemaParts, table: Table): void {
  const columns = table.columns.filter(({ can }) => can.create)
  const input = writeInput(parts, `Create${table.typeName}Input`, columns, isRequired)
  parts.builder.mutationField(`create${table.typeName}`, (t) =>
    t.field({
      type: resultType(parts, table, 'Create'),
      args: { input: t.arg({ type: input, required: true }) },
      resolve: (_root, args, { scope }, info) => {
        const changes = changesOf(columns, args.input as object)
        return write(table, scope, info, insertStatement(table, scope.identity.tenant, changes))
      },
    }),
  )
}

function addUpdate(parts: SchemaParts, table: Table): void {
  const columns = patchColumns(table)
  const patch = writeInput(parts, `${table.typeName}Patch`, columns, () => false)
  parts.builder.mutationField(`update${table.typeName}`, (t) =>
    t.field({
      type: resultType(parts, table, 'Update'),
      description: `Change the given columns of one ${table.typeName}; null when there is none with this id.`,
      args: { id: t.arg.id({ required: true }), patch: t.arg({ type: patch, required: true }) },
      resolve: (_root, args, { scope }, info) => {
        const changes = changesOf(columns, args.patch as object)
        if (changes.length === 0) fail('BAD_USER_INPUT', '"patch" is empty; name a column to change.')
        return write(
          table,
          scope,
          info,
          updateStatement(table, scope.identity.tenant, decodeIdOf(table, args.id), changes),
        )
      },
    }),
  )
}

function addDelete(parts: SchemaParts, table: Table): void {
  parts.builder.mutationField(`delete${table.typeName}`, (t) =>
    t.field({
      type: resultType(parts, table, 'Delete'),
      description: `Delete one ${table.typeName} and return it as it was; null when there is none with this id.`,
      args: { id: t.arg.id({ required: true }) },
      resolve: (_root, { id }, { scope }, info) =>
        write(table, scope, info, deleteStatement(table, scope.identity.tenant, decodeIdOf(table, id))),
    }),
  )
}

async function write(
  table: Table,
  scope: RequestScope,
  info: GraphQLResolveInfo,
  statement: Statement,
): Promise<Result> {
  try {
    const [rows] = await scope.run([statement])
    scope.loaders.clear()
    return rows?.[0] ?? null
  } catch (error) {
    const failure = constraintFailure(table, error)
    if (!failure) throw error
    scope.failedFields.add(String(info.path.key))
    return failure
  }
}

function resultType(parts: SchemaParts, table: Table, verb: string) {
  return parts.builder.unionType(`${verb}${table.typeName}Result`, {
    types: [parts.types(table).row, parts.shared.constraintError],
    resolveType: (value: Row | ConstraintFailure) =>
      value instanceof ConstraintFailure ? 'ConstraintError' : table.typeName,
  })
}

/** Key columns stay as they are: ids and cursors are made of them. */
function patchColumns(table: Table): Column[] {
  return table.columns.filter(({ name, can }) => can.update && !table.primaryKey.includes(name))
}

function isRequired({ nullable, hasDefault }: Column): boolean {
  return !nullable && !hasDefault
}

function writeInput(
  parts: SchemaParts,
  name: string,
  columns: readonly Column[],
  required: (column: Column) => boolean,
): InputRef {
  return inputObject(parts.builder, name, {}, (t) =>
    columns.map((column) => {
      const type = parts.valueType(column.type)
      const options = column.comment === undefined ? {} : { description: column.comment }
      if (!column.type.array) return [column.field, t.field({ type, ...options, required: required(column) })]
      const list = { list: required(column), items: false }
      return [column.field, t.field({ type: [type], ...options, required: list })]
    }),
  )
}

function changesOf(columns: readonly Column[], input: object): Changes {
  return Object.entries(input).map(([field, value]) => {
    const column = columns.find((candidate) => candidate.field === field)!
    return { column, value: toParameter(value) }
  })
}
