/**
 * Running a move: claim it, then do what its state asks for, until nothing is left to do.
 *
 *     S1 claimed     preflight; the target's home
 *     S2 prepared    live: the publication, the slot, and the copy of its moment
 *     S3 copied      live: follow, prepare the way back, compare
 *     S4 ready       the cutover
 *     S5 frozen      met by whoever takes over: the source is opened again
 *     S6 relocated   the homes are told, the receipt is written
 *     S8 cleaning    the source's rows go
 *     S10 aborting   what was made goes
 *     S12 … S14      the way back (rollback.ts)
 *
 * Whoever is cut off leaves a move that the next one takes up here, by the state that is written down. On the still
 * path there is nothing to do in S2 and S3: its rows are copied inside the freeze.
 */

import { hostname } from 'node:os'
import { fail, isGatewayError } from '../../base/errors.ts'
import { operatorOf } from '../operations/run.ts'
import type { Report } from '../operations/types.ts'
import { type Fleet, movesOf, onDirectory, reasonOf } from '../reach.ts'
import { claimMove, setWanted, type Terms } from './claim.ts'
import { removeSource, removeTarget, removeWay } from './cleanup.ts'
import { Thawed, thaw } from './cutover.ts'
import { type Halt, Halted, holdLease } from './lease.ts'
import { copyLive, followLive } from './live.ts'
import { as, sourceOf, withMoving } from './moving.ts'
import { preflight } from './preflight.ts'
import { prepareTarget } from './prepare.ts'
import { beginReturn, finishReturn, giveUpReturn, returnLive, thawReturn } from './rollback.ts'
import { settle } from './settle.ts'
import { type MoveState, TRANSITIONS } from './states.ts'
import { cutOverStill } from './still.ts'
import { doing, enterState, insertMove, keepMoveError, known, loseLease } from './store.ts'
import type { MoveRecord, Moving } from './types.ts'

export interface RunOptions {
  readonly report?: Report
  /** Who runs it, for people: default is the host and the process. */
  readonly runner?: string
  /** On which the move is claimed; left out, on none. */
  readonly terms?: Terms
  /** Aborted when the process is to end: the move pauses where it may, and goes on with whoever comes next. */
  readonly stop?: AbortSignal
  /** Told of each state that the move comes into. */
  readonly onState?: (record: MoveRecord) => void
}

/**
 * Run a move as far as it goes by itself: until it has settled, was undone or is to pause.
 *
 * @throws TENANT_BUSY  somebody else runs it, or another operation on the tenant is not finished
 * @throws REFUSED      it cannot be made, with every reason; it is undone then
 * @throws              what its steps throw; it can be run again then
 */
export function runMove(fleet: Fleet, id: string, options: RunOptions = {}): Promise<MoveRecord> {
  return claimed(fleet, id, options, (moving) => drive(moving, options))
}

/**
 * End the window of a move that has settled: what is left of the tenant on the source goes. Goes on where it stopped.
 *
 * @throws REFUSED  it has not settled
 * @throws          as runMove
 */
export async function completeMove(fleet: Fleet, id: string, options: RunOptions = {}): Promise<MoveRecord> {
  await requireState(fleet, id, ['settled', 'cleaning'])
  return claimed(fleet, id, options, async (moving) => {
    const { directory, record } = moving
    return drive(as(moving, await enterState(directory, record, 'completed')), options)
  })
}

/**
 * Bring a tenant back with all that it has written since. Goes on where it stopped. Without a way back that was kept
 * open, the move is completed, and another one made in the other direction.
 *
 * @returns the move that has brought it back
 * @throws REFUSED  it has not settled
 * @throws          as runMove
 */
export async function rollbackMove(fleet: Fleet, id: string, options: RunOptions = {}): Promise<MoveRecord> {
  const record = await requireState(fleet, id, ['settled', 'returning', 'return-frozen', 'returned'])
  if (record.state === 'settled' && !record.memory.hasWayBack) return moveBack(fleet, record, options)
  return claimed(fleet, id, options, async (moving) =>
    drive(moving.record.state === 'settled' ? as(moving, await beginReturn(moving)) : moving, options),
  )
}

// Before it is claimed: to claim a queued move is to begin it.
async function requireState(fleet: Fleet, id: string, states: readonly MoveState[]): Promise<MoveRecord> {
  const record = await onDirectory(fleet.directoryUrl, (directory) => known(directory, id))
  if (states.includes(record.state)) return record
  const hint = `See "shardgate move show ${id}".`
  return fail(
    'REFUSED',
    `Move ${id} of ${record.tenant} is ${doing(record)}; it has to have settled.`,
    {},
    { hint },
  )
}

async function moveBack(fleet: Fleet, record: MoveRecord, options: RunOptions): Promise<MoveRecord> {
  await completeMove(fleet, record.id, options)
  const { tenant, source, target } = record
  const back = { tenant, source: target, target: source, operator: operatorOf(fleet) }
  const { id } = await onDirectory(fleet.directoryUrl, (directory) => insertMove(directory, back))
  return runMove(fleet, id, options)
}

/**
 * Undo a move that has not reached its commit point.
 *
 * @throws REFUSED      it has
 * @throws TENANT_BUSY  somebody runs it, and is told
 */
export async function abortMove(fleet: Fleet, id: string, options: RunOptions = {}): Promise<MoveRecord> {
  const operator = operatorOf(fleet)
  const { move } = await onDirectory(fleet.directoryUrl, (db) => setWanted(db, id, 'cancel', operator))
  return move.state === 'aborted' ? move : runMove(fleet, id, options)
}

async function claimed(
  fleet: Fleet,
  id: string,
  options: RunOptions,
  work: (moving: Moving) => Promise<MoveRecord>,
): Promise<MoveRecord> {
  const { report = () => {}, runner = `${hostname()} ${process.pid}`, terms, stop } = options
  const { leaseMs } = movesOf(fleet)
  const record = await onDirectory(fleet.directoryUrl, (directory) =>
    claimMove(directory, id, runner, leaseMs, terms),
  )
  const lease = holdLease(fleet, record, leaseMs, { stop })
  const told: Report = (text, rows, rowsTotal) => {
    lease.keep({ phase: text, ...(rowsTotal !== undefined && { rows: rows ?? 0, rowsTotal }) })
    report(text, rows, rowsTotal)
  }
  options.onState?.(record)
  try {
    return await withMoving(fleet, { record, report: told, signal: lease.signal }, work)
  } finally {
    await lease.end()
  }
}

type Step = (moving: Moving) => Promise<MoveRecord>

const pass: Step = ({ directory, record }) => enterState(directory, record, 'done')
const byPath =
  (live: Step, still: Step): Step =>
  (moving) =>
    moving.record.path === 'still' ? still(moving) : live(moving)

/** What a state asks for. States that ask for nothing are where a run ends. */
const STEPS: Readonly<Partial<Record<MoveState, Step>>> = {
  claimed: prepare,
  prepared: byPath(copyLive, pass),
  copied: byPath(followLive, pass),
  ready: byPath(followLive, cutOverStill),
  frozen: (moving) => thaw(moving, sourceOf(moving)),
  relocated: settle,
  cleaning: clean,
  aborting: undo,
  returning: returnLive,
  'return-frozen': thawReturn,
  returned: finishReturn,
}

async function drive(moving: Moving, { onState = () => {} }: RunOptions): Promise<MoveRecord> {
  let now = moving
  let cause: unknown
  for (;;) {
    const { record, signal } = now
    const step = STEPS[record.state]
    if (!step) break
    const why = wantedOf(now)
    if (why === 'lost') throw signal.reason
    if (why === 'pause' && MAY_REST.includes(record.state)) return record
    const isUnwanted = why === 'cancel' && isCancellable(record)
    const next = (isUnwanted ? cancel(now) : step(now)).catch((error: unknown) => {
      if (!signal.aborted) cause = error
      return afterFailure(now, error)
    })
    now = as(now, await next)
    onState(now.record)
  }
  // The operator is told why what was asked for cannot be; the move itself has ended well.
  if (now.record.state === 'aborted' && cause !== undefined) throw cause
  return now.record
}

/** What is wanted of its runner now. */
const wantedOf = ({ signal, record }: Moving): Halt | 'run' =>
  signal.reason instanceof Halted ? signal.reason.why : record.wanted

/** States in which a move may be left for hours: its tenant is served, and whatever it made is written down. */
const MAY_REST: readonly MoveState[] = ['claimed', 'prepared', 'copied', 'ready', 'returning', 'cleaning']

/** Whether a cancelled or impossible move may be undone now. One that holds writes lets them go first. */
const isCancellable = ({ state }: MoveRecord): boolean =>
  TRANSITIONS[state].cancelled !== null && !['aborting', 'frozen', 'return-frozen'].includes(state)

function cancel(moving: Moving, error = 'Cancelled by the operator.'): Promise<MoveRecord> {
  const { directory, record } = moving
  return record.state === 'returning'
    ? giveUpReturn(moving)
    : enterState(directory, record, 'cancelled', { error })
}

/** What another try would meet again; anything else may be better next time. */
const LASTING = ['REFUSED', 'TABLE_UNSAFE', 'SETUP_FAILED', 'SHARD_UNSAFE', 'SHARD_UNKNOWN'] as const

/**
 * Undo what cannot be made; leave what may be made later as it is written down.
 *
 * @throws  the failure, where it is left
 */
async function afterFailure(moving: Moving, error: unknown): Promise<MoveRecord> {
  const { directory, record, signal } = moving
  const now = await known(directory, record.id)
  if (now.token !== record.token) loseLease(record)
  // It was stopped on purpose: what is wanted is done from the state that was reached.
  const why = signal.aborted ? wantedOf(moving) : 'run'
  if (why === 'pause' ? MAY_REST.includes(now.state) : why === 'cancel' && isCancellable(now)) return now
  const isLasting = LASTING.some((code) => isGatewayError(causeOf(error), code))
  if (isLasting && isCancellable(now)) return cancel(as(moving, now), reasonOf(error))
  await keepMoveError(directory, now, reasonOf(error))
  throw error
}

const causeOf = (error: unknown): unknown => (error instanceof Thawed ? error.cause : error)

async function prepare(moving: Moving): Promise<MoveRecord> {
  const found = await preflight(moving)
  const { path, ...memory } = found
  await prepareTarget(as(moving, { ...moving.record, path }))
  return enterState(moving.directory, moving.record, 'done', { path, memory })
}

/** Given up before the commit point: what was made goes, and the source serves as it did. */
async function undo(moving: Moving): Promise<MoveRecord> {
  await removeWay(moving, 'forward')
  await removeWay(moving, 'back')
  await removeTarget(moving)
  const { error } = moving.record
  return enterState(moving.directory, moving.record, 'done', { ...(error !== null && { error }) })
}

/** The window is over: the way back goes, and what is left of the tenant on the source. */
async function clean(moving: Moving): Promise<MoveRecord> {
  await removeWay(moving, 'back')
  await removeSource(moving)
  return enterState(moving.directory, moving.record, 'done')
}
