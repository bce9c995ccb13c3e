/** Statements that change rows. Each returns the rows it changed, with the table's columns in the model's order. */

import type { TenantId } from '../../base/ids.ts'
import { compile, type Statement, sql, type Value } from '../../db/sql.ts'
import type { Column, Table } from '../../model/types.ts'
import { hasKey } from './conditions.ts'
import { cast, columns, from, isTenant, source } from './fragments.ts'

export type Changes = readonly { readonly column: Column; readonly value: Value }[]

export function insertStatement(table: Table, tenant: TenantId, changes: Changes): Statement {
  const of = source(table)
  const { tenantColumn, tenantType } = tenantPart(table)
  const names = [tenantColumn, ...changes.map(({ column }) => column.name)].map((name) =>
    sql.identifier(name),
  )
  const values = [cast(tenant, tenantType), ...changes.map(({ column, value }) => cast(value, column.type))]
  return compile(sql`insert into ${from(of)} (${sql.join(names, ', ')})
    values (${sql.join(values, ', ')}) returning ${columns(of)}`)
}

export function updateStatement(table: Table, tenant: TenantId, key: Value[], changes: Changes): Statement {
  const of = source(table)
  const set = changes.map(
    ({ column, value }) => sql`${sql.identifier(column.name)} = ${cast(value, column.type)}`,
  )
  return compile(sql`update ${from(of)} set ${sql.join(set, ', ')}
    where ${isTenant(of, tenant)} and ${hasKey(of, key)} returning ${columns(of)}`)
}

export function deleteStatement(table: Table, tenant: TenantId, key: Value[]): Statement {
  const of = source(table)
  return compile(sql`delete from ${from(of)}
    where ${isTenant(of, tenant)} and ${hasKey(of, key)} returning ${columns(of)}`)
}

/** @throws Error  a global table: its model says that it is written by nobody */
function tenantPart({ id, tenantColumn, tenantType }: Table) {
  if (tenantColumn === null || tenantType === null) throw new Error(`the global table ${id} is only read`)
  return { tenantColumn, tenantType }
}
