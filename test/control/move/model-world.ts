/**
 * The world of the model: one tenant, two homes, the directory, gateways, and runners of the move, as plain data.
 *
 * A write is a bit; a home's rows are a set of bits. Whatever a gateway may believe of the tenant's place, it may
 * believe for ever: each placement that was ever published can be tried by each request. A runner that is not taken
 * further is one that was killed or stopped; its sessions stay open until somebody ends them, and a statement that it
 * has sent may come true at any later moment.
 */

import type { MoveState } from '../../../src/control/move/states.ts'

/** The number of a home; the first move goes from 0 to 1. */
export type Home = 0 | 1

export interface Placement {
  readonly home: Home
  readonly epoch: number
}

export interface Fence {
  readonly state: 'none' | 'active' | 'frozen' | 'moved'
  readonly epoch: number
}

/** What is written down of a move with its claim. */
export interface Move {
  readonly from: Home
  readonly to: Home
  readonly fromEpoch: number
  readonly toEpoch: number
  /** Epoch of the way back; 0 while nobody wants it. */
  readonly backEpoch: number
}

export interface Directory extends Placement {
  readonly state: MoveState
  readonly token: number
  readonly move: Move
  /** Highest epoch that was ever drawn for the tenant. */
  readonly drawn: number
  /** How often this move was claimed, how many moves and ways back have begun: the bounds count them. */
  readonly claims: number
  readonly moves: number
  readonly returns: number
}

/** Changes that are kept for a follower, oldest first: bits of writes, and MARK. */
export type Stream = readonly number[]
export const MARK = 0

export type Session = 'none' | 'unasked' | 'asked' | 'open' | 'ending' | 'ended'

export interface Runner {
  readonly token: number
  /** As the directory said when it was last asked. */
  readonly move: Move
  /** The state that it works on, and how far it is in it. */
  readonly state: MoveState
  readonly step: number
  /** It opens again what the freeze has closed. */
  readonly givesUp: boolean
  /** Rows of the moment of its slot. */
  readonly snapshot: number
  readonly sessions: readonly [Session, Session]
}

export type Write = 'waiting' | Home | 'acknowledged' | 'given up'

export interface World {
  readonly directory: Directory
  /** What the directory has ever shown to gateways. */
  readonly published: readonly Placement[]
  readonly fences: readonly [Fence, Fence]
  readonly rows: readonly [number, number]
  readonly forward: Stream | null
  readonly back: Stream | null
  readonly writes: readonly Write[]
  /** A read under way: where it is, and the writes that were acknowledged when it began. */
  readonly reader: { readonly home: Home; readonly wanted: number } | null
  readonly runners: readonly Runner[]
  /** What a step did that no state shows any more. */
  readonly fault: string | null
}

/** Careful everywhere; a mutant is careless in one of them. */
export const CAREFUL = {
  'the source is closed before the target is opened': true,
  'the commit point asks for the token': true,
  'who takes over ends older sessions': true,
  'who ends a session waits for its end': true,
  'a session is opened before the token is asked for': true,
  'who was cut off draws a new token': true,
  'the mark is written under the lock': true,
  'the directory says frozen before the source does': true,
  'the source is opened before the directory says so': true,
  'an unknown outcome is looked up': true,
  'an epoch rises': true,
  'an epoch is drawn once': true,
  'the fence compares epochs': true,
  'cleaning compares epochs': true,
  'cleaning waits for readers': true,
  'the way back is drained': true,
  'nothing is undone behind the commit point': true,
} as const

export type Rules = Readonly<Record<keyof typeof CAREFUL, boolean>>

export interface Setting {
  readonly path: 'live' | 'still'
  /** Both homes are on one shard and have one row of its fence table: shared ↔ schema. */
  readonly oneFence: boolean
  readonly writes: number
  /** Runners of each move: the first, and those that take over. */
  readonly claims: number
  /** Moves, each from where the tenant is: two are there and back. */
  readonly moves: number
  /** Rollbacks of a move. */
  readonly returns: number
  readonly rules: Rules
}

export function newWorld({ writes, oneFence }: Setting): World {
  const none: Fence = { state: 'none', epoch: 0 }
  const active: Fence = { state: 'active', epoch: 1 }
  return {
    directory: {
      home: 0,
      epoch: 1,
      state: 'queued',
      token: 0,
      move: { from: 0, to: 1, fromEpoch: 1, toEpoch: 0, backEpoch: 0 },
      drawn: 1,
      claims: 0,
      moves: 1,
      returns: 0,
    },
    published: [{ home: 0, epoch: 1 }],
    fences: oneFence ? [active, active] : [active, none],
    rows: [0, 0],
    forward: null,
    back: null,
    writes: Array.from({ length: writes }, () => 'waiting'),
    reader: null,
    runners: [],
    fault: null,
  }
}

export function withFence(world: World, { oneFence }: Setting, home: Home, fence: Fence): World {
  if (oneFence) return { ...world, fences: [fence, fence] }
  return { ...world, fences: pair(world.fences, home, fence) }
}

export function withRows(world: World, home: Home, rows: number): World {
  return { ...world, rows: pair(world.rows, home, rows) }
}

export function pair<T>([a, b]: readonly [T, T], at: Home, value: T): readonly [T, T] {
  return at === 0 ? [value, b] : [a, value]
}

/** Whether the fence lets a request in that comes with `placement`. */
export function admits(
  world: World,
  { rules }: Setting,
  placement: Placement,
  mode: 'read' | 'write',
): boolean {
  const { state, epoch } = world.fences[placement.home]
  if (state === 'none' || state === 'moved') return false
  if (rules['the fence compares epochs'] && epoch !== placement.epoch) return false
  return mode === 'read' || state === 'active'
}

/** Bits of the writes whose clients were told that they are kept. */
export function acknowledged({ writes }: World): number {
  return writes.reduce<number>((bits, write, i) => (write === 'acknowledged' ? bits | bitOf(i) : bits), 0)
}

export const bitOf = (write: number): number => 1 << write

/** Equal for equal worlds, short. */
export function keyOf({ directory: d, ...world }: World): string {
  const runners = world.runners.map(
    ({ token, move, state, step, givesUp, snapshot, sessions }) =>
      `${token}${moveKey(move)}${state}${step}${givesUp ? '!' : ''}${snapshot}${sessions.join()}`,
  )
  const fences = world.fences.map(({ state, epoch }) => state + epoch)
  const reader = world.reader ? `${world.reader.home}${world.reader.wanted}` : ''
  return [
    `${d.home}.${d.epoch}.${d.state}.${d.token}.${d.drawn}.${d.claims}.${d.moves}.${d.returns}.${moveKey(d.move)}`,
    world.published.map(({ home, epoch }) => `${home}.${epoch}`),
    fences,
    world.rows,
    world.forward ?? '-',
    world.back ?? '-',
    world.writes,
    reader,
    runners.join(';'),
    world.fault,
  ].join('|')
}

const moveKey = ({ from, fromEpoch, toEpoch, backEpoch }: Move): string =>
  `${from}.${fromEpoch}.${toEpoch}.${backEpoch}`
