/**
 * The watch over one tenant that is just being moved, and the line of its requests that wait for the end of that.
 *
 * Directory and fence are asked side by side, so that one that hangs does not hide the other: with the directory away
 * the fence alone says when the tenant may write again. A placement that has changed is followed at once.
 */

import { isGatewayError } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'
import { type Clock, sleep } from '../base/time.ts'
import type { Placement } from '../directory/types.ts'
import { isUnreachable } from './failures.ts'
import { type Fence, type Mode, openingsOf } from './fence.ts'
import { isAnother } from './router.ts'

/** A request in line. */
export interface Held {
  /** Order in which requests came. */
  readonly no: number
  readonly mode: Mode
  go(turn: Turn): void
  refuse(error: unknown): void
}

export interface Turn {
  readonly placement: Placement
  done(): void
}

export interface WatchParts {
  readonly tenant: TenantId
  /** Reads the placement past all copies. Throws as `Router.find`. */
  readonly reread: (tenant: TenantId) => Promise<Placement>
  /** What the fence says now where a placement points to; null where it does not know the tenant. */
  readonly fenceAt: (placement: Placement) => Promise<Fence | null>
  /** Nobody is in line any more, and the watch has ended. */
  readonly onEnd: () => void
  readonly clock: Clock
}

/** Milliseconds between two looks, at least: what a look costs servers and gateway is less than one request does. */
const PAUSE_MS = 2
/** Whoever has waited for long may wait a little longer: 2 % more, up to so many milliseconds. */
const [PAUSE_SHARE, PAUSE_MAX_MS] = [0.02, 25]
/**
 * Requests that are let go at a time; the next go as these end, or after the next look. A thousand at once would stand
 * in front of all other tenants of the shard.
 */
const AT_ONCE = 16

export class TenantWatch {
  readonly #parts: WatchParts
  readonly #line: Held[] = []
  #placement: Placement | undefined
  #isOpen: Record<Mode, boolean> = { read: false, write: false }
  /** Let go since the last look, and not ended yet. */
  #onTheirWay = 0
  #isWatching = false
  #since = 0

  constructor(parts: WatchParts) {
    this.#parts = parts
  }

  get isHolding(): boolean {
    return this.#line.length > 0
  }

  /** @param isRefused  whether the fence at `known` has just refused the request */
  join(held: Held, known: Placement, isRefused: boolean): void {
    const behind = this.#line.findLastIndex(({ no }) => no < held.no)
    this.#line.splice(behind + 1, 0, held)
    if (isRefused) this.#isOpen = { read: this.#isOpen.read && held.mode === 'write', write: false }
    if (!this.#isWatching) this.#watch(known)
  }

  leave(held: Held): void {
    const place = this.#line.indexOf(held)
    if (place >= 0) this.#line.splice(place, 1)
  }

  async #watch(known: Placement): Promise<void> {
    this.#isWatching = true
    this.#since = this.#parts.clock.elapsed()
    this.#follow(known)
    while (this.isHolding) {
      await this.#readPlacement()
      await this.#pause()
    }
    this.#placement = undefined
    this.#isWatching = false
    this.#parts.onEnd()
  }

  async #readPlacement(): Promise<void> {
    try {
      this.#follow(await this.#parts.reread(this.#parts.tenant))
    } catch (error) {
      if (isGatewayError(error, 'DIRECTORY_UNAVAILABLE')) return
      for (const held of this.#line.splice(0)) held.refuse(error)
    }
  }

  #follow(placement: Placement): void {
    if (this.#placement && !isAnother(placement, this.#placement)) return
    this.#placement = placement
    this.#isOpen = { read: false, write: false }
    this.#watchFence(placement)
  }

  async #watchFence(placement: Placement): Promise<void> {
    while (this.#placement === placement) {
      const openings = this.isHolding ? await this.#openingsAt(placement) : undefined
      if (this.#placement !== placement) return
      if (openings) this.#isOpen = openings
      this.#onTheirWay = 0
      this.#letGo()
      await this.#pause()
    }
  }

  async #openingsAt(placement: Placement): Promise<Record<Mode, boolean> | undefined> {
    try {
      return openingsOf(placement, await this.#parts.fenceAt(placement))
    } catch (error) {
      // A shard that is away is met by the requests themselves, which say so better than we could.
      return isUnreachable(error) ? { read: true, write: true } : undefined
    }
  }

  #letGo(): void {
    const placement = this.#placement
    if (!placement) return
    for (const held of this.#line.filter(({ mode }) => this.#isOpen[mode])) {
      if (this.#onTheirWay >= AT_ONCE) return
      this.#onTheirWay++
      this.leave(held)
      held.go({ placement, done: () => this.#ended() })
    }
  }

  #ended(): void {
    this.#onTheirWay = Math.max(0, this.#onTheirWay - 1)
    this.#letGo()
  }

  #pause(): Promise<void> {
    const waited = this.#parts.clock.elapsed() - this.#since
    const ms = this.#isOpen.write ? PAUSE_MS : Math.min(waited * PAUSE_SHARE, PAUSE_MAX_MS)
    return sleep(Math.max(PAUSE_MS, ms))
  }
}
