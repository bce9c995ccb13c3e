/**
 * Every world that can come about, breadth first, so that what breaks an invariant is told by the shortest way there.
 */

import { happenings } from './model-events.ts'
import { broken, type Invariant, isServedEnd } from './model-invariants.ts'
import { keyOf, newWorld, type Setting, type World } from './model-world.ts'

export interface Break {
  readonly invariant: Invariant | 'dead end'
  /** What happened, from the beginning. */
  readonly way: readonly string[]
  readonly world: World
}

export interface Explored {
  readonly worlds: number
  readonly events: number
  /** States of moves that came up. */
  readonly states: ReadonlySet<string>
  /** What steps did wrong that no later world may show. */
  readonly faults: ReadonlySet<string>
  /** The shortest way to each invariant that does not hold. */
  readonly breaks: readonly Break[]
}

interface Seen {
  readonly worlds: World[]
  readonly cameFrom: number[]
  readonly cameBy: string[]
  /** Pairs of worlds that lead from one to the other by what can be counted on. */
  readonly edges: number[]
}

/**
 * @param stopAt  an invariant at whose first break the search is over; without it all worlds are looked at
 * @throws RangeError  there are more than `most`
 */
export function explore(setting: Setting, stopAt?: Break['invariant'], most = 5_000_000): Explored {
  const seen: Seen = { worlds: [newWorld(setting)], cameFrom: [-1], cameBy: [''], edges: [] }
  const index = new Map([[keyOf(seen.worlds[0]!), 0]])
  const breaks = new Map<Break['invariant'], number>()
  const states = new Set<string>()
  const faults = new Set<string>()
  let events = 0
  const note = (invariant: Break['invariant'], at: number): void => {
    if (!breaks.has(invariant)) breaks.set(invariant, at)
  }
  const add = (world: World, from: number, by: string): number => {
    const key = keyOf(world)
    const known = index.get(key)
    if (known !== undefined) return known
    const at = seen.worlds.push(world) - 1
    if (at > most) throw new RangeError(`There are more than ${most} worlds.`)
    index.set(key, at)
    seen.cameFrom.push(from)
    seen.cameBy.push(by)
    return at
  }
  for (let at = 0; at < seen.worlds.length; at++) {
    const world = seen.worlds[at]!
    states.add(world.directory.state)
    if (world.fault !== null) faults.add(world.fault)
    for (const invariant of broken(world, setting)) note(invariant, at)
    if (stopAt && breaks.has(stopAt)) break
    for (const { name, world: next, isCountedOn } of happenings(world, setting)) {
      events++
      const to = add(next, at, name)
      if (isCountedOn) seen.edges.push(at, to)
    }
  }
  if (!stopAt || !breaks.has(stopAt)) {
    const dead = deadEnd(seen)
    if (dead !== undefined) note('dead end', dead)
  }
  const told = [...breaks].map(([invariant, at]) => ({
    invariant,
    way: wayTo(seen, at),
    world: seen.worlds[at]!,
  }))
  return { worlds: seen.worlds.length, events, states, faults, breaks: told }
}

/** The first world from which no end can be reached at which the tenant is served. */
function deadEnd({ worlds, edges }: Seen): number | undefined {
  const before: number[][] = worlds.map(() => [])
  for (let i = 0; i < edges.length; i += 2) before[edges[i + 1]!]!.push(edges[i]!)
  const saved = worlds.map(isServedEnd)
  const next = saved.flatMap((is, at) => (is ? [at] : []))
  for (let at = next.pop(); at !== undefined; at = next.pop()) {
    for (const one of before[at]!) {
      if (saved[one]) continue
      saved[one] = true
      next.push(one)
    }
  }
  const dead = saved.indexOf(false)
  return dead < 0 ? undefined : dead
}

function wayTo({ cameFrom, cameBy }: Seen, end: number): string[] {
  const way: string[] = []
  for (let at = end; at > 0; at = cameFrom[at]!) way.unshift(cameBy[at]!)
  return way
}
