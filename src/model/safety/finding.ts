/** What a check of a shard's safety found, in words for a person, with the SQL that mends it. */

import { quoted } from '../quote.ts'
import type { ForeignKeyFacts, IndexFacts, TableFacts } from './facts.ts'

export interface Finding {
  /** 'schema.name' of the table or view; without it the finding is about the whole shard. */
  readonly table?: string
  /** Name of the check, the same for ever: 'tenant-policy'. */
  readonly check: string
  /** 'unsafe': rows of one tenant can reach another, so it must not be served. 'advice': slow or fragile. */
  readonly severity: 'unsafe' | 'advice'
  /** One sentence: what is, and what follows from it. */
  readonly reason: string
  /** What the owner types to mend it, where that can be said. It may hold the table up while it runs. */
  readonly sql?: string
  /** How to mend it while the table is used. Without it, it takes a person. */
  readonly mend?: Mend
}

/** What has to be done about a finding, as data for the migration that does it under load. */
export type Mend =
  | { readonly kind: 'not-null'; readonly table: TableFacts }
  | { readonly kind: 'not-empty'; readonly table: TableFacts }
  | { readonly kind: 'tenant-index'; readonly table: TableFacts }
  | { readonly kind: 'key'; readonly table: TableFacts; readonly index: IndexFacts }
  | { readonly kind: 'foreign-key'; readonly table: TableFacts; readonly key: ForeignKeyFacts }
  | { readonly kind: 'validate'; readonly table: TableFacts; readonly key: ForeignKeyFacts }
  /** The finding's own SQL is over at once and may be run again; it may change one table. */
  | { readonly kind: 'at-once'; readonly table?: TableFacts }
  /** It is mended with what it leans on, which has a finding of its own. */
  | { readonly kind: 'with-another' }

export const WITH_ANOTHER: Mend = { kind: 'with-another' }

export const atOnce = (table?: TableFacts): Mend => ({ kind: 'at-once', ...(table && { table }) })

export function unsafe(check: string, reason: string, sql?: string, table?: string, mend?: Mend): Finding {
  return { ...about(table), check, severity: 'unsafe', reason, ...mendedBy(sql, mend) }
}

export function advice(check: string, reason: string, sql?: string, table?: string, mend?: Mend): Finding {
  return { ...about(table), check, severity: 'advice', reason, ...mendedBy(sql, mend) }
}

function about(table: string | undefined): { table?: string } {
  return table === undefined ? {} : { table }
}

function mendedBy(sql: string | undefined, mend: Mend | undefined): { sql?: string; mend?: Mend } {
  return { ...(sql !== undefined && { sql }), ...(mend && { mend }) }
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
