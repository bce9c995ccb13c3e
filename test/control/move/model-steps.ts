/**
 * What a runner does in each state of a move, statement by statement: each is one transaction on one server.
 *
 * A step gives the world after it, or null where it has to wait or its condition does not hold.
 */

import type { MoveState } from '../../../src/control/move/states.ts'
import {
  type Fence,
  type Home,
  MARK,
  type Move,
  type Placement,
  type Setting,
  type Stream,
  type World,
  withFence,
  withRows,
} from './model-world.ts'

export interface Step {
  readonly name: string
  readonly at: 'directory' | 'source' | 'target' | 'both'
  readonly do: (world: World, of: Doing) => World | null
}

/** A step's move, as its runner knows it, and how the model is set. */
export interface Doing extends Move {
  readonly setting: Setting
  /** Rows that the runner's snapshot shows. */
  readonly snapshot: number
}

/** Steps of each state, in order; those of the directory lead on. */
export function stepsOf(
  { path, oneFence, rules }: Setting,
  state: MoveState,
  givesUp: boolean,
): readonly Step[] {
  if (givesUp) {
    if (state === 'return-frozen') return [THAW_TARGET, lead('returning')]
    if (state === 'returning') return [REFUSE_READERS, lead('settled')]
    const careful = rules['the source is opened before the directory says so']
    return careful ? [THAW_SOURCE, lead('ready')] : [lead('ready'), THAW_SOURCE]
  }
  const live = path === 'live'
  const freeze = rules['the mark is written under the lock'] ? [FREEZE] : [EARLY_MARK, BARE_FREEZE]
  const early = !rules['the directory says frozen before the source does']
  switch (state) {
    case 'claimed':
      return [MAKE_TARGET, lead('prepared')]
    case 'prepared':
      return [...(live ? [EMPTY_TARGET, MAKE_SLOT, COPY] : []), lead('copied')]
    case 'copied':
      return [...(live ? [MAKE_WAY_BACK] : []), lead('ready')]
    case 'ready':
      return [...(early ? freeze : []), lead('frozen')]
    case 'frozen':
      return [
        ...(early ? [] : freeze),
        ...(live ? [DRAINED, MARK_BACK] : [EMPTY_TARGET, COPY_FROZEN]),
        COMMIT,
      ]
    case 'relocated': {
      const careful = rules['the source is closed before the target is opened']
      const tell = careful ? [CLOSE_SOURCE, OPEN_TARGET] : [OPEN_TARGET, CLOSE_SOURCE]
      return [...(oneFence ? [OPEN_TARGET] : tell), DROP_FORWARD, lead('settled')]
    }
    case 'cleaning':
      return [DROP_BACK, READ_SOURCE, CLEAN_SOURCE, lead('done')]
    case 'aborting':
      return [DROP_FORWARD, DROP_BACK, EMPTY_TARGET, REMOVE_FENCE, lead('aborted')]
    case 'returning':
      return [LET_READ, lead('return-frozen')]
    case 'return-frozen':
      return [FREEZE_TARGET, ...(rules['the way back is drained'] ? [BACK_DRAINED] : []), COMMIT_BACK]
    case 'returned': {
      const tell = oneFence ? [OPEN_SOURCE] : [CLOSE_TARGET, OPEN_SOURCE]
      return [...tell, DROP_BACK, READ_TARGET, CLEAN_TARGET, lead('rolled-back')]
    }
    default:
      return []
  }
}

function lead(state: MoveState): Step {
  const tell = (world: World): World => ({ ...world, directory: { ...world.directory, state } })
  return { name: `the directory says ${state}`, at: 'directory', do: tell }
}

const step = (name: string, at: Step['at'], act: Step['do']): Step => ({ name, at, do: act })

const active = (epoch: number): Fence => ({ state: 'active', epoch })
const frozen = (epoch: number): Fence => ({ state: 'frozen', epoch })
const moved = (epoch: number): Fence => ({ state: 'moved', epoch })

/** Change a fence that is as `wanted`, or was changed before; any other is not ours to change. */
function turn(world: World, setting: Setting, home: Home, wanted: Fence, to: Fence): World | null {
  const { state, epoch } = world.fences[home]
  const isOne = (fence: Fence): boolean => fence.state === state && fence.epoch === epoch
  return isOne(wanted) || isOne(to) ? withFence(world, setting, home, to) : null
}

const MAKE_TARGET = step('makes the target', 'target', (world, { to, toEpoch, setting }) => {
  const { state, epoch } = world.fences[to]
  if (setting.oneFence) return world
  const isFree = state === 'none' || (state === 'moved' && epoch < toEpoch)
  const isOurs = state === 'frozen' && epoch === toEpoch
  return isFree || isOurs ? withFence(world, setting, to, frozen(toEpoch)) : null
})

const EMPTY_TARGET = step('empties the target', 'target', (world, { to }) => empty(world, to))

const MAKE_SLOT = step('makes the slot', 'source', (world) => ({ ...world, forward: [] }))

const COPY = step('copies the snapshot', 'target', (world, { to, snapshot }) =>
  withRows(world, to, world.rows[to] | snapshot),
)

const COPY_FROZEN = step('copies what is frozen', 'both', (world, { from, to }) =>
  withRows(world, to, world.rows[to] | world.rows[from]),
)

const MAKE_WAY_BACK = step('makes the way back', 'target', (world) => ({ ...world, back: [] }))

// What has come to the target from the source is before this mark, and never flows back.
const MARK_BACK = step('marks the way back', 'target', (world) => ({ ...world, back: [] }))

const DROP_FORWARD = step('drops the slot', 'source', (world) => ({ ...world, forward: null }))
const DROP_BACK = step('drops the way back', 'target', (world) => ({ ...world, back: null }))

const isDrained = (stream: Stream | null): boolean => stream?.includes(MARK) === false
const DRAINED = step('sees the mark', 'both', (world) => (isDrained(world.forward) ? world : null))
const BACK_DRAINED = step('sees the mark', 'both', (world) => (isDrained(world.back) ? world : null))

/** A mark at the end of a stream; an older one, of an attempt that was given up, is nobody's any more. */
const marked = (stream: Stream | null): Stream | null =>
  stream && [...stream.filter((change) => change !== MARK), MARK]

/** Whoever writes holds the tenant's lock on that shard; both homes have one lock where they have one fence. */
function isWriting({ writes }: World, { oneFence }: Setting, home: Home): boolean {
  return writes.some((write) => write === home || (oneFence && typeof write === 'number'))
}

const BARE_FREEZE = step('freezes the source', 'source', (world, { from, fromEpoch, setting }) =>
  isWriting(world, setting, from) ? null : turn(world, setting, from, active(fromEpoch), frozen(fromEpoch)),
)

const EARLY_MARK = step('marks the source', 'source', (world) => ({
  ...world,
  forward: marked(world.forward),
}))

const FREEZE = step('freezes and marks the source', 'source', (world, of) => {
  const now = BARE_FREEZE.do(world, of)
  return now && { ...now, forward: marked(now.forward) }
})

// Where the fence is no longer as it was closed there is nothing to open.
const THAW_SOURCE = step('opens the source again', 'source', (world, { from, fromEpoch, setting }) =>
  turn(world, setting, from, frozen(fromEpoch), active(fromEpoch)),
)

const THAW_TARGET = step('opens the target again', 'target', (world, { to, toEpoch, setting }) =>
  turn(world, setting, to, frozen(toEpoch), active(toEpoch)),
)

/** One transaction of the directory: placement, epoch and state together. */
function relocate(world: World, at: Placement, state: MoveState): World {
  const { directory, published } = world
  return { ...world, directory: { ...directory, ...at, state }, published: [...published, at] }
}

const COMMIT = step('COMMIT POINT', 'directory', (world, { to, toEpoch }) =>
  relocate(world, { home: to, epoch: toEpoch }, 'relocated'),
)

const COMMIT_BACK = step('COMMIT POINT of the way back', 'directory', (world, { from, backEpoch }) =>
  relocate(world, { home: from, epoch: backEpoch }, 'returned'),
)

const CLOSE_SOURCE = step('closes the source', 'source', (world, { from, fromEpoch, toEpoch, setting }) =>
  turn(world, setting, from, frozen(fromEpoch), moved(toEpoch)),
)

const OPEN_TARGET = step('opens the target', 'target', (world, { to, fromEpoch, toEpoch, setting }) =>
  turn(world, setting, to, frozen(setting.oneFence ? fromEpoch : toEpoch), active(toEpoch)),
)

// Before the commit point of the way back nobody knows its epoch, and behind it reads find an open door.
const LET_READ = step(
  'lets readers into the source',
  'source',
  (world, { from, toEpoch, backEpoch, setting }) =>
    setting.oneFence ? world : turn(world, setting, from, moved(toEpoch), frozen(backEpoch)),
)

const REFUSE_READERS = step(
  'refuses readers there',
  'source',
  (world, { from, toEpoch, backEpoch, setting }) =>
    setting.oneFence ? world : turn(world, setting, from, frozen(backEpoch), moved(toEpoch)),
)

const FREEZE_TARGET = step('freezes and marks the target', 'target', (world, { to, toEpoch, setting }) => {
  if (isWriting(world, setting, to)) return null
  const now = turn(world, setting, to, active(toEpoch), frozen(toEpoch))
  return now && { ...now, back: marked(now.back) }
})

const CLOSE_TARGET = step('closes the target', 'target', (world, { to, toEpoch, backEpoch, setting }) =>
  turn(world, setting, to, frozen(toEpoch), moved(backEpoch)),
)

const OPEN_SOURCE = step('opens the source', 'source', (world, { from, toEpoch, backEpoch, setting }) =>
  turn(world, setting, from, frozen(setting.oneFence ? toEpoch : backEpoch), active(backEpoch)),
)

const isUnread = ({ reader }: World, { rules }: Setting, home: Home): boolean =>
  !rules['cleaning waits for readers'] || reader?.home !== home

const READ_SOURCE = step('waits for readers', 'source', (world, { from, setting }) =>
  isUnread(world, setting, from) ? world : null,
)

const READ_TARGET = step('waits for readers', 'target', (world, { to, setting }) =>
  isUnread(world, setting, to) ? world : null,
)

const CLEAN_SOURCE = step('deletes the source', 'source', (world, { from, toEpoch, setting }) =>
  cleaned(world, setting, from, toEpoch),
)

const CLEAN_TARGET = step('deletes the target', 'target', (world, { to, backEpoch, setting }) =>
  cleaned(world, setting, to, backEpoch),
)

/** In one transaction with its condition: that the fence says so of the cutover at `epoch`. */
function cleaned(world: World, setting: Setting, home: Home, at: number): World | null {
  const { state, epoch } = world.fences[home]
  // One row for both homes says where the tenant is, and never that it has moved.
  const isLeft = setting.oneFence ? state === 'active' && epoch === at : state === 'moved' && epoch >= at
  if (!isLeft && setting.rules['cleaning compares epochs']) return null
  return empty(world, home, 'cleaning removes what serves')
}

function empty(world: World, home: Home, fault = 'a copy begins by removing what serves'): World {
  return { ...withRows(world, home, 0), fault: world.directory.home === home ? fault : world.fault }
}

const REMOVE_FENCE = step('removes the fence', 'target', (world, { to, setting }) =>
  setting.oneFence ? world : withFence(world, setting, to, { state: 'none', epoch: 0 }),
)
