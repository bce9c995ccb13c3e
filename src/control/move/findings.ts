/**
 * What moves have left behind: what the directory has written down of moves that have ended, and what is on the servers
 * and belongs to no move that goes on. A move that can still be resumed or rolled back has left nothing behind.
 */

import { type TenantId, tenantId } from '../../base/ids.ts'
import type { Client, Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import {
  isOfShard,
  isTemplateOf,
  tenantDatabase,
  tenantRole,
  tenantSchema,
} from '../../directory/namespaces.ts'
import { SHARD_OF_TENANT } from '../../directory/placements.ts'
import type { Isolation } from '../../directory/types.ts'
import { aboutTenant } from '../copy/tables.ts'
import { onItsHome, onItsShard } from '../homes/reach-home.ts'
import type { Place } from '../life/subject.ts'
import { isOfTenant, tenantTables } from '../life/tables.ts'
import { DEFAULT_TENANCY, type Fleet } from '../reach.ts'
import { IDEMPOTENCY } from './moved-tables.ts'

export type FindingKind = 'record' | 'publication' | 'slot' | 'progress' | 'home' | 'rows' | 'fence'

/** Something that a move has left. */
export interface Finding {
  readonly kind: FindingKind
  /** Where: of what is in a database of a tenant's own, that one. */
  readonly place: Place
  /** 'shardgate_move_7', 'tenant_acme', 'app.tasks'; of a record, what it says. */
  readonly name: string
  /** Id of its move, where that is known. */
  readonly move: string | null
  readonly tenant: TenantId | null
  /** Why it is not removed now: somebody uses it. Null: `clean` removes it. */
  readonly held: string | null
}

/** What the directory knows, by which things on servers are judged. */
export interface Known {
  /** Moves that have ended, and who they were of; those that a runner holds still are not in it. */
  readonly ended: ReadonlyMap<string, TenantId>
  readonly open: ReadonlySet<string>
  readonly tenants: ReadonlyMap<TenantId, Place & { readonly epoch: number }>
  /** Tenants that somebody works on, or could take back. */
  readonly busy: ReadonlySet<TenantId>
  /** Both ends of each move that was begun, by tenant. */
  readonly trodden: readonly (Place & { readonly tenant: TenantId })[]
  readonly records: readonly Finding[]
}

/** Read it all at one moment. */
export function readKnown(directory: Client): Promise<Known> {
  return directory.transaction(async () => {
    await directory.query('set transaction isolation level repeatable read, read only')
    const moves = await directory.query(`
      select *, state in ('done', 'aborted', 'rolled-back') and coalesce(lease_until < clock_timestamp(), true) as over
      from directory.move where state <> 'queued'`)
    const over = moves.filter(({ over }) => over === 't')
    const open = moves.filter(({ over }) => over !== 't')
    const working = await directory.query(
      `select tenant_id from directory.operation where state = 'running' and tenant_id is not null`,
    )
    return {
      ended: new Map(over.map((row) => [row.id ?? '', tenantId(row.tenant_id)])),
      open: new Set(open.map(({ id }) => id ?? '')),
      tenants: await places(directory),
      busy: new Set([...open, ...working].map(({ tenant_id }) => tenantId(tenant_id))),
      trodden: over.flatMap((row) =>
        (['from', 'to'] as const).map((end) => ({
          tenant: tenantId(row.tenant_id),
          shard: row[`${end}_shard`] ?? '',
          isolation: row[`${end}_isolation`] as Isolation,
          namespace: row[`${end}_namespace`] ?? '',
        })),
      ),
      records: await records(directory),
    }
  })
}

async function places(directory: Queryable): Promise<Known['tenants']> {
  const rows = await directory.query(
    compile(sql`
      select tenant.id, tenant.epoch, ${SHARD_OF_TENANT} as shard, coalesce(placement.isolation, 'shared') as isolation,
        coalesce(placement.namespace, (select value from directory.setting where key = 'namespace')) as namespace
      from directory.tenant join directory.bucket on bucket.no = tenant.bucket
      left join directory.placement on placement.tenant_id = tenant.id`),
  )
  return new Map(
    rows.map(({ id, epoch, shard, isolation, namespace }) => [
      tenantId(id),
      {
        shard: shard ?? '',
        isolation: isolation as Isolation,
        namespace: namespace ?? '',
        epoch: Number(epoch),
      },
    ]),
  )
}

async function records(directory: Queryable): Promise<Finding[]> {
  const rows = await directory.query(`
    select leftover.*, tenant_id from directory.leftover join directory.move on move.id = leftover.move
    where state in ('done', 'aborted', 'rolled-back') and coalesce(lease_until < clock_timestamp(), true)
    order by leftover.move, made_at`)
  return rows.map((row) => ({
    kind: 'record',
    place: { shard: row.shard ?? '', isolation: row.isolation as Isolation, namespace: row.namespace ?? '' },
    name: `${row.kind} ${row.name}`,
    move: row.move ?? '',
    tenant: tenantId(row.tenant_id),
    held: null,
  }))
}

/** Look through a shard, and the databases on it that moves have come to or from. */
export async function findOnShard(fleet: Fleet, shard: string, known: Known): Promise<Finding[]> {
  const shared = { shard, isolation: 'shared', namespace: '' } as const
  const { found, databases } = await onItsShard(fleet, shared, async (client, shardId) => ({
    found: [
      ...(await outlets(client, shared, known)),
      ...(await slots(client, shared, shardId, known)),
      ...(await fences(client, shared, known)),
      ...(await homes(client, shard, shardId, known)),
      ...(await rows(client, fleet, shared, known)),
    ],
    databases: await databasesOf(client, shard, known),
  }))
  for (const place of databases)
    found.push(...(await onItsHome(fleet, place, (client) => outlets(client, place, known))))
  return found
}

async function databasesOf(client: Client, shard: string, { trodden }: Known): Promise<Place[]> {
  const names = trodden
    .filter((place) => place.shard === shard && place.isolation === 'database')
    .map(({ namespace }) => namespace)
  const there = await client.query(
    compile(
      sql`select datname from pg_database where datname = any(${sql.value(names)}::text[]) and datallowconn`,
    ),
  )
  return there.map(({ datname }) => ({ shard, isolation: 'database', namespace: datname ?? '' }))
}

/** The move that a name is of. */
const moveOf = (name: string): string | undefined =>
  /^shardgate_(?:move|back)_(\d{1,18})(?:_[0-9a-f]{8})?$/.exec(name)?.[1]

async function outlets(client: Client, place: Place, { open, ended }: Known): Promise<Finding[]> {
  const found = await client.query(`
    select 'publication' as kind, pubname as name from pg_publication where pubname like 'shardgate\\_%'
    union all select distinct 'progress', 'shardgate_move_' || move from shardgate.move_progress order by 1, 2`)
  return found.flatMap(({ kind, name }) => {
    const move = moveOf(name ?? '')
    if (move === undefined || open.has(move)) return []
    const tenant = ended.get(move) ?? null
    return [{ kind: kind as FindingKind, place, name: name ?? '', move, tenant, held: null }]
  })
}

/** Slots of the databases of this shard alone: the server may hold other fleets, and their moves have numbers too. */
async function slots(
  client: Client,
  place: Place,
  shardId: string,
  { open, ended }: Known,
): Promise<Finding[]> {
  const found = await client.query(`
    select slot_name as name, database, active_pid, database = current_database() as ours from pg_replication_slots
    where slot_name like 'shardgate\\_%' order by 1`)
  return found.flatMap(({ name, database, active_pid: pid, ours }) => {
    const move = moveOf(name ?? '')
    if (move === undefined || open.has(move)) return []
    if (ours !== 't' && !isOfShard(shardId, database ?? '')) return []
    const where: Place = ours === 't' ? place : { ...place, isolation: 'database', namespace: database ?? '' }
    const tenant = ended.get(move) ?? null
    // Of a move that nobody knows, a session that follows it may be somebody's who knows it.
    const held = pid === null || tenant !== null ? null : `process ${pid} follows it`
    return [{ kind: 'slot', place: where, name: name ?? '', move, tenant, held }]
  })
}

/** Whether a tenant lives in the database of a shard itself: in shared tables, or in a schema. */
export const livesIn = (shard: string, home: Place | undefined): boolean =>
  home?.shard === shard && home.isolation !== 'database'

/** Fences that let in tenants that live elsewhere. Of tenants that the directory has not, `tenant revived` tells. */
async function fences(client: Client, place: Place, { tenants, busy }: Known): Promise<Finding[]> {
  const found = await client.query(`
    select tenant_id, state, epoch from shardgate.tenant_fence
    where state in ('active', 'read-only', 'suspended', 'frozen') order by 1`)
  return found.flatMap(({ tenant_id, state, epoch }) => {
    const tenant = tenantId(tenant_id)
    const home = tenants.get(tenant)
    if (!home || busy.has(tenant) || livesIn(place.shard, home)) return []
    return [{ kind: 'fence', place, name: `${state}, epoch ${epoch}`, move: null, tenant, held: null }]
  })
}

/** Schemas and databases that were made here for tenants that live elsewhere. */
async function homes(
  client: Client,
  shard: string,
  shardId: string,
  { tenants, busy }: Known,
): Promise<Finding[]> {
  const found = await client.query(`
    select 'schema' as isolation, nspname as name from pg_namespace where nspname like 'tenant\\_%'
    union all select 'database', datname from pg_database order by 1, 2`)
  const roles = new Set((await client.query('select rolname from pg_roles')).map(({ rolname }) => rolname))
  const names = new Map(
    [...tenants.keys()].flatMap((tenant): [string, TenantId][] => [
      // A schema without the role that is made with it is somebody else's.
      ...(roles.has(tenantRole(shardId, tenant))
        ? [[`schema ${tenantSchema(tenant)}`, tenant] as [string, TenantId]]
        : []),
      [`database ${tenantDatabase(shardId, tenant)}`, tenant],
    ]),
  )
  return found.flatMap(({ isolation, name }) => {
    const tenant = names.get(`${isolation} ${name}`)
    if (tenant === undefined || busy.has(tenant) || isTemplateOf(shardId, name ?? '')) return []
    const home = tenants.get(tenant)
    if (home?.shard === shard && home.isolation === isolation) return []
    const place = { shard, isolation: isolation as Isolation, namespace: name ?? '' }
    return [{ kind: 'home', place, name: name ?? '', move: null, tenant, held: null }]
  })
}

/** Rows in shared tables of tenants that moves have brought here, or taken from here, and that live elsewhere. */
async function rows(client: Client, fleet: Fleet, place: Place, known: Known): Promise<Finding[]> {
  const { trodden, tenants, busy } = known
  const been = trodden.filter(
    ({ shard, isolation, tenant }) => shard === place.shard && isolation !== 'database' && !busy.has(tenant),
  )
  const served = (await tenantTables(client, fleet.tenancy ?? DEFAULT_TENANCY)).filter(
    (table) => table.served && table.readable,
  )
  const found: Finding[] = []
  for (const tenant of new Set(been.map((one) => one.tenant))) {
    const home = tenants.get(tenant)
    // Of one that was purged, `tenant revived` tells.
    if (!home) continue
    for (const table of served) {
      const name = `${table.schema}.${table.name}`
      const isHere =
        name === IDEMPOTENCY
          ? livesIn(place.shard, home)
          : home.shard === place.shard && home.isolation === 'shared'
      const own = isOfTenant(table, tenant)
      if (isHere || !own) continue
      const [row] = await client.transaction(async () => {
        await aboutTenant(client, tenant)
        return client.query(
          compile(
            sql`select exists (select from ${sql.identifier(table.schema, table.name)} t where ${own}) as some`,
          ),
        )
      })
      if (row?.some === 't') found.push({ kind: 'rows', place, name, move: null, tenant, held: null })
    }
  }
  return found
}
