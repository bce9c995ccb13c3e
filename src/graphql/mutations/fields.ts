/**
 * A row as the API writes it: the names of its fields with their values as GraphQL has them. Inputs are such,
 * hooks see such; statements take them apart into columns and parameters.
 */

import type { Row } from '../../db/batch.ts'
import type { Column, Table } from '../../model/types.ts'
import type { Changes } from '../plan/writes.ts'
import { reader, toParameter } from '../values/text.ts'

export type Fields = Readonly<Record<string, unknown>>

/** Columns that a new row may give. */
export function createColumns(table: Table): Column[] {
  return table.columns.filter(({ can }) => can.create)
}

/** Columns that may change. Key columns stay as they are: ids and cursors are made of them. */
export function patchColumns(table: Table): Column[] {
  return table.columns.filter(({ name, can }) => can.update && !table.primaryKey.includes(name))
}

/** Whether rows can be changed one by one. */
export function isUpdatable(table: Table): boolean {
  return table.can.update && table.primaryKey.length > 0 && patchColumns(table).length > 0
}

export function isDeletable({ primaryKey, can }: Table): boolean {
  return can.delete && primaryKey.length > 0
}

/**
 * What `fields` gives, column by column in the model's order, so that equal sets of columns are one statement.
 *
 * @throws Error  a field that is no column, which GraphQL has ruled out and a hook may have made
 */
export function changesOf(table: Table, fields: Fields): Changes {
  const unknown = Object.keys(fields).find((key) => !table.columns.some(({ field }) => field === key))
  if (unknown !== undefined) throw new Error(`${table.typeName} has no column "${unknown}" to write`)
  return table.columns
    .filter(({ field }) => isGiven(fields, field))
    .map((column) => ({ column, value: toParameter(fields[column.field], column.type) }))
}

// Own keys alone: every object has a "constructor".
export function isGiven(fields: Fields, field: string): boolean {
  return Object.hasOwn(fields, field) && fields[field] !== undefined
}

export function fieldsOf(table: Table, row: Row): Fields {
  return Object.fromEntries(table.columns.map(({ field, type }, i) => [field, reader(type)(row[i] ?? null)]))
}

/** The column of a table at `name` in one of its rows, as Postgres text. */
export function textOf(table: Table, row: Row, name: string): string | null {
  return row[table.columns.findIndex((column) => column.name === name)] ?? null
}

/** The primary key of a row. */
export function keyOf(table: Table, row: Row): (string | null)[] {
  return table.primaryKey.map((name) => textOf(table, row, name))
}
