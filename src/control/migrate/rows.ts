/**
 * Migrations of rows: a file that runs for each tenant of a target, in batches, each a transaction inside the one door.
 *
 *     per:tenant   SQL: all its statements, again and again, until a round changes no row
 *     *.ts         export default async (session, { cursor }) => ({ cursor }) | null
 *
 * How far each tenant has come stands in the directory, so that a run that was killed goes on there. A batch may be run
 * twice, when the process is killed between its commit and that entry: write it so that this does no harm.
 *
 * Requests of a tenant that is suspended, read-only or offboarded are refused by its fence, and so would be these. Its
 * rows change all the same, or they would be wrong when it comes back: by the owner of the tables, in a transaction that
 * carries the tenant, with row-level security, which is forced on every table that is served.
 */

import { pathToFileURL } from 'node:url'
import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import { deadlineIn } from '../../base/time.ts'
import type { Client, Queryable } from '../../db/client.ts'
import { compile, type Statement, sql } from '../../db/sql.ts'
import { SHARD_OF_TENANT } from '../../directory/placements.ts'
import { type Target, targetName } from '../../directory/targets.ts'
import type { Door } from '../../shards/door.ts'
import { DEFAULT_TENANCY, type Fleet } from '../reach.ts'
import type { Migration } from './files.ts'
import { ownNames } from './names.ts'
import { type Place, placeOf } from './place.ts'
import { statementsOf } from './statements.ts'

/** What a migration in TypeScript is given: the tenant, and a way to run statements in its transaction. */
export interface RowSession {
  readonly tenant: TenantId
  /** @returns rows, columns in the order that it selects, values as Postgres text */
  run(statement: Statement): Promise<readonly (readonly (string | null)[])[]>
}

/** One batch; what it returns is given to the next, null ends it. */
export type RowWork = (
  session: RowSession,
  at: { readonly cursor: unknown },
) => Promise<{ readonly cursor: unknown } | null>

/** Opens the door; called when there is a migration of rows. `end` closes its connections. */
export type OpenDoor = () => Promise<{ readonly door: Door; end(): void }>

export interface RowsAt {
  readonly fleet: Fleet
  readonly directory: Queryable
  /** The owner's connection to the target. */
  readonly client: Client
  readonly target: Target
  readonly door: OpenDoor | undefined
  readonly tells: ((sentence: string) => void) | undefined
}

/** Milliseconds for one batch. */
const BATCH_MS = 60_000

/** The way of a target's migrations of rows: run for each of its tenants that has not finished. */
export function rowsOf(at: RowsAt): (migration: Migration) => Promise<void> {
  return async (migration) => {
    const place = placeOf(at.target, at.fleet.tenancy ?? DEFAULT_TENANCY)
    const work = await workOf(migration, place)
    const opened = await (at.door ?? noDoor)()
    try {
      // Tenants that are made meanwhile have rows from programs that know nothing of this file yet.
      for (
        let round = await unfinished(at, migration);
        round.length > 0;
        round = await unfinished(at, migration)
      )
        for (const { id } of round) {
          // A round may take hours: by now it may be suspended, or purged.
          const [tenant] = await unfinished(at, migration, id)
          if (tenant) await oneTenant(at, opened.door, { migration, place, work, tenant })
        }
    } finally {
      opened.end()
    }
  }
}

const noDoor = (): never =>
  fail('SETUP_FAILED', 'A migration of rows wants the door to tenants; run it by "shardgate migrate up".')

interface Unfinished {
  readonly id: TenantId
  readonly isActive: boolean
  readonly cursor: unknown
}

interface OneTenant {
  readonly migration: Migration
  readonly place: Place
  readonly work: RowWork
  readonly tenant: Unfinished
}

async function oneTenant(
  at: RowsAt,
  door: Door,
  { migration, place, work, tenant }: OneTenant,
): Promise<void> {
  const { id, isActive } = tenant
  for (let cursor = tenant.cursor, batches = 1; ; batches++) {
    const batch = async (session: RowSession): Promise<{ readonly cursor: unknown } | null> => {
      await session.run(searchPath(place))
      return work(session, { cursor })
    }
    const next = isActive
      ? await door.withTenant(id, 'write', deadlineIn(BATCH_MS), async (session) => ({
          keep: true,
          value: await batch(session),
        }))
      : await asOwner(at.client, id, batch)
    await at.fleet.failpoints?.hit(`after rows ${migration.file}`)
    await keep(at.directory, migration, id, next)
    at.tells?.(`${targetName(at.target)}: ${migration.file}, ${id}, batch ${batches}`)
    if (!next) return
    cursor = next.cursor
  }
}

const searchPath = ({ schema }: Place): Statement =>
  compile(sql`select set_config('search_path', quote_ident(${sql.value(schema)}), true)`)

/** Null also for a tenant that is being purged: what is written for it now would be left behind. */
function asOwner<T>(
  client: Client,
  tenant: TenantId,
  work: (session: RowSession) => Promise<T>,
): Promise<T | null> {
  const run = async (statement: Statement): Promise<(string | null)[][]> =>
    (await client.query(statement)).map((row) => Object.values(row))
  return client.transaction(async () => {
    await client.query('set local role shardgate_owner')
    await client.query(compile(sql`select set_config('app.current_tenant_id', ${sql.value(tenant)}, true)`))
    return (await livesHere(client, tenant)) ? work({ tenant, run }) : null
  })
}

// As the fence does it: the lock of writers first, which a purge waits for, then a statement of its own that sees what
// was written before the lock was given.
async function livesHere(client: Client, tenant: TenantId): Promise<boolean> {
  const id = sql.value(tenant)
  await client.query(compile(sql`select pg_advisory_xact_lock_shared(shardgate.tenant_lock(${id}))`))
  const found = await client.query(
    compile(sql`select from shardgate.tenant_fence where tenant_id = ${id} and state <> 'purged'`),
  )
  return found.length > 0
}

/** @param only  of this tenant alone */
async function unfinished(
  { directory, target }: RowsAt,
  { version }: Migration,
  only?: TenantId,
): Promise<Unfinished[]> {
  const isMeant = only === undefined ? sql.blank : sql`and tenant.id = ${sql.value(only)}`
  const isHere =
    target.tenant === null
      ? sql`${SHARD_OF_TENANT} = ${sql.value(target.shard)} and coalesce(placement.isolation, 'shared') = 'shared'`
      : sql`tenant.id = ${sql.value(target.tenant)}`
  const rows = await directory.query<{ id: string; active: string; cursor: string | null }>(
    compile(sql`
      select tenant.id, tenant.state = 'active' as active, data_migration.cursor::text as cursor
      from directory.tenant
      join directory.bucket on bucket.no = tenant.bucket
      left join directory.placement on placement.tenant_id = tenant.id
      left join directory.data_migration
        on data_migration.tenant_id = tenant.id and data_migration.version = ${sql.value(version)}
      where ${isHere} and tenant.state not in ('creating', 'purging') and data_migration.finished_at is null ${isMeant}
      order by tenant.id collate "C"`),
  )
  return rows.map(({ id, active, cursor }) => {
    return {
      id: id as TenantId,
      isActive: active === 't',
      cursor: cursor === null ? null : JSON.parse(cursor),
    }
  })
}

async function keep(
  directory: Queryable,
  { version }: Migration,
  tenant: TenantId,
  next: { readonly cursor: unknown } | null,
): Promise<void> {
  const cursor = next === null ? null : JSON.stringify(next.cursor ?? null)
  await directory.query(
    compile(sql`
      insert into directory.data_migration (version, tenant_id, cursor, batches, finished_at)
      select ${sql.value(version)}, id, ${sql.value(cursor)}::jsonb, 1,
        case when ${sql.value(next === null)} then clock_timestamp() end
      from directory.tenant where id = ${sql.value(tenant)}
      on conflict (version, tenant_id) do update set cursor = excluded.cursor,
        batches = data_migration.batches + 1, finished_at = excluded.finished_at`),
  )
}

async function workOf(migration: Migration, place: Place): Promise<RowWork> {
  const { code, file, up } = migration
  if (code === null) return sqlWork(file, ownNames(up, place))
  const { default: work } = (await import(pathToFileURL(code).href)) as { readonly default?: unknown }
  if (typeof work !== 'function')
    return fail('SETUP_FAILED', `${file}: wanted "export default async function (session, { cursor })".`)
  return work as RowWork
}

/** The cursor of SQL is how many rows the round before has changed. */
function sqlWork(file: string, text: string): RowWork {
  const statements = statementsOf(text).map((one) => counted(one.text))
  const hasLimit = /\blimit\b/i.test(text)
  return async (session, { cursor }) => {
    let changed = 0
    for (const { statement, counts } of statements) {
      const rows = await session.run({ text: statement, values: [] })
      if (counts) changed += rows.length
    }
    if (changed === 0) return null
    if (!hasLimit && changed === cursor) {
      fail(
        'SETUP_FAILED',
        `${file} changes the same ${changed} rows of ${session.tenant} again and again: its "where" must leave out what has been changed.`,
      )
    }
    return { cursor: changed }
  }
}

/** The driver of the door tells rows, not how many were changed: a statement that changes some returns them. */
function counted(text: string): { statement: string; counts: boolean } {
  const changes = /^\s*(?:update|delete|insert|with|merge)\b/i.test(text)
  const returns = /\breturning\b/i.test(text)
  return { statement: changes && !returns ? `${text} returning 1` : text, counts: changes }
}
