/**
 * Copies of placements in this process, so that a request does not wait for the directory.
 *
 * A copy may be late, and late is safe: the shard refuses a transaction that comes with an old epoch, the
 * router then calls `refresh`, and the request goes on with what the directory says now. So the cache may
 * prefer availability: a known tenant is answered at once, however old the copy and however long the
 * directory has been down. What it never does is guess: a tenant it does not know is asked for, and if the
 * directory cannot be asked the answer is DIRECTORY_UNAVAILABLE, not "no such tenant".
 *
 * A tenant that is refused for its state is the exception: its copy is believed for a second only, and then whoever asks
 * waits for the directory. The shard would not notice that the tenant has been resumed, because it is not asked.
 *
 * Tenants that do not exist are remembered too, but briefly (somebody may be creating one now) and in a
 * bounded list of their own: a flood of invented ids must not push real tenants out.
 */

import { LRUCache } from 'lru-cache'
import { isGatewayError } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import type { TenantId } from '../base/ids.ts'
import { type Clock, systemClock } from '../base/time.ts'
import { asked } from './placements.ts'
import type { FindPlacement, Placement } from './types.ts'

export interface PlacementCacheOptions {
  /** Reads one placement from the directory. */
  readonly find: FindPlacement
  /** Reads up to `limit` placements, for `preload`. */
  readonly load?: (limit: number) => Promise<readonly Placement[]>
  /** Tenants kept, the least recently used go first. */
  readonly max: number
  /** Milliseconds after which a copy is read again, in the background. */
  readonly ttlMs: number
  /** Milliseconds for which "no such tenant" is believed. Default is 2000. */
  readonly missingMs?: number
  readonly clock?: Clock
  readonly emit?: Emit
  readonly random?: () => number
}

export interface PlacementCache {
  /**
   * A tenant's placement; null when there is no such tenant.
   *
   * @throws DIRECTORY_UNAVAILABLE  the tenant is not known here and the directory cannot be asked
   */
  find(tenant: TenantId): Promise<Placement | null>
  /**
   * Read a placement anew because a shard refused the copy. Callers that come together share one read, and
   * none of them is answered by a read that began before it called.
   *
   * @throws DIRECTORY_UNAVAILABLE  the directory cannot be asked; the copy is kept
   */
  refresh(tenant: TenantId): Promise<Placement | null>
  /**
   * Read the placements of these tenants anew, as far as they are known here. A hint: a read that fails leaves the copy
   * as it is.
   */
  renew(tenants: Iterable<TenantId>): Promise<void>
  /** Fill the cache before the first request, so that a start does not ask for tenants one by one. */
  preload(): Promise<void>
  /** Tenants known now, without those known to be missing. */
  readonly size: number
}

/** Unknown ids remembered at most. */
const MISSING_MAX = 1_000

/** Milliseconds for which a state other than 'active' is believed. */
const STATE_MS = 1_000

/** Placements that are read at once by `renew`. */
const RENEWED_AT_ONCE = 50

/** Milliseconds after a failed read during which copies are not renewed in the background. */
const PAUSE_MS = 1_000

interface Copy {
  readonly placement: Placement
  readonly readAt: number
}

interface Flight {
  readonly now: Promise<Placement | null>
  /** The read that follows `now`, for those who called while `now` was on its way already. */
  next?: Promise<Placement | null>
}

export function placementCache(options: PlacementCacheOptions): PlacementCache {
  return new Cache(options)
}

class Cache implements PlacementCache {
  readonly #options: PlacementCacheOptions
  readonly #clock: Clock
  readonly #emit: Emit
  readonly #missingMs: number
  readonly #copies: LRUCache<TenantId, Copy>
  readonly #missing: LRUCache<TenantId, number>
  readonly #flights = new Map<TenantId, Flight>()
  #failedAt: number | undefined

  constructor(options: PlacementCacheOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#emit = options.emit ?? (() => {})
    this.#missingMs = options.missingMs ?? 2_000
    this.#copies = new LRUCache({ max: options.max })
    this.#missing = new LRUCache({ max: Math.min(MISSING_MAX, options.max) })
  }

  get size(): number {
    return this.#copies.size
  }

  async find(tenant: TenantId): Promise<Placement | null> {
    const copy = this.#copies.get(tenant)
    if (copy) {
      if (this.#age(copy.readAt) < this.#lifeOf(copy)) return copy.placement
      const read = this.#renew(tenant)
      return read && isRefused(copy) ? read.catch(() => copy.placement) : copy.placement
    }
    const missingSince = this.#missing.get(tenant)
    if (missingSince !== undefined && this.#age(missingSince) < this.#missingMs) return null
    return this.#take(tenant).now
  }

  async refresh(tenant: TenantId): Promise<Placement | null> {
    const flight = this.#flights.get(tenant)
    return flight ? this.#after(tenant, flight) : this.#take(tenant).now
  }

  async renew(tenants: Iterable<TenantId>): Promise<void> {
    const known = [...tenants].filter((tenant) => {
      this.#missing.delete(tenant)
      return this.#copies.has(tenant)
    })
    for (let i = 0; i < known.length; i += RENEWED_AT_ONCE) {
      const reads = known.slice(i, i + RENEWED_AT_ONCE).map((tenant) => this.refresh(tenant))
      await Promise.allSettled(reads)
    }
  }

  async preload(): Promise<void> {
    const { load, max, ttlMs, random = Math.random } = this.#options
    if (!load) return
    const placements = await this.#noticed(() => load(max))
    for (const placement of placements.toReversed()) {
      if (this.#copies.has(placement.tenant)) continue
      // Ages are spread over one lifetime; equal ones would all be read again in the same second.
      const readAt = this.#clock.elapsed() - random() * ttlMs
      this.#copies.set(placement.tenant, { placement, readAt })
    }
  }

  #lifeOf({ placement }: Copy): number {
    return placement.state === 'active' ? this.#options.ttlMs : Math.min(STATE_MS, this.#options.ttlMs)
  }

  // Mostly nobody waits for this read, so its failure is only noticed. While the directory is down there is one
  // attempt a pause, not one a request.
  #renew(tenant: TenantId): Promise<Placement | null> | undefined {
    const flight = this.#flights.get(tenant)
    if (flight) return flight.now
    if (this.#failedAt !== undefined && this.#age(this.#failedAt) < PAUSE_MS) return undefined
    const { now } = this.#take(tenant)
    now.catch(() => {})
    return now
  }

  #after(tenant: TenantId, flight: Flight): Promise<Placement | null> {
    flight.next ??= flight.now.then(
      () => this.#take(tenant).now,
      () => this.#take(tenant).now,
    )
    return flight.next
  }

  // At most one read per tenant is on its way, so answers arrive in the order in which they were asked and
  // an older one never replaces a newer one.
  #take(tenant: TenantId): Flight {
    const running = this.#flights.get(tenant)
    if (running) return running
    const now = this.#noticed(() => this.#options.find(tenant))
      .then((placement) => this.#keep(tenant, placement))
      .finally(() => this.#flights.delete(tenant))
    const flight: Flight = { now }
    this.#flights.set(tenant, flight)
    return flight
  }

  #keep(tenant: TenantId, placement: Placement | null): Placement | null {
    if (placement) {
      this.#tellChange(placement)
      this.#copies.set(tenant, { placement, readAt: this.#clock.elapsed() })
      this.#missing.delete(tenant)
    } else {
      this.#copies.delete(tenant)
      this.#missing.set(tenant, this.#clock.elapsed())
    }
    return placement
  }

  #tellChange({ tenant, shard, isolation, epoch }: Placement): void {
    const before = this.#copies.peek(tenant)?.placement
    if (!before || before.epoch === epoch) return
    this.#emit({ kind: 'placement.changed', tenant, shard, isolation, epoch })
  }

  async #noticed<T>(read: () => Promise<T>): Promise<T> {
    try {
      const answer = await asked(read)
      if (this.#failedAt !== undefined) this.#emit({ kind: 'directory.up' })
      this.#failedAt = undefined
      return answer
    } catch (error) {
      if (this.#failedAt === undefined) this.#emit({ kind: 'directory.down', reason: reasonOf(error) })
      this.#failedAt = this.#clock.elapsed()
      throw error
    }
  }

  #age(since: number): number {
    return this.#clock.elapsed() - since
  }
}

/** Whether routers refuse the tenant without asking its shard. */
function isRefused({ placement: { state } }: Copy): boolean {
  return state === 'suspended' || state === 'offboarded'
}

function reasonOf(error: unknown): string {
  const cause = isGatewayError(error) && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message : String(cause)
}
