/**
 * Creating one tenant: the request, what can be known before anything is written, and what is left when it fails. The
 * steps themselves are in creation.ts.
 */

import { canonicalJson } from '../base/canonical.ts'
import { fail, isGatewayError } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'
import type { Client } from '../db/client.ts'
import { findTenant, type TenantRecord } from '../directory/tenants.ts'
import type { Isolation, TenantSettings } from '../directory/types.ts'
import { CREATE, type Creation, requireSubdomain } from './creation.ts'
import { requireMakeable } from './homes/home.ts'
import { runOperation } from './operations/run.ts'
import { findRunning } from './operations/store.ts'
import type { Report } from './operations/types.ts'
import { abortOperation, resumeOperation } from './operations/unfinished.ts'
import { choosePlace } from './placing.ts'
import { type Fleet, onDirectory } from './reach.ts'
import { tenantSettings } from './tenant-settings.ts'

export interface NewTenant {
  readonly id: TenantId
  /** Default is the id. */
  readonly name?: string
  /** Default is the id. */
  readonly subdomain?: string
  /** Default is 'standard'. */
  readonly plan?: string
  /** Default is what the plan says; without a word of it, 'shared'. */
  readonly isolation?: Isolation
  /** Default is none. */
  readonly settings?: TenantSettings
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
 * @throws USAGE                  the settings are not what they have to be
 * @throws TENANT_EXISTS          the id or the subdomain belongs to another tenant
 * @throws TENANT_BUSY            somebody creates it now, or has begun to with another request
 * @throws SHARD_UNKNOWN          there is no such shard
 * @throws SHARD_UNAVAILABLE      its shard cannot be reached; with a new tenant nothing has changed
 * @throws SHARD_UNSAFE           its shard is not the database that the directory knows, or holds a fence
 *                                of another life of this tenant
 * @throws TABLE_UNSAFE           its own tables would not be safe, with the reasons; they are removed
 * @throws SETUP_FAILED, REFUSED  its own tables cannot be made, with the reason; what there was of them is removed
 * @throws DIRECTORY_UNAVAILABLE  the directory cannot be reached
 */
export async function createTenant(fleet: Fleet, wanted: NewTenant, report?: Report): Promise<CreateResult> {
  const input = creationOf(fleet, wanted)
  const { tenant: before, begun } = await lookAt(fleet, wanted.id)
  if (before) requireSame(before, wanted)
  if (before && before.state !== 'creating') {
    // All is done but for the last note of it.
    if (begun) await resumeOperation(fleet, begun, report)
    return { tenant: before, created: begun !== undefined }
  }
  const require = (directory: Client): Promise<void> => requireRoom(directory, fleet, wanted, input)
  const request = { tenant: wanted.id, input, require, ...(report && { report }) }
  await runOperation(fleet, CREATE, request).catch((error: unknown) => giveUp(fleet, wanted.id, error))
  const { tenant } = await lookAt(fleet, wanted.id)
  return { tenant: tenant ?? fail('TENANT_UNKNOWN', `${wanted.id} was removed meanwhile.`), created: true }
}

/** The tenant as it is, and the id of its unfinished creation. */
function lookAt(
  fleet: Fleet,
  id: TenantId,
): Promise<{ readonly tenant: TenantRecord | null; readonly begun: string | undefined }> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const tenant = await findTenant(directory, id)
    const running = await findRunning(directory, id, CREATE.name)
    return { tenant, begun: running?.kind === CREATE.name ? running.id : undefined }
  })
}

export function creationOf({ plans = {} }: Fleet, wanted: NewTenant): Creation {
  const { id, name = id, subdomain = id, plan = 'standard', settings = {}, shard } = wanted
  const known = Object.keys(plans)
  if (wanted.plan !== undefined && known.length > 0 && !known.includes(plan)) {
    fail('USAGE', `There is no plan "${plan}"; the configuration has ${known.join(', ')}.`)
  }
  const isolation = wanted.isolation ?? plans[plan]?.isolation ?? 'shared'
  const all = { name, subdomain, plan, isolation, settings: tenantSettings(settings) }
  return shard === undefined ? all : { ...all, shard }
}

/** Whatever can be known before anything is written. */
async function requireRoom(
  directory: Client,
  fleet: Fleet,
  wanted: NewTenant,
  input: Creation,
): Promise<void> {
  const found = await findTenant(directory, wanted.id)
  if (found) return requireSame(found, wanted)
  await requireSubdomain(directory, wanted.id, input.subdomain)
  const place = await choosePlace(directory, fleet, { tenant: wanted.id, ...input })
  await requireMakeable(fleet, place)
}

/** With these the same command cannot succeed as things are. */
const FINAL = ['REFUSED', 'SETUP_FAILED', 'SHARD_UNSAFE', 'TABLE_UNSAFE'] as const

// Nothing of it is left lying about, as far as the shard can be reached; else there is `operation abort`.
async function giveUp(fleet: Fleet, tenant: TenantId, error: unknown): Promise<never> {
  if (FINAL.some((code) => isGatewayError(error, code))) {
    const { begun } = await lookAt(fleet, tenant)
    if (begun) await abortOperation(fleet, begun).catch(() => {})
  }
  throw error
}

// Only what was asked for is compared: `tenant create acme` is satisfied with any acme.
function requireSame(found: TenantRecord, wanted: NewTenant): void {
  const keys = ['name', 'subdomain', 'plan', 'isolation', 'shard'] as const
  const other = keys.filter((key) => wanted[key] !== undefined && wanted[key] !== found[key])
  const differences = other.map((key) => `${key} "${found[key]}", not "${wanted[key]}"`)
  const { settings } = wanted
  if (settings && canonicalJson(settings) !== canonicalJson(found.settings))
    differences.push('other settings')
  if (differences.length === 0) return
  const hint = `See "shardgate tenant show ${found.id}", or choose another id.`
  const sentence = `Tenant ${found.id} exists with ${differences.join(', ')}.`
  fail('TENANT_EXISTS', sentence, { tenant: found.id }, { hint })
}
