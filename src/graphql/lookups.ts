/** One row by a unique key: `ticketBy(by: { number: 7 })`. */

import { fail } from '../base/errors.ts'
import type { Row } from '../db/batch.ts'
import { byKeyField, keyTypeName, type LookupKey, lookupKeys } from '../model/lookups.ts'
import type { ColumnType, Table } from '../model/types.ts'
import { type InputFieldsOf, type InputRef, inputObject } from './builder.ts'
import type { RequestScope } from './context.ts'
import { means } from './meanings.ts'
import { columnOf } from './plan/fragments.ts'
import { decodeIdOf } from './plan/ids.ts'
import type { SchemaParts } from './types.ts'
import { toParameter } from './values/text.ts'
import { outdated } from './values/types.ts'

export function addLookup(parts: SchemaParts, table: Table): void {
  const keys = lookupKeys(table)
  if (keys.length === 0) return
  const by = keyType(parts, table, keys)
  parts.builder.queryField(byKeyField(table), (t) =>
    t.field({
      type: parts.types(table).row,
      description: `One ${table.typeName} by one of its keys; null when there is none.`,
      ...outdated(table),
      ...means({ kind: 'lookup', table }),
      args: { by: t.arg({ type: by, required: true }) },
      resolve: (_root, args, { scope }) => {
        const key = keyOfLookup(table, args.by as object)
        const columns = key.map(({ column }) => column)
        return rowByKey(
          scope,
          table,
          columns,
          key.map(({ value }) => value),
        )
      },
    }),
  )
}

/**
 * The columns that `by` names, with their values.
 *
 * @throws BAD_USER_INPUT  an id that this API has not given out, a text that no column can hold
 */
export function keyOfLookup(table: Table, by: object): { readonly column: string; readonly value: string }[] {
  const [name, value] = Object.entries(by)[0] as [string, unknown]
  if (name === 'id') {
    const id = decodeIdOf(table, value as string, 'by.id')
    return table.primaryKey.map((column, i) => ({ column, value: id[i]! }))
  }
  const key = lookupKeys(table).find((candidate) => candidate.name === name)!
  const values = valuesOf(key, value)
  return key.columns.map((column, i) => ({ column: column.name, value: values[i]! }))
}

function keyType(parts: SchemaParts, table: Table, keys: readonly LookupKey[]): InputRef {
  const { builder } = parts
  const description = `A key of a ${table.typeName}.`
  return inputObject(builder, keyTypeName(table), { description, isOneOf: true }, (t) => [
    ...(table.primaryKey.length > 0 ? [['id', t.id()] as const] : []),
    ...keys.map((key) => [key.name, t.field({ type: partsType(parts, key) })] as const),
  ])
}

/** The type of a key's value: of its column, or for several an object of them. */
function partsType(parts: SchemaParts, { typeName, columns }: LookupKey) {
  if (!typeName) return parts.inputType(columns[0]!.type)
  const fields: InputFieldsOf = (t) =>
    columns.map(({ field, type }) => [field, t.field({ type: parts.inputType(type), required: true })])
  return inputObject(parts.builder, typeName, {}, fields)
}

function valuesOf({ columns, typeName, name }: LookupKey, value: unknown): string[] {
  const parts = typeName ? columns.map(({ field }) => (value as Record<string, unknown>)[field]) : [value]
  return parts.map((part, i) => {
    const text = String(toParameter(part, columns[i]!.type))
    if (!text.includes('\0')) return text
    return fail('BAD_USER_INPUT', `"by.${name}" holds the character U+0000, which no column can hold.`)
  })
}

/** The row of a key that a caller has given. */
export function rowByKey(
  scope: RequestScope,
  table: Table,
  columns: readonly string[],
  key: readonly string[],
): Promise<Row | null> {
  const isSafe = columns.every((name) => isWhole(columnOf(table, name).type))
  return scope.loaders.row(table, columns, key, !isSafe)
}

// Of these whatever has the form of their scalar is a value; the 30th of February would fail its whole batch.
export function isWhole({ kind, name }: ColumnType): boolean {
  return ['text', 'int', 'bigint', 'uuid', 'boolean', 'enum'].includes(kind) && name !== 'int2'
}
