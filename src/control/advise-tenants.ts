/** `tenant advise`: facts of tenants out of the directory, the shards and what operators say, and advice on them. */

import { fail } from '../base/errors.ts'
import { type TenantId, tenantId } from '../base/ids.ts'
import type { Client } from '../db/client.ts'
import { everyTenant, findTenant, findTenants, type TenantRecord } from '../directory/tenants.ts'
import type { TenantSettings } from '../directory/types.ts'
import { readLoads } from '../directory/usage-reports.ts'
import { type Advice, advise, type TenantFacts, type Wishes } from './advise.ts'
import { type Fleet, onDirectory } from './reach.ts'
import { measureShard, measureTenants, type TableSize } from './tenant-sizes.ts'

export interface TenantAdvice extends Advice {
  /** Largest first; tables without rows are left out. */
  readonly tables: readonly TableSize[]
}

/**
 * Advice on one tenant.
 *
 * @param said  what the operator says of it; the rest is in its settings, under `hosting`
 * @throws TENANT_UNKNOWN, SHARD_UNAVAILABLE, SHARD_UNKNOWN, DIRECTORY_UNAVAILABLE
 */
export async function adviseTenant(
  fleet: Fleet,
  tenant: TenantId,
  said: Partial<Wishes> = {},
): Promise<TenantAdvice> {
  const { found, known } = await onDirectory(fleet.directoryUrl, async (directory) => ({
    found: await findTenant(directory, tenant),
    known: await knownOf(directory),
  }))
  const hint = 'See "shardgate tenant list".'
  if (!found) return fail('TENANT_UNKNOWN', `There is no tenant "${tenant}".`, { tenant }, { hint })
  const [advice] = await adviseAll(fleet, [found], known, said)
  return advice!
}

/**
 * Advice on all tenants that would be better off in another model, by id.
 *
 * @param told  called with how many have been measured, of how many
 */
export async function adviseFleet(
  fleet: Fleet,
  said: Partial<Wishes> = {},
  told: (done: number, total: number) => void = () => {},
): Promise<TenantAdvice[]> {
  const { tenants, known } = await onDirectory(fleet.directoryUrl, async (directory) => ({
    tenants: await everybody(directory),
    known: await knownOf(directory),
  }))
  const all = await adviseAll(fleet, tenants, known, said, told)
  return all.filter(({ advice, facts }) => advice !== facts.isolation)
}

/** Those that have a home: neither begun nor about to be gone. */
async function everybody(directory: Client): Promise<TenantRecord[]> {
  const all = await everyTenant(directory)
  return all.filter(({ state }) => state !== 'creating' && state !== 'purging')
}

interface OwnHome {
  readonly shard: string
  readonly isolation: string
  readonly namespace: string
}

async function placesOf(directory: Client): Promise<OwnHome[]> {
  const rows = await directory.query(
    `select shard, isolation, namespace from directory.placement where isolation <> 'shared'`,
  )
  return rows.map(({ shard, isolation, namespace }) => ({
    shard: shard ?? '',
    isolation: isolation ?? '',
    namespace: namespace ?? '',
  }))
}

/** What the directory knows of the fleet around a tenant. */
interface Known {
  readonly places: readonly OwnHome[]
  /** Milliseconds of database time in 7 days, by tenant and by shard. */
  readonly loads: ReadonlyMap<string, number>
  readonly shardLoads: ReadonlyMap<string, number>
}

async function knownOf(directory: Client): Promise<Known> {
  const loads = await readLoads(directory)
  const shardLoads = new Map<string, number>()
  for (const [id, { shard }] of await findTenants(directory, [...loads.keys()].map(tenantId))) {
    shardLoads.set(shard, (shardLoads.get(shard) ?? 0) + (loads.get(id) ?? 0))
  }
  return { places: await placesOf(directory), loads, shardLoads }
}

/** Nothing where nothing is metered on its shard. */
function loadOf({ id, shard }: TenantRecord, { loads, shardLoads }: Known): Pick<TenantFacts, 'load'> {
  const all = shardLoads.get(shard)
  return all === undefined ? {} : { load: { ms: loads.get(id) ?? 0, shardMs: all } }
}

async function adviseAll(
  fleet: Fleet,
  tenants: readonly TenantRecord[],
  known: Known,
  said: Partial<Wishes>,
  told: (done: number, total: number) => void = () => {},
): Promise<TenantAdvice[]> {
  let done = 0
  const sizes = await measureTenants(fleet, tenants, () => told(++done, tenants.length))
  const shards = new Map<string, Pick<TenantFacts, 'shardBytes' | 'schemas' | 'databases'>>()
  for (const key of new Set(tenants.map(({ shard }) => shard))) {
    const own = known.places.filter(({ shard }) => shard === key)
    const databases = own
      .filter(({ isolation }) => isolation === 'database')
      .map(({ namespace }) => namespace)
    const shardBytes = await measureShard(fleet, key, databases)
    shards.set(key, { shardBytes, databases: databases.length, schemas: own.length - databases.length })
  }
  return tenants.map((tenant) => {
    const tables = sizes.get(tenant.id)!.filter(({ rows }) => rows > 0)
    const promised = fleet.plans?.[tenant.plan]?.isolation
    const advice = advise({
      tenant: tenant.id,
      shard: tenant.shard,
      isolation: tenant.isolation,
      plan: tenant.plan,
      ...(promised !== undefined && { promised }),
      rows: sumOf(tables, 'rows'),
      bytes: sumOf(tables, 'bytes'),
      ...loadOf(tenant, known),
      ...shards.get(tenant.shard)!,
      wishes: { ...wishesIn(tenant.settings), ...said },
    })
    return { ...advice, tables: tables.toSorted((a, b) => b.bytes - a.bytes) }
  })
}

const sumOf = (tables: readonly TableSize[], key: 'rows' | 'bytes'): number =>
  tables.reduce((sum, table) => sum + table[key], 0)

/** What settings say under `hosting`: { compliance, customTables, region, growth }. What is of another kind says nothing. */
export function wishesIn({ hosting }: TenantSettings): Wishes {
  const said = typeof hosting === 'object' && hosting !== null ? (hosting as Record<string, unknown>) : {}
  const { compliance, customTables, region, growth } = said
  return {
    compliance: compliance === true,
    customTables: customTables === true,
    ...(typeof region === 'string' && region !== '' && { region }),
    growth: typeof growth === 'number' && growth > 0 ? growth : 1,
  }
}
