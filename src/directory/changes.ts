/**
 * Looking every second at what has changed in the directory, so that this gateway's copies of placements are not late
 * by more than that: a tenant that is suspended, resumed, renamed or moved.
 *
 * Only a hint. A look that fails is not told, and one that is missed does no harm: copies have an age at which they are
 * read again anyway, and a shard refuses what comes with an old one.
 */

import type { TenantId } from '../base/ids.ts'
import { type Clock, systemClock } from '../base/time.ts'

export interface ChangesOptions {
  /** Tenants that have changed in the last `ms` milliseconds, each with a mark of its last change. */
  readonly changed: (ms: number) => Promise<ReadonlyMap<TenantId, string>>
  /** Reads the copies of these tenants anew. */
  readonly renew: (tenants: readonly TenantId[]) => Promise<void>
  readonly clock?: Clock
}

export interface Changes {
  /** Look now, unless the last look is still under way or the directory was away a moment ago. Never rejects. */
  look(): Promise<void>
  /** Stop looking. */
  end(): void
}

/** Milliseconds between two looks. */
const LOOK_MS = 1_000
/** Milliseconds that a look goes back further than the last one: a change is seen when its transaction has ended. */
const OVERLAP_MS = 5_000
/** Milliseconds without a look after one that failed; twice as many after each further one, up to the second number. */
const [PAUSE_MS, PAUSE_MAX_MS] = [1_000, 15_000]

export function watchChanges({ changed, renew, clock = systemClock }: ChangesOptions): Changes {
  /** Marks of the last look: the same change is seen several times. */
  let seen: ReadonlyMap<TenantId, string> = new Map()
  let lookedAt = clock.elapsed()
  let pausedUntil = lookedAt
  let failures = 0
  let isLooking = false

  async function lookNow(): Promise<void> {
    const startedAt = clock.elapsed()
    const found = await changed(Math.ceil(startedAt - lookedAt) + OVERLAP_MS)
    const fresh = [...found].filter(([tenant, mark]) => seen.get(tenant) !== mark)
    lookedAt = startedAt
    seen = found
    failures = 0
    await renew(fresh.map(([tenant]) => tenant))
  }

  async function look(): Promise<void> {
    if (isLooking || clock.elapsed() < pausedUntil) return
    isLooking = true
    try {
      await lookNow()
    } catch {
      pausedUntil = clock.elapsed() + Math.min(PAUSE_MS * 2 ** failures++, PAUSE_MAX_MS)
    } finally {
      isLooking = false
    }
  }

  const timer = setInterval(look, LOOK_MS).unref()
  return { look, end: () => clearInterval(timer) }
}
