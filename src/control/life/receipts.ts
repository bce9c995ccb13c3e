/**
 * Receipts: what was done, as one document of JSON text. Its SHA-256 stands in the audit log, so a copy that somebody
 * has kept is proven by the log, and `sha256sum` is all that it takes.
 */

import { createHash } from 'node:crypto'
import type { TenantId } from '../../base/ids.ts'
import type { Queryable, TextRow } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'

export interface Receipt {
  readonly id: number
  readonly kind: string
  readonly tenant: string
  /** The document, to its last line break. */
  readonly body: string
  /** SHA-256 of the document in UTF-8: 64 hexadecimal digits. */
  readonly hash: string
  readonly madeAt: string
}

/** Write a receipt. Call in the transaction of what it tells of, and append its hash to the audit log there. */
export async function insertReceipt(
  directory: Queryable,
  kind: string,
  tenant: TenantId,
  document: object,
): Promise<Pick<Receipt, 'id' | 'hash'>> {
  const body = `${JSON.stringify(document, null, 2)}\n`
  const hash = hashOf(body)
  const [row] = await directory.query(
    compile(sql`
      insert into directory.receipt (kind, tenant_id, body, hash)
      values (${sql.value(kind)}, ${sql.value(tenant)}, ${sql.value(body)}, ${sql.value(hash)})
      returning id`),
  )
  return { id: Number(row?.id), hash }
}

export const hashOf = (body: string | Uint8Array): string => createHash('sha256').update(body).digest('hex')

/** Receipts of one kind of a tenant, the latest first. */
export async function listReceipts(
  directory: Queryable,
  tenant: TenantId,
  kind = 'tenant.purge',
): Promise<Receipt[]> {
  const rows = await directory.query(
    compile(sql`
      select * from directory.receipt
      where tenant_id = ${sql.value(tenant)} and kind = ${sql.value(kind)} order by id desc`),
  )
  return rows.map(receiptFrom)
}

function receiptFrom(row: TextRow): Receipt {
  const { id, kind, tenant_id, body, hash, made_at } = row
  const text = (value: string | null | undefined): string => value ?? ''
  return {
    id: Number(id),
    kind: text(kind),
    tenant: text(tenant_id),
    body: text(body),
    hash: text(hash),
    madeAt: text(made_at),
  }
}

/** Where the audit log seals a document. */
export interface Seal {
  /** Number of the entry. */
  readonly no: number
  readonly at: string
  readonly operator: string
  readonly tenant: string
}

/** The entry of the audit log that holds the hash of a document; null when there is none. */
export async function sealOf(directory: Queryable, hash: string): Promise<Seal | null> {
  const [row] = await directory.query(
    compile(sql`
      select no, at, operator, tenant_id from directory.audit
      where details ->> 'sha256' = ${sql.value(hash)} order by no limit 1`),
  )
  if (!row) return null
  return { no: Number(row.no), at: row.at ?? '', operator: row.operator ?? '', tenant: row.tenant_id ?? '' }
}
