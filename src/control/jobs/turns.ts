/**
 * Whose job is next: tenants take turns, by their share, however many jobs each of them has waiting.
 *
 * Each tenant has a turn, which a job of it moves on by 1 / share; who is furthest behind is next. Who comes after a
 * time without jobs begins where the others are, neither owed what it did not use nor behind those that used more
 * (start-time fair queuing). The turn is given when a job is taken and not when it is sent: 10,000 jobs that fall due at
 * one moment take turns like any others.
 *
 * One statement under a lock: all gateways take from one line. It reads and writes columns of pg-boss's own table,
 * because no call of pg-boss takes a job by its group; their meaning is in its manual.
 */

import type { JobExecutor } from '../../db/job-database.ts'

/** Schema of pg-boss in the directory database. */
export const BOSS = 'pgboss'
/** The one queue of all jobs of tenants. */
export const TENANT_JOBS = 'tenant-jobs'

/** A job that was taken, as the row says. */
export interface TakenRow {
  readonly id: string
  readonly tenant: string
  readonly job: string
  readonly data: Record<string, unknown>
  /** Runs that have failed before. */
  readonly failed: number
  readonly limit: number
}

export interface Wanted {
  /** How many of each job may be taken; of those that are not named, none. */
  readonly room: Readonly<Record<string, number>>
  /** How many in all. */
  readonly count: number
  /** Shares by plan; those that are not named have 1. */
  readonly shares: Readonly<Record<string, number>>
}

/** Key of the lock of whoever takes jobs. */
const LOCK = '5349, 5'

// A look without the lock: most looks find nothing.
const IS_DUE = `
  select exists (
    select from ${BOSS}.job j
    where j.name = $1 and j.state < 'active' and j.start_after <= now()
      and j.data ->> 'job' = any ($2::text[])
      and exists (select from directory.tenant t where t.id = j.group_id and t.state = 'active')) as due`

const TAKE = `
  with clock as (
    select coalesce((select turn from directory.job_turn where tenant_id = ''), 0) as turn
  ), due as (
    select j.id, j.group_id as tenant, j.data ->> 'job' as job, j.created_on,
      1 / coalesce(($4::jsonb ->> t.plan)::float8, 1) as step,
      row_number() over (partition by j.group_id order by j.created_on, j.id) - 1 as place
    from ${BOSS}.job j
    join directory.tenant t on t.id = j.group_id and t.state = 'active'
    where j.name = $1 and j.state < 'active' and j.start_after <= now() and $2::jsonb ? (j.data ->> 'job')
  ), lined as (
    select due.*, greatest(clock.turn, coalesce(own.turn, 0)) + place * step as turn
    from due cross join clock left join directory.job_turn own on own.tenant_id = due.tenant
    where place < $3
  ), roomy as (
    select *, row_number() over (partition by job order by turn, created_on, id) as of_job from lined
  ), chosen as (
    select * from roomy where of_job <= ($2::jsonb ->> job)::int order by turn, created_on, id limit $3
  ), moved as (
    insert into directory.job_turn (tenant_id, turn)
    select tenant, max(turn + step) from chosen group by tenant
    union all select '', max(turn) from chosen having count(*) > 0
    on conflict (tenant_id) do update set turn = excluded.turn
  ), taken as (
    update ${BOSS}.job j
    set state = 'active', started_on = now(), heartbeat_on = now(),
      retry_count = j.retry_count + case when j.started_on is null then 0 else 1 end
    from chosen where j.name = $1 and j.id = chosen.id and j.state < 'active'
    returning j.id, chosen.tenant, chosen.job, coalesce(j.data -> 'data', '{}') as data,
      j.retry_count as failed, j.retry_limit as "limit", chosen.turn
  )
  select id, tenant, job, data, failed, "limit" from taken order by turn`

const FORGET = `
  delete from directory.job_turn
  where tenant_id <> '' and turn <= (select turn from directory.job_turn where tenant_id = '')`

/** Take jobs that are due, of tenants that are active, in the order of their turns. Call in a transaction. */
export async function takeTurns(db: JobExecutor, { room, count, shares }: Wanted): Promise<TakenRow[]> {
  const jobs = Object.keys(room)
  if (jobs.length === 0 || count === 0) return []
  const { rows } = await db.executeSql<{ due: boolean }>(IS_DUE, [TENANT_JOBS, jobs])
  if (!rows[0]?.due) return []
  await db.executeSql(`select pg_advisory_xact_lock(${LOCK})`)
  const values = [TENANT_JOBS, JSON.stringify(room), count, JSON.stringify(shares)]
  const taken = await db.executeSql<TakenRow>(TAKE, values)
  await db.executeSql(FORGET)
  return taken.rows
}
