/**
 * Making tenants, so that none is ever half made.
 *
 *     reserve   directory: row in state `creating`    id, subdomain and shard are taken
 *     home      shard: schema and role, or database   of tenants that have their own
 *     tables    there: the migrations                 and the directory knows what it has
 *     check     there: is the tenant kept apart       and nothing of a purged one of its id is there
 *     fence     there: fence row, active              the shard would let the tenant in
 *     activate  directory: state `active`             routers see the tenant
 *
 * The directory comes first because it is the only place where an id and a subdomain can be taken once, and because it
 * then remembers which shard was chosen. With the fence first, a run that died would leave a fence that nobody knows
 * of, and the next run, with other weights, might put a second one on another shard. Whatever step fails, nothing
 * answers requests for the tenant; the same command again finishes it, and `operation abort` removes it.
 */

import { fail } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'
import type { Queryable } from '../db/client.ts'
import {
  activateTenants,
  findTenant,
  findTenantBySubdomain,
  releaseTenant,
  reserveTenants,
} from '../directory/tenants.ts'
import type { Isolation, TenantSettings } from '../directory/types.ts'
import { checkHome, fenceHome, type Home, makePlace, makeTables, removeHome } from './homes/home.ts'
import { requireNoFormerRows } from './life/former-rows.ts'
import type { At, Kind } from './operations/types.ts'
import { choosePlace } from './placing.ts'
import type { Fleet } from './reach.ts'

/** What is kept of a request: what was asked for, and what its defaults meant at that time. */
export interface Creation {
  readonly name: string
  readonly subdomain: string
  readonly plan: string
  readonly isolation: Isolation
  readonly settings: TenantSettings
  /** Left out where the strategy decides. */
  readonly shard?: string
}

/** Its home, once it is chosen. */
type Memory = Pick<Home, 'shard' | 'isolation' | 'namespace' | 'epoch'>

export const CREATE: Kind<Creation, Memory> = {
  name: 'tenant.create',
  steps: [
    { name: 'reserve', run: reserve, undo: ({ directory, tenant }) => releaseTenant(directory, tenant!) },
    { name: 'home', run: (at) => made(at, makePlace), undo: removeUnused },
    { name: 'tables', run: (at) => made(at, makeTables) },
    { name: 'check', run: check },
    { name: 'fence', run: (at) => made(at, fenceHome) },
    { name: 'activate', run: activate, undo: requireCreating },
  ],
}

async function reserve(at: At<Creation, Memory>): Promise<Memory> {
  const { directory, fleet, input } = at
  const id = at.tenant!
  if (!(await findTenant(directory, id))) {
    const { bucket, byBucket, ...own } = await choosePlace(directory, fleet, { tenant: id, ...input })
    const { name, subdomain, plan, settings } = input
    await reserveTenants(directory, [
      { id, name, subdomain, plan, settings, bucket, ...(!byBucket && { own }) },
    ])
  }
  const reserved = await findTenant(directory, id)
  if (!reserved) await requireSubdomain(directory, id, input.subdomain)
  const { shard, isolation, namespace, epoch } =
    reserved ?? fail('TENANT_UNKNOWN', `${id} was removed while it was created.`)
  return { shard, isolation, namespace, epoch }
}

async function made(
  at: At<Creation, Memory>,
  make: (fleet: Fleet, home: Home) => Promise<void>,
): Promise<undefined> {
  const home = homeOf(at)
  if (home) await make(at.fleet, home)
}

function homeOf({ tenant, memory }: At<Creation, Memory>): Home | undefined {
  const { shard, isolation, namespace, epoch } = memory
  if (tenant === null || shard === undefined) return undefined
  return { tenant, shard, isolation: isolation!, namespace: namespace!, epoch: epoch!, state: 'active' }
}

async function check(at: At<Creation, Memory>): Promise<undefined> {
  await made(at, checkHome)
  await made(at, (fleet, home) => requireNoFormerRows(fleet, at.directory, home))
}

// Its tables are as empty as they were made: nobody is sent to a tenant that is not active.
async function removeUnused(at: At<Creation, Memory>): Promise<void> {
  await requireCreating(at)
  await made(at, removeHome)
}

async function activate({ directory, tenant }: At<Creation, Memory>): Promise<undefined> {
  await activateTenants(directory, [tenant!])
}

/** @throws REFUSED  requests may have written rows by now */
async function requireCreating({ directory, tenant, operation }: At<Creation, Memory>): Promise<void> {
  const found = await findTenant(directory, tenant!)
  if (!found || found.state === 'creating') return
  const hint = `Type "shardgate operation resume ${operation}"; afterwards "shardgate tenant offboard ${tenant}".`
  fail('REFUSED', `${tenant} is ${found.state} by now, and may have rows.`, {}, { hint })
}

/** @throws TENANT_EXISTS  another tenant has the subdomain */
export async function requireSubdomain(directory: Queryable, id: TenantId, label: string): Promise<void> {
  const holder = await findTenantBySubdomain(directory, label)
  if (!holder || holder.id === id) return
  fail('TENANT_EXISTS', `The subdomain "${label}" belongs to tenant ${holder.id}.`, { tenant: id })
}
