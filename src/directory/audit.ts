/**
 * The audit log: who did what, in a chain that shows when somebody has changed it.
 *
 *     entry n   hash(n) = SHA-256( n, at, operator, action, tenant, details, hash(n-1) )
 *
 * An entry that was altered, taken out, put in or put elsewhere breaks the chain at its place. A chain that was cut at
 * its end, or written anew from some entry on, is whole in itself: only who has kept an earlier head (number and hash,
 * as `audit show` prints it) can tell, which is why a head belongs outside of this database.
 *
 * Entries name tenants by id and never hold names, settings or rows: they stay when a tenant is erased.
 */

import { createHash } from 'node:crypto'
import { canonicalJson } from '../base/canonical.ts'
import type { TenantId } from '../base/ids.ts'
import type { Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'

export interface AuditEntry {
  readonly operator: string
  /** 'tenant.purge begun' */
  readonly action: string
  readonly tenant: TenantId | null
  /** Ids, counts, names of keys; never what belongs to a tenant. */
  readonly details: object
}

export interface AuditRecord extends Omit<AuditEntry, 'tenant'> {
  readonly no: number
  /** As it stands there: where somebody has tampered it may be no id at all. */
  readonly tenant: string | null
  /** Postgres text of a timestamptz, in UTC. */
  readonly at: string
  readonly previous: string
  readonly hash: string
}

/** A place in the chain that somebody has kept. */
export interface AuditHead {
  readonly no: number
  readonly hash: string
}

export type AuditVerdict =
  | { readonly kind: 'intact'; readonly entries: number; readonly head: AuditHead | null }
  /** The entry does not say what it said when it was written. */
  | { readonly kind: 'altered'; readonly no: number }
  /** An entry was taken out, or put in, before this one. */
  | { readonly kind: 'broken'; readonly no: number }
  /** The log ends before the head that was kept. */
  | { readonly kind: 'cut'; readonly no: number; readonly entries: number }
  /** The chain is whole and is not the one of which the head was kept. */
  | { readonly kind: 'rewritten'; readonly no: number }

const LOCK = 5349
const AUDIT = 3

/** Add an entry. Call in a transaction, together with what the entry tells of. */
export async function appendAudit(directory: Queryable, entry: AuditEntry): Promise<void> {
  await directory.query(`select pg_advisory_xact_lock(${LOCK}, ${AUDIT})`)
  const [now] = await directory.query(`select clock_timestamp() as at`)
  const [last] = await directory.query(`select no, hash from directory.audit order by no desc limit 1`)
  const unsealed = { ...entry, no: Number(last?.no ?? 0) + 1, at: now?.at ?? '', previous: last?.hash ?? '' }
  const { no, at, operator, action, tenant, details, previous } = unsealed
  await directory.query(
    compile(sql`
      insert into directory.audit (no, at, operator, action, tenant_id, details, previous, hash)
      values (${sql.value(no)}, ${sql.value(at)}, ${sql.value(operator)}, ${sql.value(action)},
        ${sql.value(tenant)}, ${sql.value(JSON.stringify(details))}, ${sql.value(previous)}, ${sql.value(sealOf(unsealed))})`),
  )
}

function sealOf({ no, at, operator, action, tenant, details, previous }: Omit<AuditRecord, 'hash'>): string {
  const text = canonicalJson([no, at, operator, action, tenant, details, previous])
  return createHash('sha256').update(text).digest('hex')
}

export interface AuditQuestion {
  readonly tenant?: TenantId
  /** Entries at most, the latest ones. */
  readonly limit: number
}

/** The latest entries, oldest first. */
export async function readAudit(
  directory: Queryable,
  { tenant, limit }: AuditQuestion,
): Promise<AuditRecord[]> {
  const whose = tenant === undefined ? sql.blank : sql`where tenant_id = ${sql.value(tenant)}`
  const rows = await directory.query(
    compile(sql`
      select * from (${RECORD} ${whose} order by no desc limit ${sql.value(limit)}::int) as latest order by no`),
  )
  return rows.map(recordFrom)
}

/** The end of the chain; null of an empty log. */
export async function auditHead(directory: Queryable): Promise<AuditHead | null> {
  const [last] = await directory.query('select no, hash from directory.audit order by no desc limit 1')
  return last ? { no: Number(last.no), hash: last.hash ?? '' } : null
}

/** Entries that are read at once. */
const PAGE = 1_000

/**
 * Follow the chain from its first entry.
 *
 * @param kept  a head of an earlier day; without one, an end that was cut off or written anew is not noticed
 */
export async function verifyAudit(directory: Queryable, kept?: AuditHead): Promise<AuditVerdict> {
  let head: AuditHead | null = null
  for (;;) {
    const page = await pageAfter(directory, head?.no ?? 0)
    for (const record of page) {
      const fault = faultOf(record, head, kept)
      if (fault) return fault
      head = { no: record.no, hash: record.hash }
    }
    if (page.length < PAGE) break
  }
  const entries = head?.no ?? 0
  if (kept && kept.no > entries) return { kind: 'cut', no: kept.no, entries }
  return { kind: 'intact', entries, head }
}

function faultOf(record: AuditRecord, before: AuditHead | null, kept?: AuditHead): AuditVerdict | undefined {
  const { no, hash, previous } = record
  if (sealOf(record) !== hash) return { kind: 'altered', no }
  if (no !== (before?.no ?? 0) + 1 || previous !== (before?.hash ?? '')) return { kind: 'broken', no }
  if (kept?.no === no && kept.hash !== hash) return { kind: 'rewritten', no }
  return undefined
}

const RECORD = sql`select no, at, operator, action, tenant_id, details, previous, hash from directory.audit`

async function pageAfter(directory: Queryable, no: number): Promise<AuditRecord[]> {
  const rows = await directory.query(
    compile(sql`${RECORD} where no > ${sql.value(no)}::bigint order by no limit ${sql.literal(PAGE)}`),
  )
  return rows.map(recordFrom)
}

function recordFrom(row: Record<string, string | null>): AuditRecord {
  return {
    no: Number(row.no),
    at: row.at ?? '',
    operator: row.operator ?? '',
    action: row.action ?? '',
    tenant: row.tenant_id ?? null,
    details: JSON.parse(row.details ?? '{}') as object,
    previous: row.previous ?? '',
    hash: row.hash ?? '',
  }
}
