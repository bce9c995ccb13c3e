/**
 * This gateway's share of a limit while there is no Redis to ask: the limit divided by the gateways, as they were known
 * last.
 *
 * For the first minute it knows more: how much of the limit was left when Redis spoke last. Each gateway takes an equal
 * part of that and no more, so that all of them together stay within the limit also where some had used much more of it
 * than others; but for what was taken since Redis spoke, in the last lease of each.
 */

import { type Meter, type Pair, pair } from './counts.ts'
import { COUNTED, type Window } from './window.ts'

export class Share {
  readonly #gateways: () => number
  /** Units of this gateway that the last answer of Redis allows for. */
  #known: Pair = [0, 0]
  #knownUntil = 0

  constructor(gateways: () => number) {
    this.#gateways = gateways
  }

  /**
   * Redis has spoken.
   *
   * @param own     what this gateway has accepted
   * @param left    what is left for all
   * @param leased  what is this gateway's besides
   */
  learn(own: readonly [Window, Window], left: Pair, leased: Pair, slice: number): void {
    const gateways = this.#gateways()
    this.#known = pair((meter) => own[meter].sum + leased[meter] + left[meter] / gateways)
    this.#knownUntil = slice + COUNTED
  }

  /** Units in a window, at least one: a limit that is smaller than the number of gateways must not shut anybody out. */
  of(meter: Meter, limit: number, slice: number): number {
    const even = Math.max(1, Math.floor(limit / this.#gateways()))
    return slice < this.#knownUntil ? Math.min(even, Math.floor(this.#known[meter])) : even
  }
}
