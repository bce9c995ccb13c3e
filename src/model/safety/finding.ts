/** What a check of a shard's safety found, in words for a person, with the SQL that mends it. */

import { quoted } from '../quote.ts'
import type { TableFacts } from './facts.ts'

export interface Finding {
  /** 'schema.name' of the table or view; without it the finding is about the whole shard. */
  readonly table?: string
  /** Name of the check, the same for ever: 'tenant-policy'. */
  readonly check: string
  /** 'unsafe': rows of one tenant can reach another, so it must not be served. 'advice': slow or fragile. */
  readonly severity: 'unsafe' | 'advice'
  /** One sentence: what is, and what follows from it. */
  readonly reason: string
  /** What the owner types to mend it, where that can be said. */
  readonly sql?: string
}

export function unsafe(check: string, reason: string, sql?: string, table?: string): Finding {
  return { ...(table === undefined ? {} : { table }), check, severity: 'unsafe', reason, ...withSql(sql) }
}

export function advice(check: string, reason: string, sql?: string, table?: string): Finding {
  return { ...(table === undefined ? {} : { table }), check, severity: 'advice', reason, ...withSql(sql) }
}

function withSql(sql: string | undefined): { sql?: string } {
  return sql === undefined ? {} : { sql }
}

/** 'schema.name', as the model has it. */
export function tableId(table: { readonly schema: string; readonly name: string }): string {
  return `${table.schema}.${table.name}`
}

/** The same for SQL. */
export function tableSql(table: { readonly schema: string; readonly name: string }): string {
  return quoted(table.schema, table.name)
}

/** The tenant of the transaction as a value of the tenant column's type, read once a statement. */
export function tenantSql(table: TableFacts): string {
  const isText = table.tenantType === 'text' || table.tenantType === 'character varying'
  return `(select shardgate.current_tenant()${isText ? '' : `::${table.tenantType}`})`
}
