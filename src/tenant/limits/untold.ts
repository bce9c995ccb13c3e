/** What this gateway has accepted without Redis, which has to be told of it: by slice of this process, and of the month. */

import { METERS, type Meter, type Pair } from './counts.ts'
import type { Question } from './redis-counts.ts'
import { SLICE_MS, sliceOf, Window } from './window.ts'

export class Untold {
  #windows: readonly [Window, Window] | undefined
  #month: [number, number] = [0, 0]

  get isEmpty(): boolean {
    return this.#windows === undefined
  }

  add(meter: Meter, units: number, slice: number): void {
    this.#opened(slice)[meter].add(units)
    this.#month[meter] += units
  }

  /** All that is in `own`, which Redis has lost. What it has lost of the month stands in the ledger. */
  addLost(own: readonly [Window, Window], slice: number): void {
    this.#windows = undefined
    const windows = this.#opened(slice)
    for (const meter of METERS) {
      own[meter].move(slice)
      for (const [at, units] of own[meter].filled()) windows[meter].add(units, at)
    }
  }

  /** To be sent: it is told from now on. Ages are those of the ends of slices, so that nothing is forgotten too early. */
  take(now: number): Told {
    const windows = this.#windows
    const told = { told: windows ? agesOf(windows, now) : [], toldMonth: this.#month }
    this.#windows = undefined
    this.#month = [0, 0]
    return told
  }

  /** It was sent, and perhaps not heard: it is told again. What is told twice counts twice, which is on the safe side. */
  takeBack({ told, toldMonth }: Told, sentAt: number, now: number): void {
    if (told.length === 0 && toldMonth.every((units) => units === 0)) return
    const windows = this.#opened(sliceOf(now))
    for (const [ageMs, ...units] of told) {
      for (const meter of METERS) windows[meter].add(units[meter], sliceOf(sentAt - ageMs))
    }
    for (const meter of METERS) this.#month[meter] += toldMonth[meter]
  }

  #opened(slice: number): readonly [Window, Window] {
    this.#windows ??= [new Window(), new Window()]
    for (const window of this.#windows) window.move(slice)
    return this.#windows
  }
}

export type Told = Pick<Question, 'told' | 'toldMonth'>

function agesOf(windows: readonly [Window, Window], now: number): Told['told'] {
  const bySlice = new Map<number, [number, number]>()
  for (const meter of METERS) {
    windows[meter].move(sliceOf(now))
    for (const [slice, units] of windows[meter].filled()) {
      const pair = bySlice.get(slice) ?? [0, 0]
      pair[meter] += units
      bySlice.set(slice, pair)
    }
  }
  return [...bySlice].map(([slice, units]): readonly [number, ...Pair] => [
    Math.max(0, now - (slice + 1) * SLICE_MS),
    ...units,
  ])
}
