/**
 * Buckets on their way to another shard: they follow their tenants.
 *
 *     a tenant has moved and its bucket has not     placement row of its own, which wins
 *     all that followed the bucket have moved       one transaction: the bucket changes its shard, and the rows that now
 *                                                   say what the bucket says are removed
 *
 * Tenants that are in the bucket and have not moved (made meanwhile, or not allowed on the new shard) get a row of their
 * own first, with the place where they are: no change of a bucket re-routes anybody.
 */

import type { Client, Queryable } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { bucketOf } from '../../directory/buckets.ts'
import type { MoveState } from '../move/states.ts'
import type { MoveRecord } from '../move/types.ts'
import type { MovePlan } from './document.ts'
import type { Actual, BucketChange } from './types.ts'

/** States of a move in which the directory has its tenant on the target. */
const MOVED: readonly MoveState[] = ['relocated', 'settled', 'cleaning', 'done']

/**
 * Change the buckets whose tenants have all moved; safe to repeat.
 *
 * @param moves  all of the plan
 */
export function followTenants(
  directory: Client,
  plan: MovePlan,
  moves: readonly MoveRecord[],
): Promise<void> {
  const moved = new Set(moves.filter(({ state }) => MOVED.includes(state)).map(({ tenant }) => tenant))
  const followers = Map.groupBy(
    plan.moves.filter(({ follows }) => follows),
    ({ bucket }) => bucket,
  )
  const ready = plan.buckets.filter(({ no }) =>
    (followers.get(no) ?? []).every(({ tenant }) => moved.has(tenant)),
  )
  const followed = plan.moves.filter(({ follows, tenant }) => follows && moved.has(tenant))
  return directory.atomically(async () => {
    const changed = await changeBuckets(directory, ready)
    const tenants = followed.map(({ tenant }) => tenant)
    // In buckets that were changed also those that an earlier plan, which was given up, has left with a row.
    const whose = sql`tenant.id = any(${sql.value(tenants)}::text[]) or tenant.bucket = any(${sql.value(changed)}::int[])`
    await dropEqual(directory, whose)
  })
}

async function changeBuckets(directory: Queryable, changes: readonly BucketChange[]): Promise<number[]> {
  const list = sql`jsonb_to_recordset(${sql.value(JSON.stringify(changes))}::jsonb)
    as change (no int, "from" text, "to" text)`
  // Whoever reserves a tenant holds a key lock of its bucket: it is before us, or finds the new shard.
  const locked = await directory.query(
    compile(sql`
      select bucket.no from directory.bucket join ${list} on change.no = bucket.no and change."from" = bucket.shard
      order by bucket.no for update of bucket`),
  )
  const changed = locked.map(({ no }) => Number(no))
  if (changed.length === 0) return []
  const numbers = sql`any(${sql.value(changed)}::int[])`
  await directory.query(
    compile(sql`
      insert into directory.placement (tenant_id, shard, isolation, namespace)
      select tenant.id, bucket.shard, 'shared', (select value from directory.setting where key = 'namespace')
      from directory.tenant join directory.bucket on bucket.no = tenant.bucket
      where bucket.no = ${numbers}
      on conflict do nothing`),
  )
  await directory.query(
    compile(sql`
      update directory.bucket set shard = change."to" from ${list}
      where change.no = bucket.no and bucket.no = ${numbers}`),
  )
  return changed
}

/** Remove the placement rows of tenants that say what their bucket says. */
async function dropEqual(directory: Queryable, whose: SQL): Promise<void> {
  await directory.query(
    compile(sql`
      delete from directory.placement using directory.tenant, directory.bucket
      where (${whose})
        and tenant.id = placement.tenant_id and bucket.no = tenant.bucket
        and placement.shard = bucket.shard and placement.isolation = 'shared'
        and placement.namespace = (select value from directory.setting where key = 'namespace')`),
  )
}

/**
 * Give the directory another number of buckets, and re-route nobody: who would be elsewhere by its new bucket gets a
 * placement row first. Call in a transaction that keeps others from making tenants.
 *
 * @param table  shard by number of the bucket
 */
export async function recount(directory: Client, table: readonly string[], actual: Actual): Promise<void> {
  const { tenants, namespace } = actual
  const numbered = tenants.map((tenant) => ({ ...tenant, no: bucketOf(tenant.id, table.length) }))
  const pinned = numbered.filter(({ isOwn, shard, no }) => !isOwn && table[no] !== shard)
  const rows = JSON.stringify(pinned.map(({ id, shard }) => ({ id, shard })))
  await directory.query(
    compile(sql`
      insert into directory.placement (tenant_id, shard, isolation, namespace)
      select id, shard, 'shared', ${sql.value(namespace)}
      from jsonb_to_recordset(${sql.value(rows)}::jsonb) as pinned (id text, shard text)`),
  )
  await directory.query(
    compile(sql`
      insert into directory.bucket (no, shard)
      select dealt.no - 1, dealt.shard
      from jsonb_array_elements_text(${sql.value(JSON.stringify(table))}::jsonb) with ordinality as dealt (shard, no)
      on conflict (no) do update set shard = excluded.shard`),
  )
  const numbers = JSON.stringify(numbered.map(({ id, no }) => ({ id, no })))
  await directory.query(
    compile(sql`
      update directory.tenant set bucket = numbered.no
      from jsonb_to_recordset(${sql.value(numbers)}::jsonb) as numbered (id text, no int)
      where tenant.id = numbered.id and tenant.bucket <> numbered.no`),
  )
  await directory.query(
    compile(sql`delete from directory.bucket where no >= ${sql.value(table.length)}::int`),
  )
  await directory.query(
    compile(sql`
      update directory.setting set value = ${sql.value(String(table.length))} where key = 'buckets'`),
  )
}
