/**
 * Requests of a tenant that is just being moved: held for a moment, where they would be refused otherwise.
 *
 *     refused by the fence ─▶ line of the tenant ─▶ let go in the order in which they came ─▶ tried anew
 *                                    ▲
 *                    one watch (tenant-watch.ts): directory and fence, every few milliseconds
 *
 * Whoever is held holds nothing itself: no connection and no place in a pool, so that other tenants do not notice.
 * Nothing of it was done, because it was the fence that refused it. A request is known by its deadline: the time that
 * both lanes and all its batches spend here is counted together.
 */

import type { MovesConfig } from '../base/config.ts'
import { GatewayError } from '../base/errors.ts'
import type { Emit, HoldOutcome } from '../base/events.ts'
import type { TenantId } from '../base/ids.ts'
import { type Clock, type Deadline, systemClock } from '../base/time.ts'
import type { Placement } from '../directory/types.ts'
import type { Mode } from './fence.ts'
import { TenantWatch, type Turn, type WatchParts } from './tenant-watch.ts'

/** A request, as far as it matters to whom it is sent. */
export interface Asked {
  readonly tenant: TenantId
  readonly mode: Mode
  readonly deadline: Deadline
}

export type HoldLimits = Pick<MovesConfig, 'holdMs' | 'holdRequests'>

export interface BufferingParts extends Pick<WatchParts, 'reread' | 'fenceAt'> {
  readonly limits: () => HoldLimits
  readonly emit: Emit
  readonly clock?: Clock
}

interface Patience {
  /** Order in which requests came to be held. */
  readonly no: number
  /** Of the clock, in milliseconds. */
  readonly until: number
}

export class Buffering {
  readonly #parts: BufferingParts
  readonly #clock: Clock
  readonly #watches = new Map<TenantId, TenantWatch>()
  readonly #patience = new WeakMap<Deadline, Patience>()
  #arrivals = 0
  #held = 0

  constructor(parts: BufferingParts) {
    this.#parts = parts
    this.#clock = parts.clock ?? systemClock
  }

  /** Requests that are held now, of all tenants. */
  get held(): number {
    return this.#held
  }

  /** Whether requests of the tenant are in line: another one that writes has to get in behind them. */
  isHolding(tenant: TenantId): boolean {
    return this.#watches.get(tenant)?.isHolding ?? false
  }

  /**
   * Wait until the tenant can be served.
   *
   * @param known      where the request would go, or was refused
   * @param isRefused  whether it was
   * @returns where to try now; `done` is to be called when that has ended, however it did
   * @throws TENANT_MOVING  not within `holdMs` or the deadline, or as many requests are held as may be
   * @throws TENANT_UNKNOWN, TENANT_SUSPENDED  the directory says so by now
   */
  async hold({ tenant, mode, deadline }: Asked, known: Placement, isRefused: boolean): Promise<Turn> {
    const since = this.#clock.elapsed()
    const tell = (outcome: HoldOutcome): void => {
      const ms = this.#clock.elapsed() - since
      const { requestId } = deadline
      this.#parts.emit({ kind: 'request.held', requestId, tenant, shard: known.shard, mode, ms, outcome })
    }
    const { no, until } = this.#patienceOf(deadline)
    const leftMs = Math.min(until - since, deadline.remainingMs())
    const refusal = leftMs <= 0 ? LATE : this.#held >= this.#parts.limits().holdRequests ? FULL : undefined
    if (refusal) {
      tell(refusal.outcome)
      throw moving(refusal)
    }
    this.#held++
    try {
      const turn = await this.#wait({ no, mode, deadline, leftMs }, known, isRefused)
      tell('released')
      return turn
    } catch (error) {
      tell(error instanceof NotHeld ? error.outcome : 'refused')
      throw error instanceof NotHeld ? moving(error.outcome === 'gone' ? GONE : LATE) : error
    } finally {
      this.#held--
    }
  }

  #patienceOf(deadline: Deadline): Patience {
    const known = this.#patience.get(deadline)
    if (known) return known
    const until = this.#clock.elapsed() + this.#parts.limits().holdMs
    const fresh = { no: this.#arrivals++, until }
    this.#patience.set(deadline, fresh)
    return fresh
  }

  async #wait({ no, mode, deadline, leftMs }: Waiting, known: Placement, isRefused: boolean): Promise<Turn> {
    const { promise, resolve, reject } = Promise.withResolvers<Turn>()
    const watch = this.#watchOf(known.tenant)
    const held = { no, mode, go: resolve, refuse: reject }
    const timer = setTimeout(() => reject(new NotHeld('late')), leftMs)
    const stay = deadline.whenGone?.(() => reject(new NotHeld('gone')))
    watch.join(held, known, isRefused)
    try {
      return await promise
    } finally {
      watch.leave(held)
      clearTimeout(timer)
      stay?.()
    }
  }

  #watchOf(tenant: TenantId): TenantWatch {
    const running = this.#watches.get(tenant)
    if (running) return running
    const { reread, fenceAt } = this.#parts
    const onEnd = (): void => void this.#watches.delete(tenant)
    const fresh = new TenantWatch({ tenant, reread, fenceAt, onEnd, clock: this.#clock })
    this.#watches.set(tenant, fresh)
    return fresh
  }
}

interface Waiting extends Pick<Asked, 'mode' | 'deadline'> {
  readonly no: number
  readonly leftMs: number
}

interface Refusal {
  readonly outcome: HoldOutcome
  readonly sentence: string
}

const LATE: Refusal = {
  outcome: 'late',
  sentence: 'The tenant is being moved, which takes longer than a request may be held.',
}
const FULL: Refusal = {
  outcome: 'full',
  sentence: 'The tenant is being moved, and this gateway holds as many requests as it may.',
}
const GONE: Refusal = { outcome: 'gone', sentence: 'The client did not wait for the end of the move.' }

const moving = ({ sentence }: Refusal): GatewayError => new GatewayError('TENANT_MOVING', sentence)

/** A request leaves the line before its turn. */
class NotHeld extends Error {
  override readonly name = 'NotHeld'
  readonly outcome: 'late' | 'gone'

  constructor(outcome: 'late' | 'gone') {
    super(outcome)
    this.outcome = outcome
  }
}
