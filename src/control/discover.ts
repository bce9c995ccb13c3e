/**
 * Finding the tenants that are in existing databases, and registering each where its rows are.
 *
 *     distinct values per shard ──▶ one shard each? ──▶ known to the directory? ──▶ register
 *
 * Nothing is guessed: a value that is no tenant id, or that has rows on two shards, is told and left alone.
 * Every shard is read before anything is decided, because the shard that is away may hold the other half of
 * a tenant. The same again registers what is new and what an interrupted run left half done.
 */

import { type TenantId, tenantId, tenantIdFault } from '../base/ids.ts'
import type { Client } from '../db/client.ts'
import { readSettings } from '../directory/shards.ts'
import { findTenants, type TenantRecord } from '../directory/tenants.ts'
import { findBuried } from './life/tombstones.ts'
import { notSetUp } from './placing.ts'
import type { Fleet } from './reach.ts'
import { onDirectory, type ShardAccess } from './reach.ts'
import { buriedText, registerTenants } from './register.ts'
import { readTenantValues, type TableValues } from './tenant-values.ts'

/**
 * new         will be registered
 * registered  has been
 * known       the directory has it there already
 * conflict    rows, directory or fence say different shards, or that it was purged
 * refused     it cannot be an id, or its subdomain is taken
 */
export type Outcome = 'new' | 'registered' | 'known' | 'conflict' | 'refused'

export interface FoundTenant {
  readonly id: string
  /** Shards on which it has rows. */
  readonly shards: readonly string[]
  readonly outcome: Outcome
  /** A clause for 'conflict' and 'refused'. */
  readonly reason?: string
  /** Of values that are no ids: how many rows hold them. */
  readonly rows?: number
}

export interface Discovery {
  /** By id. */
  readonly tenants: readonly FoundTenant[]
  /** Tables with rows that belong to nobody. */
  readonly nulls: readonly { readonly shard: string; readonly table: string; readonly rows: number }[]
  /** How many tables have been read on all shards. */
  readonly tables: number
}

export interface DiscoverOptions {
  readonly directoryUrl: string
  readonly tenancy: { readonly column: string; readonly schemas: readonly string[] }
  /** The shards to read, each with the URL of a role that sees every row. */
  readonly shards: readonly ShardAccess[]
  readonly report?: (sentence: string) => void
}

interface Sighting {
  readonly shards: Set<string>
  rows: number
}

/** Ids in one question to the directory. */
const ROUND = 10_000

/**
 * Find out who is there; changes nothing.
 *
 * @throws SHARD_UNAVAILABLE, SETUP_FAILED  as `readTenantValues`, for any shard
 * @throws DIRECTORY_UNAVAILABLE            the directory cannot be reached
 */
export async function discover(options: DiscoverOptions): Promise<Discovery> {
  const { shards, tenancy, report } = options
  await onDirectory(options.directoryUrl, requireSetUp)
  const reads = shards.map(async (shard) => {
    const tables = await readTenantValues(shard, tenancy, report)
    return tables.map((table) => ({ shard: shard.key, ...table }))
  })
  // All are waited for, so that of several faults it is the same one that is told each time.
  const tables = (await Promise.allSettled(reads)).flatMap((read) => {
    if (read.status === 'rejected') throw read.reason
    return read.value
  })
  const sightings = sightingsOf(tables)
  const ids = [...sightings.keys()].filter((id) => tenantIdFault(id) === undefined).map(tenantId)
  const { known, buried } = await knownTenants(options.directoryUrl, ids)
  const tenants = [...sightings].map(([id, seen]) => judge(id, seen, known.get(id), buried.get(id)))
  return {
    tenants: tenants.sort((a, b) => (a.id < b.id ? -1 : 1)),
    nulls: tables
      .filter(({ nulls }) => nulls > 0)
      .map(({ shard, table, nulls }) => ({ shard, table, rows: nulls })),
    tables: tables.length,
  }
}

/**
 * Register the tenants that are 'new' in `found`, each on its shard.
 *
 * @returns the same list with what became of them
 * @throws as `registerTenants`; the rounds before stay, and the same call again goes on
 */
export async function registerFound(
  fleet: Fleet,
  found: Discovery,
  report: (sentence: string) => void = () => {},
): Promise<Discovery> {
  const fresh = found.tenants.filter(({ outcome }) => outcome === 'new')
  const faults = new Map<string, string>()
  for (const key of new Set(fresh.flatMap(({ shards }) => shards))) {
    const ids = fresh.filter(({ shards }) => shards[0] === key).map(({ id }) => tenantId(id))
    const told = (seen: number): void => report(`${key}: ${seen} of ${ids.length} tenants`)
    for (const [id, fault] of await registerTenants(fleet, key, ids, told)) faults.set(id, fault)
  }
  const tenants = found.tenants.map((tenant): FoundTenant => {
    if (tenant.outcome !== 'new') return tenant
    const reason = faults.get(tenant.id)
    return reason === undefined
      ? { ...tenant, outcome: 'registered' }
      : { ...tenant, outcome: 'conflict', reason }
  })
  return { ...found, tenants }
}

async function requireSetUp(directory: Client): Promise<void> {
  if (!(await readSettings(directory))) notSetUp()
}

function sightingsOf(tables: readonly (TableValues & { readonly shard: string })[]): Map<string, Sighting> {
  const sightings = new Map<string, Sighting>()
  for (const { shard, values, misfits } of tables) {
    for (const id of values) {
      const seen = sightings.get(id) ?? { shards: new Set(), rows: 0 }
      sightings.set(id, seen)
      seen.shards.add(shard)
      seen.rows += misfits.get(id) ?? 0
    }
  }
  return sightings
}

interface Known {
  readonly known: ReadonlyMap<string, TenantRecord>
  /** When those were purged that have no new life. */
  readonly buried: ReadonlyMap<string, string>
}

async function knownTenants(url: string, ids: readonly TenantId[]): Promise<Known> {
  return onDirectory(url, async (directory) => {
    const known = new Map<string, TenantRecord>()
    const buried = new Map<string, string>()
    for (let from = 0; from < ids.length; from += ROUND) {
      const round = ids.slice(from, from + ROUND)
      for (const [id, tenant] of await findTenants(directory, round)) known.set(id, tenant)
      for (const [id, at] of await findBuried(directory, round)) buried.set(id, at)
    }
    return { known, buried }
  })
}

function judge(
  id: string,
  seen: Sighting,
  known: TenantRecord | undefined,
  buriedAt: string | undefined,
): FoundTenant {
  const shards = [...seen.shards].sort()
  const fault = tenantIdFault(id)
  if (fault !== undefined) return { id, shards, outcome: 'refused', reason: fault, rows: seen.rows }
  if (buriedAt !== undefined) return { id, shards, outcome: 'conflict', reason: buriedText(id, buriedAt) }
  if (shards.length > 1)
    return { id, shards, outcome: 'conflict', reason: `it has rows on ${shards.join(' and ')}` }
  if (known && known.shard !== shards[0])
    return { id, shards, outcome: 'conflict', reason: `the directory has it on ${known.shard}` }
  return { id, shards, outcome: known && known.state !== 'creating' ? 'known' : 'new' }
}
