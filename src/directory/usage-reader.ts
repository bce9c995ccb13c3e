/** What a running gateway reads of the ledger: for operators as they ask, for tenants from a copy that is seconds old. */

import { LRUCache } from 'lru-cache'
import { fail } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'
import { deadlineIn } from '../base/time.ts'
import { withClient } from '../db/client.ts'
import { Pool } from '../db/pool.ts'
import { asked } from './placements.ts'
import { findTenant } from './tenants.ts'
import type { Grain, Span } from './usage-periods.ts'
import {
  type Figures,
  figuresFrom,
  figuresStatement,
  readStorage,
  readUsage,
  type StoredTable,
  type TenantUsage,
} from './usage-reports.ts'

/**
 * What a tenant has used, and what it holds.
 *
 * @throws TENANT_UNKNOWN, DIRECTORY_UNAVAILABLE
 */
export function usageOf(
  url: string,
  { tenant, ...question }: { readonly tenant: TenantId; readonly span: Span; readonly by: Grain },
): Promise<TenantUsage & { readonly storage: readonly StoredTable[] }> {
  return asked(() =>
    withClient(url, async (client) => {
      const isKnown = (await findTenant(client, tenant)) !== null
      const used = isKnown && (await readUsage(client, tenant, question))
      return used && { ...used, storage: await readStorage(client, tenant) }
    }),
  ).then((found) => found || fail('TENANT_UNKNOWN', `There is no tenant "${tenant}".`, { tenant }))
}

export interface OwnUsage {
  /** Figures of a tenant in a span, some seconds old. Throws DIRECTORY_UNAVAILABLE. */
  of(tenant: TenantId, span: Span): Promise<Figures>
  end(): void
}

/** Tenants and spans that are kept. */
const KEPT_MAX = 10_000
/** Milliseconds for which they are: as long as figures are late anyway. */
const KEPT_MS = 5_000
const READ_MS = 2_000

/** On a connection of its own: tenants that look at their figures are not in the way of placements. */
export function ownUsage(url: string): OwnUsage {
  const pool = new Pool({
    url,
    connectMs: READ_MS,
    applicationName: 'shardgate usage of tenants',
    shared: 1,
    depth: 16,
    exclusive: 1,
    waiting: 1_000,
    onConnect: async () => {},
    onDestroyed: () => {},
  })
  const known = new LRUCache<string, Promise<Figures>>({ max: KEPT_MAX, ttl: KEPT_MS })
  const read = (tenant: TenantId, span: Span): Promise<Figures> =>
    asked(async () => {
      const [result] = await pool.batch([figuresStatement(tenant, span)], deadlineIn(READ_MS))
      return figuresFrom(result?.rows[0]?.[0])
    })
  return {
    of(tenant, span) {
      const key = `${tenant} ${span.from} ${span.to}`
      const found = known.get(key)
      if (found) return found
      const fresh = read(tenant, span)
      known.set(key, fresh)
      fresh.catch(() => known.delete(key))
      return fresh
    },
    end: () => pool.end(),
  }
}
