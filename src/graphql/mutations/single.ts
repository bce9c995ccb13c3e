/** Mutations of one row: create, update, delete and upsert. */

import { fail } from '../../base/errors.ts'
import type { Table } from '../../model/types.ts'
import { means, type Verb } from '../meanings.ts'
import { decodeIdOf } from '../plan/ids.ts'
import { outdated } from '../values/types.ts'
import { childRelations, withoutChildren } from './children.ts'
import { type Fields, isGiven, patchColumns } from './fields.ts'
import { columnEnum, keyEnum, type WritableKey, writableKeys } from './inputs.ts'
import type { MutationParts } from './parts.ts'
import { answered, rowResult } from './results.ts'
import type { RowWriter } from './types.ts'

// Rows that pass through an extension's code have no meaning in terms of the tables alone.
function written(writer: RowWriter, verb: Verb, table: Table) {
  return writer.isHooked(table, verb) ? {} : means({ kind: 'write', verb, table })
}

export function addCreate({ parts, writer, inputs }: MutationParts, table: Table): void {
  parts.builder.mutationField(`create${table.typeName}`, (t) =>
    t.field({
      type: rowResult(parts, table, 'Create'),
      ...written(writer, 'create', table),
      description: `Create a ${table.typeName}, with rows that belong to it where the input holds some.`,
      ...outdated(table),
      args: { input: t.arg({ type: inputs.create(table), required: true }) },
      resolve: (_root, { input }, context, info) =>
        answered(context.scope, info, async () => {
          const [row] = await writer.create(table, [input as Fields], context)
          return row ?? null
        }),
    }),
  )
}

export function addUpdate({ parts, writer, inputs }: MutationParts, table: Table): void {
  parts.builder.mutationField(`update${table.typeName}`, (t) =>
    t.field({
      type: rowResult(parts, table, 'Update'),
      ...written(writer, 'update', table),
      description: `Change the given columns of one ${table.typeName}; null when there is none with this id.`,
      ...outdated(table),
      args: { id: t.arg.id({ required: true }), patch: t.arg({ type: inputs.patch(table), required: true }) },
      resolve: (_root, { id, patch }, context, info) =>
        answered(context.scope, info, async () => {
          const fields = requirePatch(patch as Fields)
          const [row] = await writer.update(table, [decodeIdOf(table, id)], fields, context)
          return row ?? null
        }),
    }),
  )
}

/** @throws BAD_USER_INPUT  it changes nothing */
export function requirePatch(patch: Fields): Fields {
  if (Object.keys(patch).length > 0) return patch
  return fail('BAD_USER_INPUT', '"patch" is empty; name a column to change.')
}

export function addDelete({ parts, writer }: MutationParts, table: Table): void {
  parts.builder.mutationField(`delete${table.typeName}`, (t) =>
    t.field({
      type: rowResult(parts, table, 'Delete'),
      ...written(writer, 'delete', table),
      description: `Delete one ${table.typeName} and return it as it was; null when there is none with this id.`,
      ...outdated(table),
      args: { id: t.arg.id({ required: true }) },
      resolve: (_root, { id }, context, info) =>
        answered(context.scope, info, async () => {
          const [row] = await writer.remove(table, [decodeIdOf(table, id)], context)
          return row ?? null
        }),
    }),
  )
}

export function isUpsertable(table: Table): boolean {
  return (
    table.can.create && table.can.update && patchColumns(table).length > 0 && writableKeys(table).length > 0
  )
}

export function addUpsert({ parts, writer, inputs }: MutationParts, table: Table): void {
  const keys = writableKeys(table)
  const isPrimary = JSON.stringify(keys[0]?.columns) === JSON.stringify(table.primaryKey)
  const columns = columnEnum(parts, table)
  parts.builder.mutationField(`upsert${table.typeName}`, (t) =>
    t.field({
      type: rowResult(parts, table, 'Upsert'),
      ...written(writer, 'upsert', table),
      description: `Create a ${table.typeName}, or change the one that has the same key already.`,
      ...outdated(table),
      args: {
        input: t.arg({ type: inputs.create(table), required: true }),
        on: t.arg({
          type: keyEnum(parts, table, keys),
          required: true,
          description: 'The key that tells whether it is there; the input gives its columns.',
          ...(isPrimary ? { defaultValue: keys[0]!.name } : {}),
        }),
        update: t.arg({
          type: [columns],
          required: { list: false, items: true },
          description:
            'What changes when it is there: columns of the input; left out, all of them beside the key.',
        }),
      },
      resolve: (_root, { input, on, update }, context, info) =>
        answered(context.scope, info, () => {
          const key = keys.find(({ name }) => name === on)!
          const wanted = updatedColumns(parts.tables, table, key, input as Fields, update)
          return writer.upsert(table, input as Fields, { key: key.columns, update: wanted }, context)
        }),
    }),
  )
}

/** @throws BAD_USER_INPUT  the input does not give a column of the key, or one of `update` */
export function updatedColumns(
  tables: ReadonlyMap<string, Table>,
  table: Table,
  { name, columns }: WritableKey,
  input: Fields,
  update: readonly string[] | null | undefined,
): string[] {
  const given = withoutChildren(input, childRelations(table, tables))
  const missing = (wanted: readonly string[]): string | undefined =>
    table.columns.find((column) => wanted.includes(column.name) && !isGiven(given, column.field))?.field
  const inKey = missing(columns)
  if (inKey) fail('BAD_USER_INPUT', `"on" is ${name}; "input" has to give "${inKey}".`)
  const inUpdate = update && missing(update)
  if (inUpdate) fail('BAD_USER_INPUT', `"update" names "${inUpdate}", which "input" does not give.`)
  if (update) return [...new Set(update)]
  return patchColumns(table)
    .filter((column) => isGiven(given, column.field) && !columns.includes(column.name))
    .map((column) => column.name)
}
