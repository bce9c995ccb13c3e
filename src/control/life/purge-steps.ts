/** The steps of a purge, each of which finds what it has done already. */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import { compile, sql } from '../../db/sql.ts'
import { listShards } from '../../directory/shards.ts'
import { contentHash, type TableHash } from '../copy/hash.ts'
import { removeHome } from '../homes/home.ts'
import type { At, Step } from '../operations/types.ts'
import { DEFAULT_TENANCY } from '../reach.ts'
import { deleteRows } from './delete-rows.ts'
import { type ExportsGone, removeExports } from './exports.ts'
import { drain, setFence } from './fence.ts'
import { requireDeletable } from './purge-walls.ts'
import { type Scan, scanPlace } from './scan.ts'
import { sampleAnew } from './statistics.ts'
import { findSubject, isThere, onPlace, onShardOf, type Place, requireSubject } from './subject.ts'
import { tenantTables } from './tables.ts'
import { findTombstone } from './tombstones.ts'

export interface PurgeInput {
  /** Purged before its quarantine ended. */
  readonly forced?: true
  readonly reason?: string
  /** Of a tenant that was purged before and that a backup has brought back. */
  readonly revived?: true
}

export interface PurgeMemory {
  readonly place: Place
  /** The highest epoch that is known of the life that ends. */
  readonly epoch: number
  readonly tables: readonly TableHash[]
  readonly hash: string
  readonly rows: number
  /** From here on there is no way back. */
  readonly closed: true
  readonly exports: ExportsGone
  /** Of its own shard. */
  readonly scan: Scan
  readonly others: readonly (Scan & { readonly shard: string })[]
  readonly receipt: number
  readonly sha256: string
}

export type PurgeAt = At<PurgeInput, PurgeMemory>
type PurgeStep = Step<PurgeInput, PurgeMemory>

export const countAll: PurgeStep = {
  name: 'count',
  async run(at) {
    const { fleet, directory } = at
    const tenant = tenantOf(at)
    const { place, epoch } = await lifeToEnd(at)
    const tenancy = { global: [], ...(fleet.tenancy ?? DEFAULT_TENANCY) }
    at.report('counting and hashing the rows')
    for (const key of await shardsOf(at, place)) {
      await onShardOf(fleet, directory, key, async (client) =>
        requireDeletable(await tenantTables(client, tenancy)),
      )
    }
    const home = (await isThere(at.fleet, at.directory, place))
      ? place
      : { ...place, isolation: 'shared' as const }
    const { tables, hash, rows } = await onPlace(fleet, directory, home, (client) =>
      contentHash(client, { home, tenancy, tenant }),
    )
    return { place, epoch, tables, hash, rows }
  },
}

/** What ends: the life that the directory knows; of what a backup has brought back, the highest epoch of all. */
async function lifeToEnd(at: PurgeAt): Promise<Pick<PurgeMemory, 'place' | 'epoch'>> {
  const { directory, input } = at
  const tenant = tenantOf(at)
  const grave = input.revived ? await findTombstone(directory, tenant) : null
  const subject = await findSubject(directory, tenant)
  const { shard, isolation, namespace } = subject ?? grave ?? (await requireSubject(directory, tenant))
  const place = { shard, isolation, namespace }
  const fence = input.revived ? await fenceEpoch(at, place) : 0
  return { place, epoch: Math.max(subject?.epoch ?? 0, grave?.epoch ?? 0, fence) }
}

function fenceEpoch(at: PurgeAt, { shard }: Place): Promise<number> {
  return onShardOf(at.fleet, at.directory, shard, async (client) => {
    const [row] = await client.query(
      compile(sql`select epoch from shardgate.tenant_fence where tenant_id = ${sql.value(at.tenant)}`),
    )
    return Number(row?.epoch ?? 0)
  })
}

export const closeForGood: PurgeStep = {
  name: 'close',
  async run(at) {
    const { fleet, directory, input } = at
    const { place, epoch } = left(at)
    const tenant = tenantOf(at)
    if (input.revived) await removeFences(at)
    else await setFence(fleet, directory, { tenant, ...place, epoch }, 'suspended')
    await onShardOf(fleet, directory, place.shard, (client) => drain(client, tenant))
    // What a backup has brought back may be in any state, and comes without a quarantine.
    await directory.query(
      compile(sql`
        update directory.tenant set state = 'purging', state_before = coalesce(state_before, 'suspended'),
          offboarded_at = coalesce(offboarded_at, now()), purge_after = coalesce(purge_after, now())
        where id = ${sql.value(tenant)} and (state = 'offboarded' or ${sql.value(input.revived ?? false)})`),
    )
    return { closed: true }
  },
  async undo({ directory, tenant, input }) {
    if (input.revived) return
    await directory.query(
      compile(sql`
        update directory.tenant set state = 'offboarded' where id = ${sql.value(tenant)} and state = 'purging'`),
    )
  },
}

// Only the fence goes here, not the schema or the database: their rows are counted in the receipt first.
async function removeFences(at: PurgeAt): Promise<void> {
  const { place, epoch } = left(at)
  const shared = { ...place, isolation: 'shared' as const }
  await removeHome(at.fleet, { tenant: tenantOf(at), ...shared, epoch: epoch + 1, state: 'purged' }, true)
}

export const emptyTables: PurgeStep = {
  name: 'delete rows',
  async run(at) {
    await deleteShared(at)
    return undefined
  },
}

/**
 * Rows in tables that are shared, also of a tenant that had its own: what it left there once, and its answers. On every
 * shard, because whoever gets its id next may be put on any.
 */
async function deleteShared(at: PurgeAt): Promise<void> {
  const { fleet, directory, report } = at
  const { place, rows } = left(at)
  const total = place.isolation === 'shared' ? rows : 0
  const told = (gone: number): void => report('deleting rows', gone, Math.max(gone, total))
  for (const key of await shardsOf(at, place)) {
    await onShardOf(fleet, directory, key, async (client) => {
      const tables = await tenantTables(client, fleet.tenancy ?? DEFAULT_TENANCY)
      requireDeletable(tables)
      const served = tables.filter((table) => table.served)
      const gone = await deleteRows(client, served, tenantOf(at), { report: told })
      if (gone > 0 || key === place.shard) await sampleAnew(client, served)
    })
  }
}

/** Shards of the directory that may have rows of the tenant: its own, then the others. */
async function shardsOf({ fleet, directory }: PurgeAt, { shard }: Place): Promise<string[]> {
  const known = (await listShards(directory)).map(({ key }) => key)
  const others = known.filter((key) => key !== shard && fleet.shards.some((access) => access.key === key))
  return [shard, ...others]
}

export const leaveNothing: PurgeStep = {
  name: 'remove the home',
  async run(at) {
    const { place, epoch } = left(at)
    at.report('removing its place on the shard')
    await onShardOf(at.fleet, at.directory, place.shard, async () => {})
    await removeHome(at.fleet, { tenant: tenantOf(at), ...place, epoch: epoch + 1, state: 'purged' }, true)
    return undefined
  },
}

export const takeExports: PurgeStep = {
  name: 'remove exports',
  run: async (at) => ({ exports: await removeExports(at.fleet, at.directory, tenantOf(at)) }),
}

export const lookThrough: PurgeStep = {
  name: 'look for what is left',
  async run(at) {
    const { place } = left(at)
    // A migration of rows may have begun before the fence said that the tenant is gone.
    await onShardOf(at.fleet, at.directory, place.shard, (client) => drain(client, tenantOf(at)))
    // Again: what it was stopped by may have been in the way of the rows, and is mended now.
    await deleteShared(at)
    at.report('looking through every table')
    const scans: (Scan & { readonly shard: string })[] = []
    for (const shard of await shardsOf(at, place)) {
      const { namespace } = place
      const found = await scanPlace(at.fleet, { shard, isolation: 'shared', namespace }, tenantOf(at))
      scans.push({ shard, ...found })
    }
    const tables = scans.flatMap(({ shard, left }) =>
      left.map(({ table, rows }) => `${table}${shard === place.shard ? '' : ` on ${shard}`} (${rows})`),
    )
    const home =
      place.isolation !== 'shared' && (await isThere(at.fleet, at.directory, place)) ? [place.namespace] : []
    const found = [...tables, ...home].join(', ')
    const [{ shard: _, ...scan }, ...others] = scans as [Scan & { readonly shard: string }]
    if (found === '') return { scan, others }
    const hint = `Policies or triggers may be in the way. Then: "shardgate operation resume ${at.operation}".`
    return fail('TABLE_UNSAFE', `Of ${at.tenant} there is something left: ${found}.`, {}, { hint })
  },
}

/** What the steps before have left. */
export function left({ memory }: PurgeAt): Pick<PurgeMemory, 'place' | 'epoch' | 'tables' | 'hash' | 'rows'> {
  const { place, epoch, tables, hash, rows } = memory
  if (place && epoch !== undefined && tables && hash !== undefined && rows !== undefined)
    return { place, epoch, tables, hash, rows }
  throw new Error('the step "count" has left nothing')
}

export function tenantOf({ tenant }: { readonly tenant: TenantId | null }): TenantId {
  if (tenant !== null) return tenant
  throw new Error('a purge has a tenant')
}
