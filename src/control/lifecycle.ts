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
import { type Failpoints, noFailpoints } from '../base/failpoints.ts'
import type { TenantId } from '../base/ids.ts'
import type { Client, Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'
import { bucketOf, type WeightedShard } from '../directory/buckets.ts'
import { type DirectorySettings, type KnownShard, listShards, readSettings } from '../directory/shards.ts'
import {
  activateTenant,
  findTenant,
  findTenantBySubdomain,
  reserveTenant,
  type TenantRecord,
} from '../directory/tenants.ts'
import { identityOf } from './install.ts'
import { onDirectory, onShard, type ShardAccess } from './reach.ts'

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

export interface Fleet {
  readonly directoryUrl: string
  readonly strategy: 'modulo' | 'directory'
  /** Shards of the configuration, with the URLs of their owner roles. */
  readonly shards: readonly (ShardAccess & WeightedShard)[]
  readonly failpoints?: Failpoints
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
    await fence(directory, fleet, reserved)
    await activateTenant(directory, wanted.id)
    const tenant = await findTenant(directory, wanted.id)
    return { tenant: tenant ?? fail('TENANT_UNKNOWN', `${wanted.id} was removed meanwhile.`), created: true }
  })
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
  await reserveTenant(directory, { id, name, subdomain, plan, bucket, ...(own && { own }) })
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

const notSetUp = (): never =>
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

async function fence(directory: Client, fleet: Fleet, tenant: TenantRecord): Promise<void> {
  const { failpoints = noFailpoints } = fleet
  await failpoints.hit('create.reserved')
  const shard = knownShard(await listShards(directory), tenant.shard)
  await onShard(accessTo(fleet, tenant.shard), async (client) => {
    await requireIdentity(client, shard)
    await client.query(
      compile(sql`
        insert into shardgate.tenant_fence (tenant_id, state, epoch)
        values (${sql.value(tenant.id)}, 'active', ${sql.value(tenant.epoch)}::bigint)
        on conflict do nothing`),
    )
    await requireFence(client, tenant)
  })
  await failpoints.hit('create.fenced')
}

// A fence that says otherwise comes from an earlier life of the tenant, whose rows may still be there.
async function requireFence(client: Client, { id, epoch, shard }: TenantRecord): Promise<void> {
  const [found] = await client.query(
    compile(sql`select state, epoch from shardgate.tenant_fence where tenant_id = ${sql.value(id)}`),
  )
  if (found?.state === 'active' && Number(found.epoch) === epoch) return
  fail('SHARD_UNSAFE', `${shard} has a fence of ${id} already: ${found?.state}, epoch ${found?.epoch}.`, {
    shard,
  })
}

// Only what was asked for is compared: `tenant create acme` is satisfied with any acme.
function requireSame(found: TenantRecord, wanted: NewTenant): void {
  const keys = ['name', 'subdomain', 'plan', 'shard'] as const
  const other = keys.filter((key) => wanted[key] !== undefined && wanted[key] !== found[key])
  if (other.length === 0) return
  const differences = other.map((key) => `${key} "${found[key]}", not "${wanted[key]}"`).join(', ')
  fail('TENANT_EXISTS', `Tenant ${found.id} exists with ${differences}.`, { tenant: found.id })
}
