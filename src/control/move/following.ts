/**
 * The follower at work: changes are taken from the stream and given to the applier, and whoever waits for a mark is told
 * when everything before it is committed at the other end.
 *
 * When many small transactions wait, several are done in one. A large one is done as it comes, without its end being
 * there; what came before it is committed first.
 */

import { fail, isGatewayError } from '../../base/errors.ts'
import type { ChangeStream, Idle } from '../../db/change-stream.ts'
import type { Change, Relation } from '../../db/pgoutput.ts'
import type { Applier } from './applier.ts'
import { type RowChange, TableApplier } from './apply-changes.ts'
import { caught, noLonger } from './follow-faults.ts'
import type { Follower, FollowOptions } from './follower.ts'
import type { Way } from './names.ts'
import { isPulse, type Lag, MARKS, Pulse } from './pulse.ts'
import type { Route, Routes } from './routes.ts'
import { TouchedKeys } from './touched-keys.ts'
import type { Moving } from './types.ts'

interface Parts {
  readonly moving: Moving
  readonly way: Way
  readonly routes: Routes
  readonly applier: Applier
  readonly stream: ChangeStream
  readonly options: FollowOptions
}

/** Changes in one transaction at the other end, when many small ones wait. */
const GROUP = 2_000

export class Following implements Follower {
  readonly #parts: Parts
  readonly #pulse: Pulse
  readonly #touched = new TouchedKeys()
  readonly #appliers = new WeakMap<Route, TableApplier>()
  readonly #reached = Promise.withResolvers<never>()
  readonly #waiting = new Map<string, (() => void)[]>()
  readonly #stops = new Map<string, () => Promise<void>>()
  readonly #onAbort: () => void
  /** Marks of the transaction that comes. */
  #marks: string[] = []
  /** Marks of transactions that are applied and not committed. */
  #due: string[] = []
  #isInside = false
  /** Whether the transaction that comes is none of ours. */
  #isSkipped = false
  #isIgnoring: boolean
  /** End of the last transaction that is committed at the other end, or had nothing for it. */
  #applied: bigint
  #isOver = false
  readonly failed: Promise<never>

  constructor(parts: Parts) {
    const { moving, way, applier, options } = parts
    this.#parts = parts
    this.#pulse = new Pulse(way.from, moving.record.id)
    this.#applied = applier.progress ?? 0n
    this.#isIgnoring = options.ignoreBefore !== undefined && applier.progress === null
    this.failed = this.#reached.promise
    this.failed.catch(() => {})
    this.#onAbort = () => this.#fail(moving.signal.reason)
  }

  start(): void {
    const { moving, applier, stream, way } = this.#parts
    stream.onLost((error) => this.#fail(error))
    applier.onLost((reason) => {
      this.#fail(caught(() => noLonger(new Error(reason), way.to.shard.key)))
    })
    moving.signal.addEventListener('abort', this.#onAbort)
    if (moving.signal.aborted) this.#onAbort()
    this.#run().catch((error: unknown) => this.#fail(error))
    this.#pulse.run().catch((error: unknown) => this.#fail(error))
  }

  reached(mark: string): Promise<void> {
    if (this.#touched.knows(mark)) return Promise.resolve()
    const arrived = new Promise<void>((resolve) => {
      this.#waiting.set(mark, [...(this.#waiting.get(mark) ?? []), resolve])
    })
    return this.#orFailed(arrived)
  }

  stopAt<T>(mark: string, work: () => Promise<T>): Promise<T> {
    const done = Promise.withResolvers<T>()
    const passed = `The mark ${mark} has come already; to stop there has to be asked for before it is made.`
    if (this.#touched.knows(mark)) done.reject(new Error(passed))
    else this.#stops.set(mark, () => work().then(done.resolve, done.reject))
    return this.#orFailed(done.promise)
  }

  // Whoever has asked may have gone on to something else when it fails.
  #orFailed<T>(work: Promise<T>): Promise<T> {
    const either = Promise.race([work, this.failed])
    work.catch(() => {})
    either.catch(() => {})
    return either
  }

  touchedSince(mark: string): ReturnType<Follower['touchedSince']> {
    return this.#touched.since(mark)
  }

  lag(): Lag {
    return this.#pulse.lag(this.#applied)
  }

  async end(): Promise<void> {
    this.#fail(new Error('Changes are no longer followed.'))
    await this.#parts.stream.end()
  }

  #fail(cause: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    const { moving, applier, stream, way } = this.#parts
    moving.signal.removeEventListener('abort', this.#onAbort)
    this.#pulse.end()
    applier.close()
    stream.end().catch(() => {})
    const isOurs = cause === moving.signal.reason || isGatewayError(cause)
    this.#reached.reject(isOurs ? cause : caught(() => noLonger(cause, way.from.shard.key)))
  }

  async #run(): Promise<void> {
    const { stream } = this.#parts
    while (!this.#isOver) {
      const change = stream.take()
      if (!change) await stream.arrival()
      else if (change.kind === 'commit') await this.#commit(change.end)
      else {
        this.#hear(change)
        if (this.#parts.applier.isFull) await this.#parts.applier.send()
      }
    }
  }

  #hear(change: Exclude<Change, { readonly kind: 'commit' }> | Idle): void {
    const { applier, stream } = this.#parts
    if (change.kind === 'begin') {
      this.#isInside = true
      // The server leaves out what it was told to have; what it sends all the same is here already.
      this.#isSkipped = this.#isIgnoring || change.lsn < (applier.progress ?? 0n)
    } else if (change.kind === 'idle') {
      if (this.#isInside || applier.size > 0) return
      stream.acknowledge(change.lsn)
      this.#advance(change.lsn)
    } else if (change.kind === 'message') {
      if (change.transactional && change.prefix === MARKS) this.#note(change.content)
    } else if (change.kind === 'truncate') this.#truncated(change.relations)
    else if (change.kind !== 'other' && !this.#isSkipped) this.#apply(change)
  }

  #apply(change: RowChange): void {
    const route = this.#parts.routes.of(change.relation)
    const table = this.#tableOf(route)
    this.#parts.applier.add(table.statement(change))
    for (const key of table.keys(change)) this.#touched.touch(route.id, key)
  }

  #tableOf(route: Route): TableApplier {
    const known = this.#appliers.get(route)
    if (known) return known
    const made = new TableApplier(route)
    this.#appliers.set(route, made)
    return made
  }

  #note(content: string): void {
    const [move, ...mark] = content.split(' ')
    if (move === this.#parts.moving.record.id) this.#marks.push(mark.join(' '))
  }

  #truncated(relations: readonly Relation[]): void {
    if (this.#isSkipped) return
    const tables = relations.map(({ schema, name }) => `${schema}.${name}`)
    const sentence = `${tables.join(', ')} was truncated during the move, which removes rows without naming them.`
    fail('REFUSED', sentence, {}, { hint: 'Begin the move again.' })
  }

  async #commit(end: bigint): Promise<void> {
    const { applier, stream, options } = this.#parts
    this.#isInside = false
    this.#due.push(...this.#marks)
    const isTurn = this.#isIgnoring && this.#marks.includes(options.ignoreBefore ?? '')
    const isWanted = this.#marks.some((mark) => !isPulse(mark))
    this.#marks = []
    if (isTurn) {
      await applier.begin(end)
      this.#isIgnoring = false
    }
    const hasMore = stream.commits > 0 && applier.size < GROUP
    if (applier.size > 0 && hasMore && !isWanted) return
    if (applier.size > 0) await applier.commit(end)
    stream.acknowledge(end)
    this.#advance(end)
    await this.#settle()
  }

  #advance(lsn: bigint): void {
    if (lsn > this.#applied) this.#applied = lsn
  }

  /** Everything before the marks that are due is committed at the other end. */
  async #settle(): Promise<void> {
    const due = this.#due
    this.#due = []
    for (const mark of due) {
      if (isPulse(mark)) {
        this.#pulse.seen(mark)
        continue
      }
      this.#touched.mark(mark)
      for (const resolve of this.#waiting.get(mark) ?? []) resolve()
      this.#waiting.delete(mark)
      const stop = this.#stops.get(mark)
      this.#stops.delete(mark)
      await stop?.()
    }
  }
}
