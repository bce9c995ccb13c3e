/**
 * What a tenant's own database knows of its jobs: one row for each, written in the transactions that count.
 *
 *     mutation ─▶ row with the job in it ─COMMIT─▶ the queue has it ─▶ row removed        (waiting: to be sent)
 *     run of the job ─▶ row without it, and what the job writes ─COMMIT                    (done: never run again)
 *
 * So there is a job where its mutation was kept, and none where it was not; and what a job has written, it has written
 * once, however often it is run. The rows lie among the answers by idempotency key (sql/0002_idempotency.sql), because
 * they have the same owner, the same walls and the same way: a move takes them along, a purge removes them.
 */

import { randomUUID } from 'node:crypto'
import type { TenantId } from '../base/ids.ts'
import type { Row } from '../db/batch.ts'
import { inert, type Statement, sql } from '../db/sql.ts'

/** A job that a mutation has asked for. */
export interface NotedJob {
  readonly id: string
  readonly name: string
  /** JSON. */
  readonly data: string
  /** Milliseconds since 1970: not before then. Null: at once. */
  readonly notBefore: number | null
}

// No client can have such a key: theirs are ASCII (graphql/idempotency.ts).
const keyOf = (id: string): string => `job·${id}`
/** In the place of an operation's hash; the function that removes old answers knows it too. */
const JOB = 'job'

export const newJobId = (): string => randomUUID()

/** Write down that a job is wanted, in the transaction that wants it. */
export function noteJob(tenant: TenantId, { id, ...job }: NotedJob): Statement {
  return inert(sql`
    insert into shardgate.idempotency (tenant_id, key, request_hash, answer)
    values (${sql.value(tenant)}, ${sql.value(keyOf(id))}, ${sql.value(JOB)}, ${sql.value(JSON.stringify(job))})`)
}

/** Jobs that the queue may not know yet, oldest first; for `notedFrom`. */
export function readNoted(tenant: TenantId, limit: number): Statement {
  return inert(sql`
    select key, answer from shardgate.idempotency
    where tenant_id = ${sql.value(tenant)} and request_hash = ${sql.value(JOB)} and answer is not null
    order by created_at, key limit ${sql.value(limit)}`)
}

export function notedFrom([key, answer]: Row): NotedJob {
  return { id: (key ?? '').slice(keyOf('').length), ...JSON.parse(answer ?? 'null') }
}

/** Forget jobs that the queue has; what is done stays. */
export function forgetNoted(tenant: TenantId, ids: readonly string[]): Statement {
  return inert(sql`
    delete from shardgate.idempotency
    where tenant_id = ${sql.value(tenant)} and key = any(${sql.value(ids.map(keyOf))}::text[])
      and request_hash = ${sql.value(JOB)} and answer is not null`)
}

/** Forget jobs that were done more than a day ago, a few at a time: by then the queue has long heard of it. */
export function forgetDone(tenant: TenantId): Statement {
  return inert(sql`
    delete from shardgate.idempotency
    where tenant_id = ${sql.value(tenant)} and key = any(array(
      select key from shardgate.idempotency
      where tenant_id = ${sql.value(tenant)} and request_hash = ${sql.value(JOB)} and answer is null
        and created_at < pg_catalog.now() - interval '24 hours'
      order by created_at limit 20 for update skip locked))`)
}

/**
 * Write down that a job is done, in the transaction that does it. Gives a row, or none where it was done before. A second
 * run at the same time waits here for the end of the first one.
 */
export function claimJob(tenant: TenantId, id: string): Statement {
  return inert(sql`
    insert into shardgate.idempotency as i (tenant_id, key, request_hash)
    values (${sql.value(tenant)}, ${sql.value(keyOf(id))}, ${sql.value(JOB)})
    on conflict (tenant_id, key) do update set answer = null where i.answer is not null
    returning key`)
}
