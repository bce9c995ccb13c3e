/**
 * Chance that can be had again: one seed for a whole run, printed, and streams that are split from it.
 *
 * `SEED=1234 npm test` repeats a run. Clients that work at the same time each take a `fork` of their
 * own: with one shared stream the order in which answers arrive would decide who draws which number,
 * and the seed would repeat nothing.
 */

import { createHash, randomInt } from 'node:crypto'

export interface Random {
  /** What `seededRandom` needs to give the same stream again. */
  readonly seed: string
  /** At least 0, below 1. */
  unit(): number
  /** A whole number from 0 up to, not including, `below`. */
  int(below: number): number
  /** True with probability `p`. */
  chance(p: number): boolean
  /** One of `list`; an empty list is an error of the test. */
  pick<T>(list: readonly T[]): T
  /** A new list in another order. */
  shuffle<T>(list: readonly T[]): T[]
  /** `length` characters, quotes, backslashes, letters beyond ASCII and characters of two UTF-16 units among them; never NUL, which Postgres refuses. */
  text(length: number): string
  bytes(length: number): Buffer
  /** A stream of its own; the same label gives the same stream, however far this one is. */
  fork(label: string): Random
}

/** The same seed gives the same values in the same order on every machine. */
export function seededRandom(seed: string | number): Random {
  const next = sfc32(String(seed))
  const unit = (): number => next() / 2 ** 32
  const int = (below: number): number => Math.floor(unit() * below)
  const pick = <T>(list: readonly T[]): T => {
    if (list.length === 0) throw new RangeError('pick: wanted a list with at least one item; it is empty')
    return list[int(list.length)]!
  }
  return {
    seed: String(seed),
    unit,
    int,
    pick,
    chance: (p) => unit() < p,
    shuffle: (list) => shuffled(list, int),
    text: (length) => Array.from({ length }, () => pick(LETTERS)).join(''),
    bytes: (length) => Buffer.from(Array.from({ length }, () => int(256))),
    fork: (label) => seededRandom(`${seed}/${label}`),
  }
}

let ofRun: Random | undefined

/** The stream of this run: from `SEED`, else fresh. The first call prints the seed. */
export function runRandom(): Random {
  if (ofRun) return ofRun
  ofRun = seededRandom(process.env.SEED || randomInt(2 ** 32))
  process.stderr.write(`SEED=${ofRun.seed} repeats this run\n`)
  return ofRun
}

const LETTERS = [...'abcdefghijklmnopqrstuvwxyzABCXYZ0123456789 _-%\'"\\/$:;,.(){}[]<>&\n\täßéЖ中🙂']

function shuffled<T>(list: readonly T[], int: (below: number) => number): T[] {
  const out = [...list]
  for (let i = out.length - 1; i > 0; i--) {
    const j = int(i + 1)
    ;[out[i], out[j]] = [out[j]!, out[i]!]
  }
  return out
}

// Chris Doty-Humphrey's sfc32 (PractRand): 128 bits of state, a few additions a number. The seed goes
// through SHA-256 so that 1 and 2 give streams that have nothing in common.
function sfc32(seed: string): () => number {
  const digest = createHash('sha256').update(seed).digest()
  let [a, b, c, count] = [0, 4, 8, 12].map((at) => digest.readUInt32LE(at)) as [
    number,
    number,
    number,
    number,
  ]
  return () => {
    const t = (((a + b) | 0) + count) | 0
    count = (count + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + t
    c |= 0
    return t >>> 0
  }
}
