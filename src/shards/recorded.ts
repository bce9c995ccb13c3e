/**
 * Which structure the directory says each place has, as this gateway last read it. Read whole at the start and every
 * minute, and in between every second as far as it has changed.
 */

import { sleep } from '../base/time.ts'
import type { RecordedTarget, Structures } from '../directory/structures.ts'
import type { TargetKey } from '../directory/targets.ts'

export type ReadStructures = (since: string | null) => Promise<Structures>

/** Milliseconds between two looks at what has changed. */
const LOOK_MS = 1_000
/** Milliseconds that whoever looks for a place waits for the directory, which may be away. */
const LOOK_FOR_MS = 250
/** Looks of which one reads everything. */
const WHOLE_EVERY = 60

/** @param isChange  whether it has changed lately; not so where everything is read */
type TellRead = (place: RecordedTarget, isChange: boolean) => void

export interface Recorded {
  /** Fingerprint of a structure; null when nothing is written down of the place. */
  of(place: TargetKey): string | null
  /** Whether some place has this structure, so that migrations have made it. */
  has(structure: string): boolean
  /** Read what has changed, now. Never rejects: a directory that is away changes nothing. */
  look(): Promise<void>
  /** Read what has changed if nothing is known of a place, which may have been made a moment ago. Never rejects either. */
  lookFor(place: TargetKey): Promise<void>
  /** Call `tell` for each place that has been read anew, changed or not. */
  onRead(tell: TellRead): void
  end(): void
}

export const placeKey = ({ shard, isolation, namespace }: TargetKey): string =>
  `${shard} ${isolation} ${namespace}`

/** Nothing is known, and nothing is looked for. */
export const NOTHING_RECORDED: Recorded = Object.freeze({
  of: () => null,
  has: () => false,
  look: async () => {},
  lookFor: async () => {},
  onRead: () => {},
  end: () => {},
})

/** Reads everything before it resolves, where the directory can be asked. */
export async function watchRecorded(read: ReadStructures): Promise<Recorded> {
  let known = new Map<string, string | null>()
  let since: string | null = null
  let looks = 0
  let tell: TellRead = () => {}
  let running: Promise<void> | undefined

  function take(targets: readonly RecordedTarget[], isWhole: boolean): void {
    if (isWhole) known = new Map()
    for (const target of targets) known.set(placeKey(target), target.structure)
    for (const target of targets) tell(target, !isWhole)
  }

  async function lookNow(): Promise<void> {
    const isWhole = since === null || looks % WHOLE_EVERY === 0
    const { targets, at } = await read(isWhole ? null : since)
    looks++
    since = at
    take(targets, isWhole)
  }

  function look(): Promise<void> {
    running ??= lookNow()
      .catch(() => {})
      .finally(() => {
        running = undefined
      })
    return running
  }

  async function lookFor(place: TargetKey): Promise<void> {
    const key = placeKey(place)
    // A reading that is under way may have begun before the place was written down.
    if (!known.has(key) && running) await Promise.race([running, sleep(LOOK_FOR_MS)])
    if (!known.has(key)) await Promise.race([look(), sleep(LOOK_FOR_MS)])
  }

  await look()
  const timer = setInterval(look, LOOK_MS).unref()
  return {
    of: (place) => known.get(placeKey(place)) ?? null,
    has: (structure) => [...known.values()].includes(structure),
    look,
    lookFor,
    onRead(listener) {
      tell = listener
    },
    end: () => clearInterval(timer),
  }
}
