/** What clients do in the model, through gateways that may believe whatever was ever published. */

import {
  acknowledged,
  admits,
  bitOf,
  type Home,
  pair,
  type Setting,
  type World,
  type Write,
} from './model-world.ts'

export interface Happening {
  readonly name: string
  readonly world: World
  /** Whether a fleet in which somebody runs moves can count on it: whoever lost the move is never counted on. */
  readonly isCountedOn: boolean
}

export const counted = (name: string, world: World): Happening => ({ name, world, isCountedOn: true })
export const chance = (name: string, world: World): Happening => ({ name, world, isCountedOn: false })

/** Writes are alike: they begin in one order. Each may come from a gateway that believes anything ever published. */
export function writeEvents(world: World, setting: Setting): Happening[] {
  const first = world.writes.indexOf('waiting')
  const homes = new Set(
    world.published.filter((one) => admits(world, setting, one, 'write')).map(({ home }) => home),
  )
  const begun =
    first < 0
      ? []
      : [...homes].map((home) => chance(`a write begins at ${home}`, written(world, first, home)))
  const ended = world.writes.flatMap((write, i) =>
    typeof write === 'number'
      ? [
          counted('a write ends', kept(world, i, write)),
          counted('a write is given up', written(world, i, 'given up')),
        ]
      : [],
  )
  return [...begun, ...ended]
}

const written = (world: World, at: number, write: Write): World => ({
  ...world,
  writes: world.writes.map((one, i) => (i === at ? write : one)),
})

/** Committed: in the rows, in what followers are told, and acknowledged. */
function kept(world: World, i: number, home: Home): World {
  const { move } = world.directory
  const bit = bitOf(i)
  const rows = pair(world.rows, home, world.rows[home] | bit)
  const forward = world.forward && home === move.from ? [...world.forward, bit] : world.forward
  const back = world.back && home === move.to ? [...world.back, bit] : world.back
  return written({ ...world, rows, forward, back }, i, 'acknowledged')
}

export function readEvents(world: World, setting: Setting): Happening[] {
  if (world.reader) return [counted('a read ends', { ...world, reader: null })]
  const wanted = acknowledged(world)
  if (wanted === 0) return []
  const homes = new Set(
    world.published.filter((one) => admits(world, setting, one, 'read')).map(({ home }) => home),
  )
  return [...homes].map((home) => chance(`a read begins at ${home}`, { ...world, reader: { home, wanted } }))
}
