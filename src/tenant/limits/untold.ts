/** What this gateway has accepted without Redis, which has to be told of it: by bucket of this process, and of the month. */

import { METERS, type Meter, type Pair } from './counts.ts'
import type { Question } from './redis-counts.ts'
import { BUCKET_MS, bucketOf, Window } from './window.ts'

export class Untold {
  #windows: readonly [Window, Window] | undefined
  #month: [number, number] = [0, 0]

  get isEmpty(): boolean {
    return this.#windows === undefined
  }

  add(meter: Meter, units: number, bucket: number): void {
    this.#opened(bucket)[meter].add(units)
    this.#month[meter] += units
  }

  /** All that is in `own`, which Redis has lost. What it has lost of the month stands in the ledger. */
  addLost(own: readonly [Window, Window], bucket: number): void {
    this.#windows = undefined
    const windows = this.#opened(bucket)
    for (const meter of METERS) {
      own[meter].move(bucket)
      for (const [at, units] of own[meter].filled()) windows[meter].add(units, at)
    }
  }

  /** To be sent: it is told from now on. Ages are those of the ends of buckets, so that nothing is forgotten too early. */
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
    const windows = this.#opened(bucketOf(now))
    for (const [ageMs, ...units] of told) {
      for (const meter of METERS) windows[meter].add(units[meter], bucketOf(sentAt - ageMs))
    }
    for (const meter of METERS) this.#month[meter] += toldMonth[meter]
  }

  #opened(bucket: number): readonly [Window, Window] {
    this.#windows ??= [new Window(), new Window()]
    for (const window of this.#windows) window.move(bucket)
    return this.#windows
  }
}

export type Told = Pick<Question, 'told' | 'toldMonth'>

function agesOf(windows: readonly [Window, Window], now: number): Told['told'] {
  const byBucket = new Map<number, [number, number]>()
  for (const meter of METERS) {
    windows[meter].move(bucketOf(now))
    for (const [bucket, units] of windows[meter].filled()) {
      const pair = byBucket.get(bucket) ?? [0, 0]
      pair[meter] += units
      byBucket.set(bucket, pair)
    }
  }
  return [...byBucket].map(([bucket, units]): readonly [number, ...Pair] => [
    Math.max(0, now - (bucket + 1) * BUCKET_MS),
    ...units,
  ])
}
