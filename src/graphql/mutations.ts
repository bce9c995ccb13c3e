/**
 * The Mutation type: for each table what its rights allow, for one row and for several.
 *
 * All mutations of one operation are one transaction (transaction.ts); rows are written in one place
 * (mutations/writer.ts), whichever field or extension asks for it.
 */

import type { Model, Table } from '../model/types.ts'
import { addCreateMany, addDeleteMany, addUpdateMany, bulkName } from './mutations/bulk.ts'
import { createColumns, isDeletable, isUpdatable } from './mutations/fields.ts'
import { createInputs, patchInputs } from './mutations/inputs.ts'
import type { MutationParts } from './mutations/parts.ts'
import { changesType } from './mutations/results.ts'
import { addCreate, addDelete, addUpdate, addUpsert, isUpsertable } from './mutations/single.ts'
import type { RowWriter } from './mutations/types.ts'
import type { SchemaParts } from './types.ts'

export function addMutations(parts: SchemaParts, writer: RowWriter): void {
  parts.builder.mutationType({
    description: 'Changes rows of the tenant. All mutations of one operation are kept, or none.',
  })
  const inputs = { create: createInputs(parts), patch: patchInputs(parts) }
  for (const table of parts.model.tables) addTable({ parts, writer, inputs }, table)
}

/** Names of the fields that `addMutations` makes. */
export function mutationFields({ tables }: Model): string[] {
  return [
    ...tables.filter(isCreatable).flatMap((table) => [`create${table.typeName}`, bulkName('create', table)]),
    ...tables.filter(isUpsertable).map(({ typeName }) => `upsert${typeName}`),
    ...tables.filter(isUpdatable).flatMap((table) => [`update${table.typeName}`, bulkName('update', table)]),
    ...tables.filter(isDeletable).flatMap((table) => [`delete${table.typeName}`, bulkName('delete', table)]),
  ]
}

function addTable(mutation: MutationParts, table: Table): void {
  const [creatable, updatable, deletable] = [isCreatable(table), isUpdatable(table), isDeletable(table)]
  if (!creatable && !updatable && !deletable) return
  const changes = changesType(mutation.parts, table)
  if (creatable) {
    addCreate(mutation, table)
    addCreateMany(mutation, table, changes)
  }
  if (isUpsertable(table)) addUpsert(mutation, table)
  if (updatable) {
    addUpdate(mutation, table)
    addUpdateMany(mutation, table, changes)
  }
  if (deletable) {
    addDelete(mutation, table)
    addDeleteMany(mutation, table, changes)
  }
}

function isCreatable(table: Table): boolean {
  return table.can.create && createColumns(table).length > 0
}
