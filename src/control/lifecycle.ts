/**
 * Making tenants, so that none is ever half made.
 *
 *     1  directory: row in state `creating`       id, subdomain and shard are taken
 *     2  shard:     fence row, active, epoch 1    the shard would let the tenant in
 *     3  directory: state `active`                routers see the tenant
 *
 * The directory comes first because it is the only place where an id and a subdomain can be taken once, and
 * because it then remembers which shard was chosen. With the fence first, a run that died would leave a
 * fence that nobody knows of, and the next run, with other weights, might put a second one on another shard.
 * Whatever step fails, nothing answers requests for the tenant, and the same command again finishes it: each
 * step does nothing where it has been done.
 */

import { fail } from '../base/errors.ts'
import { noFailpoints } from '../base/failpoints.ts'
import type { TenantId } from '../base/ids.ts'
import type { Client, Queryable, TextRow } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'
import { bucketOf, type WeightedShard } from '../directory/buckets.ts'
import { type DirectorySettings, type KnownShard, listShards, readSettings } from '../directory/shards.ts'
import {
  activateTenants,
  findTenant,
  findTenantBySubdomain,
  findTenants,
  reserveTenants,
  type TenantRecord,
  type TenantReservation,
} from '../directory/tenants.ts'
import { identityOf } from './install.ts'
import { type Fleet, onDirectory, onShard, type ShardAccess } from './reach.ts'

export interface NewTenant {
  readonly id: TenantId
  /** Default is the id. */
  readonly name?: string
  /** Default is the id. */
  readonly subdomain?: string
  /** Default is 'standard'. */
  readonly plan?: string
  /** Put it on this shard by hand, with a placement row of its own. */
  readonly shard?: string
}

export interface CreateResult {
  readonly tenant: TenantRecord
  /** False when the tenant had been created before, just so. */
  readonly created: boolean
}

/**
 * Create a tenant, or finish creating it. The same call again changes nothing.
 *
 * @throws TENANT_EXISTS          the id or the subdomain belongs to another tenant
 * @throws SHARD_UNKNOWN          there is no such shard
 * @throws SHARD_UNAVAILABLE      its shard cannot be reached; with a new tenant nothing has changed
 * @throws SHARD_UNSAFE           its shard is not the database that the directory knows, or holds a fence
 *                                of another life of this tenant
 * @throws DIRECTORY_UNAVAILABLE  the directory cannot be reached
 */
export function createTenant(fleet: Fleet, wanted: NewTenant): Promise<CreateResult> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const before = await findTenant(directory, wanted.id)
    if (before) requireSame(before, wanted)
    if (before && before.state !== 'creating') return { tenant: before, created: false }
    const reserved = before ?? (await reserve(directory, fleet, wanted))
    const [fault] = (await fence(directory, fleet, reserved.shard, [reserved])).values()
    if (fault !== undefined) fail('SHARD_UNSAFE', `${fault}.`, { shard: reserved.shard })
    await activateTenants(directory, [wanted.id])
    const tenant = await findTenant(directory, wanted.id)
    return { tenant: tenant ?? fail('TENANT_UNKNOWN', `${wanted.id} was removed meanwhile.`), created: true }
  })
}

/** Tenants in one round of statements. */
const ROUND = 1_000

/**
 * Create tenants that are on a shard already, each with a placement row of its own, or finish creating them:
 * the same three steps, many tenants a step. Tenants that exist are left as they are.
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
    const { buckets, namespace } = (await readSettings(directory)) ?? notSetUp()
    const known = knownShard(await listShards(directory), shard)
    await onShard(accessTo(fleet, shard), (client) => requireIdentity(client, known))
    const faults = new Map<TenantId, string>()
    for (let seen = 0; seen < ids.length; seen += ROUND) {
      const round = ids.slice(seen, seen + ROUND).map((id): TenantReservation => {
        const names = { name: id, subdomain: id, plan: 'standard' }
        return { id, ...names, bucket: bucketOf(id, buckets), own: { shard, namespace } }
      })
      for (const [id, fault] of await registerRound(directory, fleet, shard, round)) faults.set(id, fault)
      told(Math.min(seen + ROUND, ids.length))
    }
    return faults
  })
}

async function registerRound(
  directory: Client,
  fleet: Fleet,
  shard: string,
  round: readonly TenantReservation[],
): Promise<Map<TenantId, string>> {
  await reserveTenants(directory, round)
  const ids = round.map(({ id }) => id)
  const rows = await findTenants(directory, ids)
  const begun = [...rows.values()].filter((row) => row.state === 'creating' && row.shard === shard)
  const faults = await fence(directory, fleet, shard, begun)
  const fenced = begun.map(({ id }) => id).filter((id) => !faults.has(id))
  await activateTenants(directory, fenced)
  for (const id of ids) {
    const row = rows.get(id)
    if (!row) faults.set(id, `the subdomain "${id}" belongs to another tenant`)
    else if (row.shard !== shard) faults.set(id, `the directory has it on ${row.shard}`)
  }
  return faults
}

/** The identity of a shard must be the one that tenants were put on: see directory/shards.ts. */
async function requireIdentity(client: Client, shard: KnownShard): Promise<void> {
  const id = await identityOf(client)
  if (id === shard.id) return
  fail(
    'SHARD_UNSAFE',
    `The database behind ${shard.key} carries the identity ${id ?? '(none)'}; the directory knows ${shard.id}.`,
    { shard: shard.key },
  )
}

async function reserve(directory: Client, fleet: Fleet, wanted: NewTenant): Promise<TenantRecord> {
  const settings = (await readSettings(directory)) ?? notSetUp()
  const known = await listShards(directory)
  const bucket = bucketOf(wanted.id, settings.buckets)
  const own = chooseShard(fleet, known, wanted, settings)
  // Meet a shard that is down or wrong before anything is written.
  const shard = own?.shard ?? (await shardOfBucket(directory, bucket))
  await onShard(accessTo(fleet, shard), (client) => requireIdentity(client, knownShard(known, shard)))
  const { id, name = id, subdomain = id, plan = 'standard' } = wanted
  await reserveTenants(directory, [{ id, name, subdomain, plan, bucket, ...(own && { own }) }])
  // Another run may have reserved it first, on another shard: what the directory says holds.
  const reserved = await findTenant(directory, id)
  if (!reserved) return subdomainTaken(directory, id, subdomain)
  requireSame(reserved, wanted)
  return reserved
}

async function subdomainTaken(directory: Queryable, id: TenantId, subdomain: string): Promise<never> {
  const holder = await findTenantBySubdomain(directory, subdomain)
  return fail('TENANT_EXISTS', `The subdomain "${subdomain}" belongs to tenant ${holder?.id ?? 'another'}.`, {
    tenant: id,
  })
}

function chooseShard(
  fleet: Fleet,
  known: readonly KnownShard[],
  wanted: NewTenant,
  { namespace }: DirectorySettings,
): { shard: string; namespace: string } | undefined {
  if (wanted.shard !== undefined) return { shard: knownShard(known, wanted.shard).key, namespace }
  if (fleet.strategy === 'modulo') return undefined
  return { shard: roomiest(fleet, known), namespace }
}

/** The shard that has the fewest tenants for its weight once it has taken one more. */
function roomiest(fleet: Fleet, known: readonly KnownShard[]): string {
  const load = ({ key, weight }: WeightedShard): number => (knownShard(known, key).tenants + 1) / weight
  const takers = fleet.shards.filter((shard) => shard.weight > 0)
  const [first] = takers.toSorted((a, b) => load(a) - load(b) || a.key.localeCompare(b.key))
  return first?.key ?? fail('SHARD_UNKNOWN', 'No shard takes new tenants: each has the weight 0.')
}

async function shardOfBucket(directory: Queryable, bucket: number): Promise<string> {
  const [row] = await directory.query(
    compile(sql`select shard from directory.bucket where no = ${sql.value(bucket)}::int`),
  )
  return row?.shard ?? notSetUp()
}

export const notSetUp = (): never =>
  fail('SETUP_FAILED', 'The directory has not been set up. Run "shardgate setup" first.')

function knownShard(known: readonly KnownShard[], key: string): KnownShard {
  const keys = known.map((shard) => shard.key).join(', ')
  return (
    known.find((shard) => shard.key === key) ??
    fail('SHARD_UNKNOWN', `There is no shard "${key}" in the directory; it knows ${keys || 'none'}.`, {
      shard: key,
    })
  )
}

function accessTo(fleet: Fleet, key: string): ShardAccess {
  return (
    fleet.shards.find((shard) => shard.key === key) ??
    fail('SHARD_UNKNOWN', `The configuration has no shard "${key}", where the tenant belongs.`, {
      shard: key,
    })
  )
}

/** Make the fences that are missing on `key`; gives a sentence for each tenant whose fence is not as it should be. */
async function fence(
  directory: Client,
  fleet: Fleet,
  key: string,
  tenants: readonly TenantRecord[],
): Promise<Map<TenantId, string>> {
  const { failpoints = noFailpoints } = fleet
  await failpoints.hit('create.reserved')
  const shard = knownShard(await listShards(directory), key)
  const list = JSON.stringify(tenants.map(({ id, epoch }) => ({ id, epoch })))
  const fences = await onShard(accessTo(fleet, key), async (client) => {
    await requireIdentity(client, shard)
    await client.query(
      compile(sql`
        insert into shardgate.tenant_fence (tenant_id, state, epoch)
        select id, 'active', epoch from jsonb_to_recordset(${sql.value(list)}::jsonb) as t (id text, epoch bigint)
        on conflict do nothing`),
    )
    return client.query(
      compile(sql`
        select tenant_id, state, epoch from shardgate.tenant_fence
        where tenant_id = any(${sql.value(tenants.map(({ id }) => id))}::text[])`),
    )
  })
  await failpoints.hit('create.fenced')
  return wrongFences(key, tenants, fences)
}

// A fence that says otherwise comes from an earlier life of the tenant, whose rows may still be there.
function wrongFences(
  shard: string,
  tenants: readonly TenantRecord[],
  fences: readonly TextRow[],
): Map<TenantId, string> {
  const found = new Map(fences.map((row) => [row.tenant_id, row]))
  const wrong = new Map<TenantId, string>()
  for (const { id, epoch } of tenants) {
    const row = found.get(id)
    if (row?.state === 'active' && Number(row.epoch) === epoch) continue
    wrong.set(id, `${shard} has a fence of ${id} already: ${row?.state}, epoch ${row?.epoch}`)
  }
  return wrong
}

// Only what was asked for is compared: `tenant create acme` is satisfied with any acme.
function requireSame(found: TenantRecord, wanted: NewTenant): void {
  const keys = ['name', 'subdomain', 'plan', 'shard'] as const
  const other = keys.filter((key) => wanted[key] !== undefined && wanted[key] !== found[key])
  if (other.length === 0) return
  const differences = other.map((key) => `${key} "${found[key]}", not "${wanted[key]}"`).join(', ')
  fail('TENANT_EXISTS', `Tenant ${found.id} exists with ${differences}.`, { tenant: found.id })
}
