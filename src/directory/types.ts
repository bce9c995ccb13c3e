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

import type { TenantId } from '../base/ids.ts'

export type TenantState = 'active' | 'suspended'

export interface Tenant {
  readonly id: TenantId
  readonly name: string
  /** Lower-case host label under `http.baseDomain`. */
  readonly subdomain: string
  readonly plan: string
  readonly state: TenantState
  readonly createdAt: string // Postgres text of a timestamptz
}

export type Isolation = 'shared'

export interface Placement {
  readonly tenant: TenantId
  /** A key of `shards` in the configuration. */
  readonly shard: string
  readonly isolation: Isolation
  /** Schema that holds the tables. */
  readonly namespace: string
  readonly state: TenantState
  /** Raised by one at each change of placement; a late router is refused by the shard. */
  readonly epoch: number
  readonly subdomain: string
}

/** Read a placement; null when there is no such tenant. Throws DIRECTORY_UNAVAILABLE. */
export type FindPlacement = (tenant: TenantId) => Promise<Placement | null>
