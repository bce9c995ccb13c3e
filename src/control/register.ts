/**
 * Many tenants of shared tables at once: the steps of lifecycle.ts that they have (reserve, fence, activate), a thousand
 * tenants a step. Tenants that exist are left as they are, so that a run that died is run again.
 */

import { noFailpoints } from '../base/failpoints.ts'
import type { TenantId } from '../base/ids.ts'
import type { Client } from '../db/client.ts'
import { appendAudit } from '../directory/audit.ts'
import { bucketOf } from '../directory/buckets.ts'
import { listShards, readSettings } from '../directory/shards.ts'
import {
  activateTenants,
  findTenants,
  reserveTenants,
  type TenantRecord,
  type TenantReservation,
} from '../directory/tenants.ts'
import { writeFences } from './homes/fences.ts'
import { onItsShard } from './homes/reach-home.ts'
import { findBuried } from './life/tombstones.ts'
import type { NewTenant } from './lifecycle.ts'
import { operatorOf } from './operations/run.ts'
import { unfinishedOf } from './operations/store.ts'
import { knownShard, notSetUp } from './placing.ts'
import { type Fleet, onDirectory } from './reach.ts'
import { tenantSettings } from './tenant-settings.ts'

/** Tenants in one round of statements. */
const ROUND = 1_000

/**
 * Create tenants that are on a shard already, each with a placement row of its own, or finish creating them.
 *
 * @param told  called with how many have been seen to, after each round
 * @returns why a tenant could not be registered, for those that could not
 * @throws SHARD_UNKNOWN, SHARD_UNAVAILABLE, SHARD_UNSAFE, DIRECTORY_UNAVAILABLE  as `createTenant`
 */
export function registerTenants(
  fleet: Fleet,
  shard: string,
  ids: readonly TenantId[],
  told: (seen: number) => void = () => {},
): Promise<Map<TenantId, string>> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const { namespace } = (await readSettings(directory)) ?? notSetUp()
    const own = { shard, isolation: 'shared', namespace } as const
    await requireShard(directory, fleet, shard)
    // Rows of one that was purged are those of a backup: registered, they would be served again.
    const buried = await findBuried(directory, ids)
    const wanted = ids.filter((id) => !buried.has(id)).map((id) => ({ id, own }))
    const { rows, faults } = await makeAll(directory, fleet, wanted, told)
    for (const [id, at] of buried) faults.set(id, buriedText(id, at))
    for (const id of ids) {
      const row = rows.get(id)
      if (row && row.shard !== shard) faults.set(id, `the directory has it on ${row.shard}`)
    }
    return faults
  })
}

/** Why a tenant that was purged is not registered, as a clause. */
export const buriedText = (id: string, at: string): string =>
  `it was purged at ${at}; remove what is there again: "shardgate tenant purge ${id} --revived"`

/**
 * Create tenants of shared tables, each on the shard of its bucket, or finish creating them.
 *
 * @returns where they are; and why one could not be created, for those that could not
 * @throws as `registerTenants`
 */
export function createTenants(
  fleet: Fleet,
  wanted: readonly Omit<NewTenant, 'isolation' | 'shard'>[],
): Promise<{ readonly rows: Map<TenantId, TenantRecord>; readonly faults: Map<TenantId, string> }> {
  return onDirectory(fleet.directoryUrl, (directory) => makeAll(directory, fleet, wanted))
}

type Wanted = Omit<NewTenant, 'isolation' | 'shard'> & Pick<TenantReservation, 'own'>

async function makeAll(
  directory: Client,
  fleet: Fleet,
  wanted: readonly Wanted[],
  told: (seen: number) => void = () => {},
): Promise<{ rows: Map<TenantId, TenantRecord>; faults: Map<TenantId, string> }> {
  const { buckets } = (await readSettings(directory)) ?? notSetUp()
  const rows = new Map<TenantId, TenantRecord>()
  const faults = new Map<TenantId, string>()
  for (let seen = 0; seen < wanted.length; seen += ROUND) {
    const round = wanted.slice(seen, seen + ROUND).map((tenant): TenantReservation => {
      const { id, name = id, subdomain = id, plan = 'standard', settings = {}, own } = tenant
      const bucket = bucketOf(id, buckets)
      return { id, name, subdomain, plan, settings: tenantSettings(settings), bucket, ...(own && { own }) }
    })
    for (const [id, row] of await makeRound(directory, fleet, round, faults)) rows.set(id, row)
    told(Math.min(seen + ROUND, wanted.length))
  }
  return { rows, faults }
}

async function makeRound(
  directory: Client,
  fleet: Fleet,
  round: readonly TenantReservation[],
  faults: Map<TenantId, string>,
): Promise<Map<TenantId, TenantRecord>> {
  await directory.transaction(async () => {
    const made = await reserveTenants(directory, round)
    const entry = { operator: operatorOf(fleet), action: 'tenant.create many', tenant: null }
    if (made.size > 0) await appendAudit(directory, { ...entry, details: { tenants: [...made].sort() } })
  })
  const { failpoints = noFailpoints } = fleet
  await failpoints.hit('create.reserved')
  const ids = round.map(({ id }) => id)
  const creating = [...(await findTenants(directory, ids)).values()].filter(
    ({ state, isolation }) => state === 'creating' && isolation === 'shared',
  )
  // Whoever imports one, say, has half of its rows there: nobody else finishes it. The operation was there before it.
  const others = await unfinishedOf(
    directory,
    creating.map(({ id }) => id),
  )
  for (const [id, operation] of others) faults.set(id, `operation ${operation} makes it and is not finished`)
  const begun = creating.filter(({ id }) => !others.has(id))
  for (const [shard, tenants] of Map.groupBy(begun, (row) => row.shard)) {
    const fences = tenants.map(({ id, epoch }) => ({
      tenant: id,
      state: 'active' as const,
      epoch,
      role: null,
    }))
    const wrong = await onItsShard(fleet, { shard }, (client) => writeFences(client, shard, fences))
    for (const [id, fault] of wrong) faults.set(id, fault)
  }
  await failpoints.hit('create.fenced')
  await activateTenants(
    directory,
    begun.map(({ id }) => id).filter((id) => !faults.has(id)),
  )
  const rows = await findTenants(directory, ids)
  for (const { id, subdomain } of round) {
    if (!rows.has(id)) faults.set(id, `the subdomain "${subdomain}" belongs to another tenant`)
  }
  return rows
}

async function requireShard(directory: Client, fleet: Fleet, shard: string): Promise<void> {
  knownShard(await listShards(directory), shard)
  await onItsShard(fleet, { shard }, async () => {})
}
