/**
 * What the directory knows: tenants, and where each one is.
 *
 * The directory database is the authority; every gateway holds copies, and a copy may be late. Late
 * is safe: each change of placement raises `epoch`, and the shard itself refuses a transaction that
 * comes with an older one (shards/sql, `begin_tenant`).
 *
 *     tenant ──(own row wins)──▶ placement row ─┐
 *        └──────▶ bucket ──────▶ bucket row ────┴──▶ Placement { shard, isolation, namespace, epoch }
 */

import type { Limits } from '../base/config-limits.ts'
import type { TenantId } from '../base/ids.ts'

/**
 * `offboarded` is the quarantine before the purge: refused like a suspended tenant, and restorable. Routers never see
 * tenants that are being created or purged.
 */
export type TenantState = 'active' | 'read-only' | 'suspended' | 'offboarded'

export interface Tenant {
  readonly id: TenantId
  readonly name: string
  /** Lower-case host label under `http.baseDomain`. */
  readonly subdomain: string
  readonly plan: string
  readonly state: TenantState
  readonly createdAt: string // Postgres text of a timestamptz
}

/** How a tenant is kept on its shard: rows in shared tables, a schema of its own, a database of its own. */
export type Isolation = 'shared' | 'schema' | 'database'

export const ISOLATIONS: readonly Isolation[] = ['shared', 'schema', 'database']

/** What a tenant's own frontend may know of it, and extensions too. */
export interface TenantSettings {
  readonly branding?: Readonly<Record<string, unknown>>
  /** Names of what is switched on for it. */
  readonly features?: readonly string[]
  readonly [key: string]: unknown
}

export interface Placement {
  readonly tenant: TenantId
  /** A key of `shards` in the configuration. */
  readonly shard: string
  readonly isolation: Isolation
  /** Schema that holds the tables; for a database of the tenant's own its name. */
  readonly namespace: string
  readonly state: TenantState
  /** Raised by one at each change of placement; a late router is refused by the shard. */
  readonly epoch: number
  readonly subdomain: string
  readonly name: string
  readonly plan: string
  readonly settings: TenantSettings
  /** Its own, over those of its plan. */
  readonly limits: Limits
}

/** Read a placement; null when there is no such tenant. Throws DIRECTORY_UNAVAILABLE. */
export type FindPlacement = (tenant: TenantId) => Promise<Placement | null>
