/**
 * The end of a purge: the tenant leaves the directory, and its tombstone and the receipt come in, in one transaction.
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { appendAudit } from '../../directory/audit.ts'
import { eraseJobs } from '../jobs/erase.ts'
import { operatorOf } from '../operations/run.ts'
import type { Step } from '../operations/types.ts'
import { left, type PurgeAt, type PurgeInput, type PurgeMemory, tenantOf } from './purge-steps.ts'
import { insertReceipt } from './receipts.ts'
import { sampleAnew } from './statistics.ts'
import { setTombstone } from './tombstones.ts'

/** Tables of the directory that have held values of the tenant. */
const DIRECTORY_TABLES = [
  ...['tenant', 'operation', 'export', 'placement', 'target', 'data_migration'],
  ...['usage_hour', 'usage_month', 'usage_storage'],
].map((name) => ({ schema: 'directory', name }))

/** Tables of the directory that keep the id of a tenant that is gone. */
const KEPT = ['audit', 'move', 'operation', 'receipt', 'tombstone']

export const writeReceipt: Step<PurgeInput, PurgeMemory> = {
  name: 'write the receipt',
  run: (at) => at.directory.transaction(async () => (await written(at)) ?? end(at)),
}

/** The receipt, where this step was killed between its end and its being written down. */
async function written({ directory, operation }: PurgeAt) {
  const [row] = await directory.query(
    compile(sql`
      select id, hash from directory.receipt
      where kind = 'tenant.purge' and body::json ->> 'operation' = ${sql.value(operation)}`),
  )
  return row ? { receipt: Number(row.id), sha256: row.hash ?? '' } : undefined
}

async function end(at: PurgeAt): Promise<Pick<PurgeMemory, 'receipt' | 'sha256'>> {
  const { directory, fleet, operation } = at
  const { place, epoch } = left(at)
  const tenant = tenantOf(at)
  const usage = await removeUsage(directory, tenant)
  await scrub(directory, tenant, operation)
  await sampleAnew(directory, DIRECTORY_TABLES)
  const looked = await requireGone(directory, tenant)
  const document = await receiptOf(at, looked, usage)
  const { id: receipt, hash: sha256 } = await insertReceipt(directory, 'tenant.purge', tenant, document)
  await setTombstone(directory, { tenant, ...place, epoch: epoch + 1, receipt })
  const details = { operation, receipt, sha256 }
  await appendAudit(directory, { operator: operatorOf(fleet), action: 'tenant.purged', tenant, details })
  return { receipt, sha256 }
}

/** Remove what the directory has of a tenant: of its operations and moves only who did what and when is left. */
async function scrub(directory: Client, tenant: TenantId, operation: string): Promise<void> {
  const id = sql.value(tenant)
  await directory.query(
    compile(sql`
      update directory.operation set input = '{}', memory = '{}', error = null
      where tenant_id = ${id} and id <> ${sql.value(operation)}::bigint`),
  )
  await directory.query(
    compile(
      sql`update directory.move set memory = '{}', progress = '{}', error = null where tenant_id = ${id}`,
    ),
  )
  await directory.query(compile(sql`delete from directory.export where tenant_id = ${id}`))
  // Placement, targets and data migrations go with it.
  await directory.query(compile(sql`delete from directory.tenant where id = ${id}`))
  await eraseJobs(directory, tenant)
}

/**
 * Before the tenant's row, which holds back gateways that write: whoever is moving its hours into months has ended
 * then, and needs that row. What was used is told by the exports of before; the receipt says how much was removed.
 */
async function removeUsage(directory: Client, tenant: TenantId): Promise<Record<string, number>> {
  const removed: Record<string, number> = {}
  for (const [what, table] of [['hours', 'usage_hour'] as const, ['months', 'usage_month'] as const]) {
    const [row] = await directory.query(
      compile(sql`
        with gone as (
          delete from ${sql.identifier('directory', table)} where tenant_id = ${sql.value(tenant)} returning 1)
        select count(*) as rows from gone`),
    )
    removed[what] = Number(row?.rows)
  }
  return removed
}

/** Look at every table of the directory that names tenants, those of later releases too. Gives their names. */
async function requireGone(directory: Client, tenant: TenantId): Promise<string[]> {
  const tables = await directory.query(
    compile(sql`
      select c.relname as name from pg_class c
      join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'directory'
      join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
      where c.relkind in ('r', 'p') and c.relname <> all(${sql.value(KEPT)}::text[])
      order by 1`),
  )
  const names = tables.map(({ name }) => name ?? '')
  for (const name of names) {
    const from = sql.identifier('directory', name)
    const rows = await directory.query(
      compile(sql`select from ${from} where tenant_id = ${sql.value(tenant)} limit 1`),
    )
    if (rows.length > 0) fail('REFUSED', `directory.${name} still has rows of ${tenant}.`, { tenant })
  }
  return names
}

async function receiptOf(
  at: PurgeAt,
  directoryTables: readonly string[],
  usage: Readonly<Record<string, number>>,
): Promise<object> {
  const { directory, input, memory, operation, fleet } = at
  const { place, epoch, tables, rows, hash } = left(at)
  const [begun] = await directory.query(
    compile(sql`
      select operator, started_at, clock_timestamp() as ended_at from directory.operation
      where id = ${sql.value(operation)}::bigint`),
  )
  return {
    document: 'Erasure of a tenant by Shardgate',
    tenant: tenantOf(at),
    operation,
    ...place,
    epoch,
    begunBy: begun?.operator,
    begunAt: begun?.started_at,
    endedBy: operatorOf(fleet),
    endedAt: begun?.ended_at,
    forced: input.forced ?? false,
    revived: input.revived ?? false,
    reason: input.reason ?? null,
    erased: { rows, contentHash: hash, tables: tables.filter((table) => table.rows > 0) },
    exports: memory.exports,
    usage,
    lookedThrough: { ...memory.scan, otherShards: memory.others, directory: directoryTables },
  }
}
