/** What has to hold in every world of the model, numbered as in docs/moves.md. */

import { ENDED, type MoveState } from '../../../src/control/move/states.ts'
import { acknowledged, admits, type Setting, type World } from './model-world.ts'

export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7'

type Check = (world: World, setting: Setting) => boolean

/** The sentence is the claim; the check says whether it holds. */
export const INVARIANTS: Readonly<Record<Invariant, Check>> = {
  /** At most one home takes writes, and epochs only rise. */
  I1: (world, setting) =>
    writable(world, setting) <= 1 && risesOnly(world) && world.fault !== 'an epoch is drawn twice',
  /** Every acknowledged write is where the directory says that the tenant is. */
  I2: (world) => holds(world.rows[world.directory.home], acknowledged(world)),
  /** At the commit point both homes hold the same, and until the new one is opened. */
  I3: (world) => !isBetween(world) || world.rows[0] === world.rows[1],
  /** At an end one home serves, the other holds nothing and admits nobody, and no slot is left. */
  I4: (world) => !ENDED.includes(world.directory.state) || isClean(world),
  /** Nothing is ever removed from the home that the directory points at. */
  I5: ({ fault }) => !fault?.includes('removes') && !fault?.includes('removing'),
  /** No read shows less than what was acknowledged before it began. */
  I6: ({ reader, rows }) => !reader || holds(rows[reader.home], reader.wanted),
  /** Writes are held only while the directory says so: whoever takes over knows what to open. */
  I7: (world) => !isHeld(world) || HOLDING.includes(world.directory.state),
}

export function broken(world: World, setting: Setting): Invariant[] {
  return (Object.keys(INVARIANTS) as Invariant[]).filter((name) => !INVARIANTS[name](world, setting))
}

const holds = (rows: number, wanted: number): boolean => (rows & wanted) === wanted

/** Homes in which somebody writes or could begin to. */
function writable(world: World, setting: Setting): number {
  const open = world.published.filter((one) => admits(world, setting, one, 'write')).map(({ home }) => home)
  return new Set([...open, ...world.writes.filter((write) => typeof write === 'number')]).size
}

function risesOnly({ published }: World): boolean {
  return published.every(({ epoch }, i) => i === 0 || epoch > published[i - 1]!.epoch)
}

function isBetween({ directory: { state, home, epoch }, fences }: World): boolean {
  if (state !== 'relocated' && state !== 'returned') return false
  const fence = fences[home]
  return fence.state === 'frozen' && fence.epoch <= epoch
}

function isClean({ directory: { home, epoch }, fences, rows, forward, back }: World): boolean {
  const away = home === 0 ? 1 : 0
  const serves = fences[home].state === 'active' && fences[home].epoch === epoch
  const shuts = fences[away] === fences[home] || ['none', 'moved'].includes(fences[away].state)
  return serves && shuts && rows[away] === 0 && forward === null && back === null
}

const HOLDING: readonly MoveState[] = ['frozen', 'relocated', 'return-frozen', 'returned']

const isHeld = ({ directory: { home }, fences }: World): boolean => fences[home].state !== 'active'

/** An end at which the tenant is served: what every world has to have a way to. */
export function isServedEnd(world: World): boolean {
  return ENDED.includes(world.directory.state) && !isHeld(world)
}
