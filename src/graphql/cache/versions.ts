/**
 * When what answers hang on has changed last: one clock that ticks with each change, and the tick of each name's last one.
 *
 *     tick 7: a read begins      tick 8: a write of its row has ended      the read ends: as of 7, changed at 8, not kept
 *
 * A read takes the tick before it begins. Versions of what it reads would do as well, but which rows those are is
 * known only when they are there. What is forgotten counts as changed: that costs an answer, and is never wrong.
 */

import { LRUCache } from 'lru-cache'

/** Names remembered: some 15 MB. */
const NAMES_MAX = 100_000

export class Versions {
  #tick = 0
  /** Whatever is not known otherwise may have changed then. */
  #floor = 0
  readonly #changed: LRUCache<string, number>
  readonly #held = new Map<string, number>()

  constructor(max = NAMES_MAX) {
    this.#changed = new LRUCache<string, number>({
      max,
      dispose: (tick, _name, reason) => {
        if (reason === 'evict') this.#floor = Math.max(this.#floor, tick)
      },
    })
  }

  get now(): number {
    return this.#tick
  }

  change(names: readonly string[]): void {
    this.#tick++
    for (const name of names) this.#changed.set(name, this.#tick)
  }

  /** Anything may have changed. */
  changeAll(): void {
    this.#floor = ++this.#tick
  }

  /**
   * A name may change at any moment from now on: nothing is as of any tick.
   *
   * @returns what ends that, once
   */
  hold(name: string): () => void {
    this.#held.set(name, (this.#held.get(name) ?? 0) + 1)
    return () => {
      const left = (this.#held.get(name) ?? 1) - 1
      if (left > 0) this.#held.set(name, left)
      else this.#held.delete(name)
    }
  }

  /** Whether none of `names` has changed after `tick`. */
  areAsOf(names: readonly string[], tick: number): boolean {
    if (this.#floor > tick) return false
    for (const name of names) {
      // Not `get`: it would count as used, and what is thrown away first must be what has changed first.
      if ((this.#changed.peek(name) ?? 0) > tick || this.#held.has(name)) return false
    }
    return true
  }
}
