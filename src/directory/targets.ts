/**
 * Targets: the places that hold the tables, each with a summary of the migrations that it has.
 *
 * The truth stands in each target's own book (shardgate.migration there); what stands here is written right after
 * it, so after a kill it may be one file behind, never ahead. It is here so that one query tells that nothing is to be
 * done in a thousand places.
 */

import { createHash } from 'node:crypto'
import { type TenantId, tenantId } from '../base/ids.ts'
import type { Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'
import type { Isolation } from './types.ts'

/** What tells one target from all others. */
export interface TargetKey {
  readonly shard: string
  readonly isolation: Isolation
  /** The shared schema, the schema of a tenant, or the name of a database. */
  readonly namespace: string
}

export interface Target extends TargetKey {
  /** Uuid of its shard. */
  readonly shardId: string
  /** Whose own it is; null for a shared schema. */
  readonly tenant: TenantId | null
  /** Version of the last file that was applied; null for none. */
  readonly version: string | null
  /** Digest of all files that were applied, by `digestOf`; '' when nothing is known. */
  readonly applied: string
  /** Fingerprint of the structure that it had after its last migration. */
  readonly structure: string | null
  /** Why the last migration of it failed. */
  readonly error: string | null
}

/** What a migration has left, to be written down. */
export interface TargetState {
  readonly version: string | null
  readonly applied: string
  readonly structure: { readonly fingerprint: string; readonly lines: readonly string[] }
}

/** SHA-256, in hex, of the files that are applied somewhere, in the order of their versions; '' for none. */
export function digestOf(files: readonly { readonly version: string; readonly checksum: string }[]): string {
  if (files.length === 0) return ''
  const lines = files.map(({ version, checksum }) => `${version} ${checksum}\n`).sort()
  return createHash('sha256').update(lines.join('')).digest('hex')
}

/** 'shared schema of shard-a', 'acme (schema on shard-a)'. */
export function targetName({
  shard,
  isolation,
  tenant,
}: Pick<Target, 'shard' | 'isolation' | 'tenant'>): string {
  return tenant === null ? `shared schema of ${shard}` : `${tenant} (${isolation} on ${shard})`
}

// A tenant that is being made is no target yet, and one that is being purged none any more.
const TARGETS = sql`
  with place as (
    select shard.key as shard, shard.id as shard_id, 'shared' as isolation, setting.value as namespace,
      null as tenant_id, 0 as rank
    from directory.shard join directory.setting on setting.key = 'namespace'
    union all
    select shard.key, shard.id, placement.isolation, placement.namespace, tenant.id,
      case placement.isolation when 'schema' then 1 else 2 end
    from directory.placement
    join directory.tenant on tenant.id = placement.tenant_id
    join directory.shard on shard.key = placement.shard
    where placement.isolation <> 'shared' and tenant.state not in ('creating', 'purging')
  )
  select place.*, target.version, coalesce(target.applied, '') as applied, target.structure, target.error
  from place left join directory.target using (shard, isolation, namespace)`

/** Every target there is: the shared schema of each shard, then schemas and databases of tenants. */
export async function listTargets(db: Queryable): Promise<Target[]> {
  const rows = await db.query(
    compile(sql`${TARGETS} order by place.shard collate "C", place.rank, place.namespace collate "C"`),
  )
  return rows.map(targetFrom)
}

/** One target; null when there is none of this key. */
export async function targetOf(
  db: Queryable,
  { shard, isolation, namespace }: TargetKey,
): Promise<Target | null> {
  const [row] = await db.query(
    compile(sql`
      ${TARGETS}
      where place.shard = ${sql.value(shard)} and place.isolation = ${sql.value(isolation)}
        and place.namespace = ${sql.value(namespace)}`),
  )
  return row ? targetFrom(row) : null
}

function targetFrom(row: Record<string, string | null>): Target {
  return {
    shard: row.shard!,
    shardId: row.shard_id!,
    isolation: row.isolation as Isolation,
    namespace: row.namespace!,
    tenant: row.tenant_id ? tenantId(row.tenant_id) : null,
    version: row.version ?? null,
    applied: row.applied ?? '',
    structure: row.structure ?? null,
    error: row.error ?? null,
  }
}

/** Write down what a target has now, without an error; one statement. */
export async function recordTarget(
  db: Queryable,
  { shard, isolation, namespace, tenant }: TargetKey & { readonly tenant: TenantId | null },
  { version, applied, structure }: TargetState,
): Promise<void> {
  await db.query(
    compile(sql`
      with seen as (
        insert into directory.structure (fingerprint, lines)
        values (${sql.value(structure.fingerprint)}, ${sql.value(structure.lines)}::text[])
        on conflict do nothing
      )
      insert into directory.target (shard, isolation, namespace, tenant_id, version, applied, structure)
      values (${sql.value(shard)}, ${sql.value(isolation)}, ${sql.value(namespace)}, ${sql.value(tenant)},
        ${sql.value(version)}, ${sql.value(applied)}, ${sql.value(structure.fingerprint)})
      on conflict (shard, isolation, namespace) do update set
        tenant_id = excluded.tenant_id, version = excluded.version, applied = excluded.applied,
        structure = excluded.structure, error = null, changed_at = clock_timestamp()`),
  )
}

/** Write down why a migration of it failed; what it has stays as it is known. */
export async function recordTargetError(
  db: Queryable,
  { shard, isolation, namespace, tenant }: TargetKey & { readonly tenant: TenantId | null },
  error: string,
): Promise<void> {
  await db.query(
    compile(sql`
      insert into directory.target (shard, isolation, namespace, tenant_id, error)
      values (${sql.value(shard)}, ${sql.value(isolation)}, ${sql.value(namespace)}, ${sql.value(tenant)},
        ${sql.value(error)})
      on conflict (shard, isolation, namespace) do update set error = excluded.error, changed_at = clock_timestamp()`),
  )
}
