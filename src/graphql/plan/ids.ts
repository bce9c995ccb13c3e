/**
 * Global ids: the type's name and the primary key of a row, without the tenant.
 *
 * An id says nothing about a tenant, so another tenant's id reads like the id of a row that does not
 * exist, and gets the same answer.
 */

import { fail } from '../../base/errors.ts'
import type { Row } from '../../db/batch.ts'
import type { Table } from '../../model/types.ts'
import { columnOf } from './fragments.ts'
import { decodeOpaque, encodeOpaque } from './opaque.ts'

const ID_LENGTH_MAX = 2_048

export interface RowId {
  readonly table: Table
  /** Values of the primary key, as Postgres text. */
  readonly key: string[]
}

export function encodeId(table: Table, row: Row): string {
  const key = table.primaryKey.map((name) => row[table.columns.findIndex((column) => column.name === name)])
  return encodeOpaque([table.typeName, ...key])
}

/** @throws BAD_USER_INPUT  `id` is not an id that this schema gives out */
export function decodeId(id: string, tables: ReadonlyMap<string, Table>, argument = 'id'): RowId {
  const [typeName, ...key] = decodeOpaque(id, ID_LENGTH_MAX)
  const table = typeof typeName === 'string' ? tables.get(typeName) : undefined
  if (!table || key.length !== table.primaryKey.length || !key.every((part) => typeof part === 'string')) {
    return notGivenOut(argument, tables)
  }
  if (!isReadable(table, key as string[])) return notGivenOut(argument, tables)
  return { table, key: key as string[] }
}

/** As `decodeId`, for a field that takes ids of one type only. */
export function decodeIdOf(table: Table, id: string, argument = 'id'): string[] {
  const tables = new Map([[table.typeName, table]])
  return decodeId(id, tables, argument).key
}

const isInteger = (bits: number) => (text: string) =>
  /^-?\d{1,19}$/.test(text) && BigInt.asIntN(bits, BigInt(text)) === BigInt(text)

const KEY_FORMS: Partial<Record<string, (text: string) => boolean>> = {
  int: isInteger(32),
  bigint: isInteger(64),
  uuid: (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text),
}

// A key that Postgres cannot read must not fail the whole batch that it travels with.
function isReadable(table: Table, key: readonly string[]): boolean {
  return table.primaryKey.every((name, i) => {
    const form = KEY_FORMS[columnOf(table, name).type.kind]
    const text = key[i] ?? ''
    return (!form || form(text)) && !text.includes('\0')
  })
}

function notGivenOut(argument: string, tables: ReadonlyMap<string, Table>): never {
  const [only, ...others] = tables.keys()
  const of = only === undefined || others.length > 0 ? '' : ` for the type ${only}`
  return fail('BAD_USER_INPUT', `"${argument}" is not an id that this API has given out${of}.`)
}
