/**
 * Random choices that are the same on every machine and in every year: integer arithmetic alone, no clock,
 * no locale, and no Math.random or Math.log, whose results a JavaScript engine may choose.
 *
 * Each row draws from a stream of its own, named after the row. So a new column, a new table or another
 * number of tenants changes no row that it does not touch.
 */

export interface Random {
  /** A whole number from 0 to `n` - 1. */
  below(n: number): number
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number
  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean
  pick<T>(items: readonly T[]): T
}

/** The stream named by `parts`: equal parts, equal choices. */
export function randomFor(...parts: readonly (string | number)[]): Random {
  const next = mulberry32(hash32(parts.join('/')))
  const below = (n: number): number => Math.floor((next() / 0x1_0000_0000) * n)
  return {
    below,
    between: (low, high) => low + below(high - low + 1),
    chance: (percent) => below(100) < percent,
    pick: <T>(items: readonly T[]): T => items[below(items.length)] as T,
  }
}

/** A version 4 uuid, in lower case. */
export function uuidFor(...parts: readonly (string | number)[]): string {
  const random = randomFor('uuid', ...parts)
  const hex = (digits: number): string =>
    Array.from({ length: digits }, () => random.below(16).toString(16)).join('')
  return `${hex(8)}-${hex(4)}-4${hex(3)}-${'89ab'[random.below(4)]}${hex(3)}-${hex(12)}`
}

// mulberry32 by Tommy Ettinger (public domain): 32 bits of state are enough, as a stream gives one row.
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
}

// FNV-1a over UTF-16 units, then the finisher of MurmurHash3: without it neighbouring row numbers start
// neighbouring streams, and the first choice of one row would tell that of the next.
function hash32(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
