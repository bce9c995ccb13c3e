/**
 * Running moves: whatever is queued or was left, as many at once as there may be, shared with any number of other
 * runners.
 *
 *     queue ──▶ what fits ──▶ claim ──▶ run … settled ──(window ends, or its slot is needed)──▶ completed
 *       ▲                      │ held by another runner, or no place left: later
 *       └── failed: again after a while, a few times; then it is left with its error until the operator resumes it
 *
 * Runners do not know of each other. Each reads the queue and claims; the directory decides (claim.ts).
 */

import { isGatewayError } from '../../base/errors.ts'
import { type Clock, sleep, systemClock } from '../../base/time.ts'
import type { Client } from '../../db/client.ts'
import { type Fleet, movesOf, onDirectory } from '../reach.ts'
import { claimMove } from './claim.ts'
import {
  chooseWork,
  isLeft,
  isUrgent,
  pauseAfter,
  readQueue,
  TRIES,
  type Waiting,
  type Work,
  windowWork,
} from './queue.ts'
import { completeMove, type RunOptions, runMove } from './run.ts'
import { ENDED, type MoveState } from './states.ts'
import { findMove, findMoves, releaseMove } from './store.ts'
import type { MoveRecord } from './types.ts'

/** What a runner tells. */
export type MovesEvent =
  /** It came into a state; `from` is null where this runner has just claimed it. */
  | { readonly kind: 'state'; readonly move: MoveRecord; readonly from: MoveState | null }
  | {
      readonly kind: 'progress'
      readonly move: MoveRecord
      readonly text: string
      readonly done?: number | undefined
      readonly total?: number | undefined
    }
  /** `again`: it will be run once more by itself. */
  | { readonly kind: 'failed'; readonly move: MoveRecord; readonly error: unknown; readonly again: boolean }
  /** One that the caller asked for is not run by this runner: another one does, or there is no place for it yet. */
  | { readonly kind: 'waits'; readonly move: MoveRecord; readonly why: 'another runner' | 'no place' }
  /** Its way back is given up for `gives`. */
  | { readonly kind: 'window given up'; readonly move: MoveRecord; readonly gives: MoveRecord }
  /** The directory is away; it is asked again. */
  | { readonly kind: 'directory away'; readonly error: unknown }

export interface MovesOptions {
  /** Moves of this plan alone. */
  readonly plan?: string
  /** These moves alone. */
  readonly only?: readonly string[]
  /** Go on when nothing is left, until `signal`. */
  readonly forever?: boolean
  /** Aborted to stop: what runs is brought to where it may rest. */
  readonly signal?: AbortSignal
  readonly onEvent?: (event: MovesEvent) => void
  readonly clock?: Clock
  /** How one move is run and completed; default: as run.ts does. */
  readonly hands?: Hands
}

export interface Hands {
  run(fleet: Fleet, id: string, options: RunOptions): Promise<MoveRecord>
  complete(fleet: Fleet, id: string, options: RunOptions): Promise<MoveRecord>
}

/** Where the moves are that were to be run: ids. */
export interface Summary {
  /** At their new place, in their window or behind it. */
  readonly arrived: readonly string[]
  /** Undone, or brought back. */
  readonly undone: readonly string[]
  readonly paused: readonly string[]
  /** Left with an error. */
  readonly failed: readonly string[]
  /** Neither: the runner was stopped before. */
  readonly open: readonly string[]
}

/** What a run of one move is given, so that it tells what happens as events. */
export function telling(
  move: MoveRecord,
  onEvent: (event: MovesEvent) => void,
): Required<Pick<RunOptions, 'report' | 'onState'>> {
  let now = move
  let isClaimed = false
  return {
    report: (text, done, total) => onEvent({ kind: 'progress', move: now, text, done, total }),
    onState: (next) => {
      onEvent({ kind: 'state', move: next, from: isClaimed ? now.state : null })
      now = next
      isClaimed = true
    },
  }
}

/** Milliseconds between looks at the queue while others may have something to do with it. */
const LOOK_MS = 500

/**
 * Run moves until none is left that could be: all have settled, were undone, pause, or have failed too often.
 *
 * Takes over what runners have left that are lost, and closes the windows that have ended.
 *
 * @throws DIRECTORY_UNAVAILABLE  the directory cannot be reached at the beginning
 */
export async function runMoves(fleet: Fleet, options: MovesOptions = {}): Promise<Summary> {
  const scope = await onDirectory(fleet.directoryUrl, (directory) => scopeOf(directory, options))
  const runner = new Runner(fleet, options, scope)
  await runner.run()
  return onDirectory(fleet.directoryUrl, (directory) => summaryOf(directory, runner))
}

/** Ids of the moves that the caller waits for; undefined: whatever there is. */
async function scopeOf(
  directory: Client,
  { plan, only }: MovesOptions,
): Promise<ReadonlySet<string> | undefined> {
  if (only) return new Set(only)
  if (plan === undefined) return undefined
  const rows = await readQueue(directory)
  return new Set(rows.filter((move) => move.plan === plan).map(({ id }) => id))
}

async function summaryOf(directory: Client, { seen, refused }: Runner): Promise<Summary> {
  const moves = await findMoves(directory, [...seen])
  const placeOf = (move: MoveRecord): keyof Summary => {
    if (ARRIVED.includes(move.state)) return 'arrived'
    if (ENDED.includes(move.state)) return 'undone'
    if (move.wanted === 'pause') return 'paused'
    return refused.has(move.id) || isLeft(move) ? 'failed' : 'open'
  }
  const at = (place: keyof Summary): string[] =>
    moves.filter((move) => placeOf(move) === place).map(({ id }) => id)
  return {
    arrived: at('arrived'),
    undone: at('undone'),
    paused: at('paused'),
    failed: at('failed'),
    open: at('open'),
  }
}

const ARRIVED: readonly MoveState[] = ['settled', 'cleaning', 'done']

interface Setback {
  readonly count: number
  /** By the runner's clock. */
  readonly until: number
}

class Runner {
  /** Every move that was this runner's to look after. */
  readonly seen = new Set<string>()
  /** Moves that cannot be claimed, whoever tries. */
  readonly refused = new Set<string>()
  readonly #fleet: Fleet
  readonly #options: MovesOptions
  readonly #scope: ReadonlySet<string> | undefined
  readonly #clock: Clock
  readonly #hands: Hands
  readonly #running = new Map<string, Promise<void>>()
  /** What was told of moves that wait. */
  readonly #waiting = new Map<string, string>()
  /** Of claims, which leave no trace in the directory. */
  readonly #setbacks = new Map<string, Setback>()

  constructor(fleet: Fleet, options: MovesOptions, scope: ReadonlySet<string> | undefined) {
    this.#fleet = fleet
    this.#options = options
    this.#scope = scope
    this.#clock = options.clock ?? systemClock
    this.#hands = options.hands ?? { run: runMove, complete: completeMove }
    for (const id of scope ?? []) this.seen.add(id)
  }

  async run(): Promise<void> {
    const { signal } = this.#options
    while (!signal?.aborted) {
      const isIdle = await this.#look().catch((error: unknown) => this.#missDirectory(error))
      if (isIdle && !this.#options.forever) break
      const ended = [...this.#running.values()]
      await Promise.race([...ended, sleep(LOOK_MS, signal)])
    }
    await Promise.all(this.#running.values())
  }

  /** @returns whether nothing is left to do or to wait for */
  async #look(): Promise<boolean> {
    const queue = await onDirectory(this.#fleet.directoryUrl, readQueue)
    const room = movesOf(this.#fleet)
    const mine = queue.filter((move) => this.#isMine(move))
    // Whoever is in its window already has arrived with somebody else.
    for (const move of mine) if (move.state !== 'settled' || windowWork(move)) this.seen.add(move.id)
    const running = new Set(this.#running.keys())
    for (const work of chooseWork(queue, running, room, (move) => this.#isMine(move) && this.#isDue(move)))
      this.#begin(work)
    if (this.#scope) for (const move of mine) this.#tellWaiting(move)
    return this.#running.size === 0 && mine.every((move) => this.#isDone(move))
  }

  #tellWaiting(move: Waiting): void {
    const { id, isHeld } = move
    if (this.#running.has(id) || this.#isDone(move)) return
    const why = isHeld ? 'another runner' : 'no place'
    const isPause = !isHeld && (!this.#isDue(move) || (move.memory.failures ?? 0) > 0)
    if (isPause || this.#waiting.get(id) === why) return
    this.#waiting.set(id, why)
    this.#tell({ kind: 'waits', move, why })
  }

  #missDirectory(error: unknown): boolean {
    this.#tell({ kind: 'directory away', error })
    return false
  }

  #isMine({ id }: Waiting): boolean {
    return this.#scope?.has(id) ?? true
  }

  #isDue({ id }: Waiting): boolean {
    const setback = this.#setbacks.get(id)
    return setback === undefined || this.#clock.elapsed() >= setback.until
  }

  #isDone(move: Waiting): boolean {
    if (this.refused.has(move.id)) return true
    return isLeft(move) && !move.isHeld && windowWork(move) === undefined
  }

  #begin(work: Work): void {
    const { move, gives } = work
    if (this.refused.has(move.id)) return
    if (gives) this.#tell({ kind: 'window given up', move, gives })
    const done = this.#do(work).catch((error: unknown) => this.#fail(move, error))
    this.#running.set(
      move.id,
      done.finally(() => this.#running.delete(move.id)),
    )
  }

  async #do({ kind, move }: Work): Promise<void> {
    const { id } = move
    if (kind === 'free') return this.#free(id)
    const work = kind === 'run' ? this.#hands.run : this.#hands.complete
    await work(this.#fleet, id, {
      terms: { limits: movesOf(this.#fleet), token: move.token },
      ...(this.#options.signal && { stop: this.#options.signal }),
      ...telling(move, (event) => this.#tell(event)),
    })
    this.#setbacks.delete(id)
  }

  /** A runner was lost between its claim of a settled move and whatever it wanted of it. */
  async #free(id: string): Promise<void> {
    const { leaseMs } = movesOf(this.#fleet)
    await onDirectory(this.#fleet.directoryUrl, async (directory) =>
      releaseMove(directory, await claimMove(directory, id, 'a runner', leaseMs)),
    )
  }

  async #fail(move: MoveRecord, error: unknown): Promise<void> {
    // Somebody else has it, or there is no place for it yet: it is looked at again.
    if (isGatewayError(error, 'TENANT_BUSY') && 'wait' in error.details) return sleep(LOOK_MS)
    const find = onDirectory(this.#fleet.directoryUrl, (directory) => findMove(directory, move.id))
    const now = (await find.catch(() => null)) ?? move
    const isOver = ENDED.includes(now.state)
    if (!isOver && now.token === move.token) this.#setBack(now, error)
    const again = !isOver && !this.refused.has(move.id) && !isLeft(now)
    this.#tell({ kind: 'failed', move: now, error, again })
  }

  /** It could not even be claimed, of which the directory keeps no count. */
  #setBack(move: MoveRecord, error: unknown): void {
    const count = (this.#setbacks.get(move.id)?.count ?? 0) + 1
    this.#setbacks.set(move.id, { count, until: this.#clock.elapsed() + pauseAfter(count) })
    const isHopeless = isGatewayError(error, 'REFUSED') || count >= TRIES
    if (isHopeless && !this.#options.forever && !isUrgent(move)) this.refused.add(move.id)
  }

  #tell(event: MovesEvent): void {
    this.#options.onEvent?.(event)
  }
}
