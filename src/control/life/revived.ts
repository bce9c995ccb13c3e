/**
 * Tenants that a restored backup has brought back after their purge: of a shard, whose fence then knows the tenant
 * again, or of the directory, which then lists one whose shard remembers that it was purged.
 *
 * None of them is served: routers do not see a tenant up to the epoch of its tombstone (directory/placements.ts), and
 * the fence of a purged tenant lets nobody in. What is told here is that its rows are there again.
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client, Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { SHARD_OF_TENANT } from '../../directory/placements.ts'
import type { Report } from '../operations/types.ts'
import { DEFAULT_TENANCY, type Fleet, onDirectory, onShard, type ShardAccess } from '../reach.ts'
import { tenantsWithRows } from './former-rows.ts'
import { type PurgeResult, purgeRevived } from './purge.ts'
import { tenantTables } from './tables.ts'
import { listTombstones, type Tombstone } from './tombstones.ts'

export interface Revived {
  readonly tenant: TenantId
  /** 'directory' or the key of a shard. */
  readonly where: string
  /** What is there again, as a clause. */
  readonly what: string
}

/** What of a fleet it takes to look. */
export interface Looked extends Pick<Fleet, 'directoryUrl' | 'tenancy'> {
  readonly shards: readonly ShardAccess[]
}

/** A tenant that the directory lists. */
interface Living {
  readonly tenant: string
  readonly epoch: number
  readonly shard: string
}

/**
 * Look for them in the directory and on every shard.
 *
 * @param missed  told of a shard that cannot be looked at; left out, that is an error
 * @throws DIRECTORY_UNAVAILABLE, SHARD_UNAVAILABLE
 */
export async function findRevived(
  fleet: Looked,
  missed: (error: unknown) => void = (error) => {
    throw error
  },
): Promise<Revived[]> {
  const { graves, living } = await onDirectory(fleet.directoryUrl, readDirectory)
  const byId = new Map(graves.map((grave) => [grave.tenant as string, grave]))
  const found = living.flatMap(({ tenant, epoch }): Revived[] => {
    const grave = byId.get(tenant)
    if (!grave || grave.epoch < epoch) return []
    return [{ tenant: grave.tenant, where: 'directory', what: `a row at epoch ${epoch}` }]
  })
  for (const shard of fleet.shards) {
    const there = await revivedOn(fleet, shard, { graves, living }).catch((error: unknown): Revived[] => {
      missed(error)
      return []
    })
    found.push(...there)
  }
  return found
}

async function readDirectory(directory: Client): Promise<{ graves: Tombstone[]; living: Living[] }> {
  const graves = await listTombstones(directory)
  const rows = await directory.query(
    compile(sql`
      select tenant.id, tenant.epoch, ${SHARD_OF_TENANT} as shard from directory.tenant
      join directory.bucket on bucket.no = tenant.bucket
      left join directory.placement on placement.tenant_id = tenant.id`),
  )
  const living = rows.map(({ id, epoch, shard }) => ({
    tenant: id ?? '',
    epoch: Number(epoch),
    shard: shard ?? '',
  }))
  return { graves, living }
}

function revivedOn(
  { tenancy = DEFAULT_TENANCY }: Looked,
  shard: ShardAccess,
  { graves, living }: { readonly graves: readonly Tombstone[]; readonly living: readonly Living[] },
): Promise<Revived[]> {
  const alive = new Map(living.map((tenant) => [tenant.tenant, tenant]))
  const isAlive = ({ tenant, epoch }: Tombstone): boolean => (alive.get(tenant)?.epoch ?? 0) > epoch
  const tell = (tenant: TenantId, what: string): Revived => ({ tenant, where: shard.key, what })
  return onShard(shard, async (client) => {
    const fences = await fencesOf(client)
    const open = graves.filter(({ tenant, epoch }) => {
      const fence = fences.get(tenant)
      return fence && !['purged', 'moved'].includes(fence.state) && fence.epoch <= epoch
    })
    const buried = living.filter(({ tenant, epoch, shard: key }) => {
      const fence = fences.get(tenant)
      return key === shard.key && fence?.state === 'purged' && fence.epoch >= epoch
    })
    const dead = graves.filter((grave) => !isAlive(grave))
    const homes = await homesThere(
      client,
      dead.filter((grave) => grave.shard === shard.key),
    )
    const rows = await tenantsWithRows(
      client,
      await tenantTables(client, tenancy),
      dead.map(({ tenant }) => tenant),
    )
    return [
      ...open.map(({ tenant }) => tell(tenant, `a fence in the state ${fences.get(tenant)?.state}`)),
      ...buried.map(({ tenant }) => ({
        tenant: tenant as TenantId,
        where: 'directory',
        what: `a row, though ${shard.key} knows that it was purged`,
      })),
      ...homes.map(({ tenant, isolation, namespace }) => tell(tenant, `its ${isolation} ${namespace}`)),
      ...rows.map((tenant) => tell(tenant, 'rows in shared tables')),
    ]
  })
}

async function fencesOf(client: Queryable): Promise<Map<string, { state: string; epoch: number }>> {
  const rows = await client.query('select tenant_id, state, epoch from shardgate.tenant_fence')
  return new Map(
    rows.map((row) => [row.tenant_id ?? '', { state: row.state ?? '', epoch: Number(row.epoch) }]),
  )
}

async function homesThere(client: Queryable, graves: readonly Tombstone[]): Promise<Tombstone[]> {
  const own = graves.filter(({ isolation }) => isolation !== 'shared')
  const rows = await client.query(
    compile(sql`
      select nspname as name from pg_namespace where nspname = any(${sql.value(own.map((grave) => grave.namespace))}::text[])
      union all
      select datname from pg_database where datname = any(${sql.value(own.map((grave) => grave.namespace))}::text[])`),
  )
  const there = new Set(rows.map(({ name }) => name))
  return own.filter(({ namespace }) => there.has(namespace))
}

/**
 * Purge again what was brought back of a tenant.
 *
 * @throws REFUSED  nothing of it is there, or a new tenant of that id lives, whose rows it must not take along
 */
export function purgeAgain(
  fleet: Fleet,
  tenant: TenantId,
  reason?: string,
  report?: Report,
): Promise<PurgeResult> {
  const require = async (directory: Client): Promise<void> => {
    const { graves, living } = await readDirectory(directory)
    const grave = graves.find((found) => found.tenant === tenant)
    const alive = living.find((found) => found.tenant === tenant)
    if (grave && alive && alive.epoch > grave.epoch) {
      const sentence = `A new tenant ${tenant} lives on ${alive.shard} since the old one was purged; it cannot be told from what is left of that one.`
      fail('REFUSED', sentence, { tenant })
    }
    const found = (await findRevived(fleet)).filter((revived) => revived.tenant === tenant)
    if (found.length > 0) return
    fail(
      'REFUSED',
      `No backup has brought ${tenant} back.`,
      { tenant },
      { hint: 'See "shardgate tenant revived".' },
    )
  }
  return purgeRevived(fleet, tenant, require, reason, report)
}
