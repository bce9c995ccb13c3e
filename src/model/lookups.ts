/** The keys by which one row can be asked for, and their GraphQL names. */

import type { Column, Table } from './types.ts'

export interface LookupKey {
  /** Field of the key's input: 'email', 'numberAndKind'. */
  readonly name: string
  /** For several columns, the input type that holds them: 'TicketKeyNumberAndKind'. */
  readonly typeName?: string
  /** Without the tenant column. */
  readonly columns: readonly Column[]
}

/**
 * The primary key and the unique keys of a table, each set of columns once. A key with a column that may not
 * stand in a filter, or that no input can hold, is none.
 */
export function lookupKeys(table: Table): readonly LookupKey[] {
  const known = keysOfTables.get(table) ?? findKeys(table)
  keysOfTables.set(table, known)
  return known
}

// Each request by a key asks for them.
const keysOfTables = new WeakMap<Table, readonly LookupKey[]>()

function findKeys(table: Table): LookupKey[] {
  const found = new Map<string, LookupKey>()
  for (const names of [table.primaryKey, ...table.uniques.map(({ columns }) => columns)]) {
    const columns = columnsOf(table, names)
    const id = columns
      .map(({ name }) => JSON.stringify(name))
      .sort()
      .join()
    if (columns.length > 0 && columns.every(isAskable) && !found.has(id)) found.set(id, keyOf(table, columns))
  }
  return [...found.values()]
}

/** The input type of a table's keys. */
export function keyTypeName({ typeName }: Table): string {
  return `${typeName}Key`
}

/** The field that asks for one row by one of them. */
export function byKeyField({ oneField }: Table): string {
  return `${oneField}By`
}

function columnsOf({ tenantColumn, columns }: Table, names: readonly string[]): Column[] {
  return names
    .filter((name) => name !== tenantColumn)
    .map((name) => columns.find((column) => column.name === name)!)
}

function isAskable(column: Column | undefined): boolean {
  if (!column?.can.filter || column.type.array || column.type.compares === 'none') return false
  return !['json', 'range', 'composite'].includes(column.type.kind)
}

function keyOf(table: Table, columns: readonly Column[]): LookupKey {
  const name = columns.map(({ field }, i) => (i === 0 ? field : capital(field))).join('And')
  const typeName = keyTypeName(table) + capital(name)
  return { name, columns, ...(columns.length > 1 && { typeName }) }
}

function capital(name: string): string {
  return name.slice(0, 1).toUpperCase() + name.slice(1)
}
