/**
 * What the directory remembers of the shards and of the facts that tenants were placed by.
 *
 * The configuration says where a shard is; the directory says which one it was. A URL that leads to another
 * database than the one that tenants were put on, or a bucket count that has changed, would send tenants
 * astray without a single error, so both are compared with what is written here before anything is served.
 */

import { fail } from '../base/errors.ts'
import type { Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'

export interface KnownShard {
  readonly key: string
  /** Uuid that the shard itself carries. */
  readonly id: string
  readonly buckets: number
  /** Tenants that are on it, by a row of their own or by their bucket, those being created included. */
  readonly tenants: number
}

/** The facts that stay as they are while there are tenants. */
export interface DirectorySettings {
  readonly buckets: number
  /** Schema that holds the tables of tenants without a placement row of their own. */
  readonly namespace: string
}

/** Every registered shard with what it holds, by key. */
export async function listShards(db: Queryable): Promise<KnownShard[]> {
  const rows = await db.query<{ key: string; id: string; buckets: string; tenants: string }>(`
    select shard.key, shard.id,
      (select count(*) from directory.bucket where bucket.shard = shard.key) as buckets,
      (select count(*)
       from directory.tenant
       join directory.bucket on bucket.no = tenant.bucket
       left join directory.placement on placement.tenant_id = tenant.id
       where coalesce(placement.shard, bucket.shard) = shard.key) as tenants
    from directory.shard
    order by shard.key`)
  return rows.map((row) => ({ ...row, buckets: Number(row.buckets), tenants: Number(row.tenants) }))
}

/**
 * Refuse a shard whose key or uuid the directory knows otherwise. Changes nothing.
 *
 * @param id  uuid that the database carries; undefined when it has never been a shard
 * @throws SHARD_UNSAFE  the URL leads to another database than the one registered under `key`
 */
export async function requireSameShard(db: Queryable, key: string, id: string | undefined): Promise<void> {
  const [known] = await db.query<{ key: string; id: string }>(
    compile(sql`
      select key, id from directory.shard
      where key = ${sql.value(key)} or id = ${sql.value(id ?? null)}::uuid
      order by key = ${sql.value(key)} desc`),
  )
  if (!known || (known.key === key && known.id === id)) return
  const came = id ? `carries the identity ${id}` : 'has never been a shard'
  const wanted =
    known.key === key
      ? `the directory knows ${key} as ${known.id}`
      : `the directory knows that one as ${known.key}`
  fail(
    'SHARD_UNSAFE',
    `The database behind ${key} ${came}, but ${wanted}. Its URL in the configuration leads to another database than before; put the right one back.`,
    { shard: key },
  )
}

/**
 * Remember which database `key` means. The same pair again is no change.
 *
 * @throws SHARD_UNSAFE  as `requireSameShard`
 */
export async function registerShard(db: Queryable, key: string, id: string): Promise<void> {
  await db.query(
    compile(sql`
      insert into directory.shard (key, id) values (${sql.value(key)}, ${sql.value(id)}::uuid)
      on conflict do nothing`),
  )
  await requireSameShard(db, key, id)
}

/** Read the settings; null before the directory has been set up. */
export async function readSettings(db: Queryable): Promise<DirectorySettings | null> {
  const rows = await db.query<{ key: string; value: string }>('select key, value from directory.setting')
  const values = new Map(rows.map((row) => [row.key, row.value]))
  const buckets = values.get('buckets')
  const namespace = values.get('namespace')
  return buckets && namespace ? { buckets: Number(buckets), namespace } : null
}

/**
 * Write the settings of the configuration down. Call in a transaction.
 *
 * Without tenants they may change (a new bucket count throws the old buckets away); with tenants they may
 * not, because the hash of every tenant would point to another bucket.
 *
 * @throws CONFIG_INVALID  tenants exist and a setting differs
 */
export async function writeSettings(db: Queryable, wanted: DirectorySettings): Promise<void> {
  const found = await readSettings(db)
  if (found && found.buckets === wanted.buckets && found.namespace === wanted.namespace) return
  if (found) await requireNoTenants(db, found, wanted)
  await db.query('delete from directory.bucket')
  for (const key of ['buckets', 'namespace'] as const) {
    await db.query(
      compile(sql`
        insert into directory.setting (key, value) values (${sql.value(key)}, ${sql.value(String(wanted[key]))})
        on conflict (key) do update set value = excluded.value`),
    )
  }
}

async function requireNoTenants(
  db: Queryable,
  found: DirectorySettings,
  wanted: DirectorySettings,
): Promise<void> {
  const [tenant] = await db.query('select id from directory.tenant limit 1')
  if (!tenant) return
  const lines = [
    found.buckets !== wanted.buckets &&
      `router.buckets: wanted ${found.buckets}, which tenants were placed by; ${wanted.buckets} came; while there are tenants, only "shardgate apply" changes it`,
    found.namespace !== wanted.namespace &&
      `tenancy.schemas: wanted "${found.namespace}" first, where tenants have their tables; "${wanted.namespace}" came; it is fixed while there are tenants`,
  ]
  fail('CONFIG_INVALID', `${lines.filter(Boolean).join('. ')}.`)
}
