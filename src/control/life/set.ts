/**
 * Changing what the directory says of a tenant: name, subdomain, plan, settings, features, limits.
 *
 * Only what is named changes, and what is read to be changed is locked, so two operators at once lose nothing of each
 * other. Whoever wants to build on what he has seen says so with `unchangedSince`. Gateways hear of it by `changed_at`.
 */

import { isDeepStrictEqual } from 'node:util'
import type { Limits } from '../../base/config-limits.ts'
import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import { type Client, sqlState } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { appendAudit } from '../../directory/audit.ts'
import type { TenantSettings } from '../../directory/types.ts'
import { operatorOf } from '../operations/run.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { changedLimits, type LimitChanges } from '../tenant-limits.ts'
import { tenantSettings } from '../tenant-settings.ts'
import { requireSubject, type Subject } from './subject.ts'

export interface TenantChanges {
  readonly name?: string
  readonly subdomain?: string
  readonly plan?: string
  /** Keys that replace those of the same name; null takes one away. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** Features to switch on and off. */
  readonly features?: { readonly on: readonly string[]; readonly off: readonly string[] }
  /** Limits of its own over those of its plan; null takes one away. */
  readonly limits?: LimitChanges
  /** Refuse when somebody has changed the tenant after this moment (`changed_at`). */
  readonly unchangedSince?: string
}

export interface SetResult {
  readonly tenant: TenantId
  /** Names of what is otherwise now: 'plan', 'settings', 'limits'. */
  readonly changed: readonly string[]
  /** For `unchangedSince` of the next change. */
  readonly changedAt: string
}

/**
 * Change a tenant. What is so already is no change, and stands in no log.
 *
 * @throws TENANT_UNKNOWN  there is no such tenant
 * @throws TENANT_EXISTS   another tenant has the subdomain
 * @throws REFUSED         its state does not allow it
 * @throws REFUSED         somebody has changed it since `unchangedSince`
 * @throws USAGE           there is no such plan or limit, or the settings would be none
 */
export async function setTenant(fleet: Fleet, tenant: TenantId, changes: TenantChanges): Promise<SetResult> {
  const plans = Object.keys(fleet.plans ?? {})
  if (changes.plan !== undefined && plans.length > 0 && !plans.includes(changes.plan)) {
    fail('USAGE', `There is no plan "${changes.plan}"; the configuration has ${plans.join(', ')}.`)
  }
  return onDirectory(fleet.directoryUrl, (directory) =>
    directory.transaction(async () => {
      const now = await lockRow(directory, tenant)
      const subject = await requireSubject(directory, tenant)
      requireChangeable(subject, changes)
      const wanted = difference(now, changes)
      if (wanted.size === 0) return { tenant, changed: [], changedAt: subject.changedAt }
      await write(directory, tenant, wanted)
      const changed = [...wanted.keys()]
      // Which keys, never their values: the log outlives the tenant.
      const entry = { operator: operatorOf(fleet), action: 'tenant.set', tenant, details: { changed } }
      await appendAudit(directory, entry)
      const { changedAt } = await requireSubject(directory, tenant)
      return { tenant, changed, changedAt }
    }),
  )
}

interface Row {
  readonly name: string
  readonly subdomain: string
  readonly plan: string
  readonly settings: TenantSettings
  readonly limits: Limits
}

async function lockRow(directory: Client, tenant: TenantId): Promise<Row> {
  const [row] = await directory.query(
    compile(sql`
      select name, subdomain, plan, settings, limits from directory.tenant where id = ${sql.value(tenant)} for update`),
  )
  const { name, subdomain, plan, settings, limits } = row ?? {}
  return {
    name: name ?? '',
    subdomain: subdomain ?? '',
    plan: plan ?? '',
    settings: JSON.parse(settings ?? '{}') as TenantSettings,
    limits: JSON.parse(limits ?? '{}') as Limits,
  }
}

function requireChangeable({ state, tenant, changedAt }: Subject, { unchangedSince }: TenantChanges): void {
  if (!['active', 'read-only', 'suspended'].includes(state)) {
    const hint = state === 'offboarded' ? `Type "shardgate tenant restore ${tenant}" first.` : undefined
    fail('REFUSED', `${tenant} is ${state}, so it cannot be changed.`, { tenant }, hint ? { hint } : {})
  }
  if (unchangedSince === undefined || unchangedSince === changedAt) return
  const hint = `Look at it again: shardgate tenant show ${tenant}. Nothing was changed.`
  fail('REFUSED', `${tenant} was changed at ${changedAt}, after ${unchangedSince}.`, { tenant }, { hint })
}

/** New values of the columns that become other ones. */
function difference(now: Row, changes: TenantChanges): Map<keyof Row, string> {
  const wanted = new Map<keyof Row, string>()
  for (const key of ['name', 'subdomain', 'plan'] as const) {
    const value = changes[key]
    if (value !== undefined && value !== now[key]) wanted.set(key, value)
  }
  const settings = tenantSettings(changedSettings(now.settings, changes))
  if (!isDeepStrictEqual(settings, now.settings)) wanted.set('settings', JSON.stringify(settings))
  const limits = changedLimits(now.limits, changes.limits ?? {})
  if (!isDeepStrictEqual(limits, now.limits)) wanted.set('limits', JSON.stringify(limits))
  return wanted
}

function changedSettings(now: TenantSettings, { settings = {}, features }: TenantChanges): TenantSettings {
  const merged = Object.entries({ ...now, ...settings }).filter(([, value]) => value !== null)
  const result: TenantSettings = Object.fromEntries(merged)
  if (!features) return result
  const kept = (result.features ?? []).filter((name) => !features.off.includes(name))
  return { ...result, features: [...new Set([...kept, ...features.on])] }
}

async function write(
  directory: Client,
  tenant: TenantId,
  wanted: ReadonlyMap<keyof Row, string>,
): Promise<void> {
  const columns = [...wanted].map(([column, value]): SQL => {
    const isJson = column === 'settings' || column === 'limits'
    const cast = isJson ? sql`::jsonb` : sql.blank
    return sql`${sql.identifier(column)} = ${sql.value(value)}${cast}`
  })
  await directory
    .query(
      compile(sql`
        update directory.tenant set ${sql.join(columns, ', ')} where id = ${sql.value(tenant)}`),
    )
    .catch((cause: unknown) => {
      if (sqlState(cause) !== '23505') throw cause
      const label = wanted.get('subdomain')
      return fail(
        'TENANT_EXISTS',
        `The subdomain "${label}" belongs to another tenant.`,
        { tenant },
        { cause },
      )
    })
}
