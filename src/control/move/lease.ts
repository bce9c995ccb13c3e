/**
 * Holding a move: a sign of life on a session of its own, and the ear for what is wanted of the holder.
 *
 * A holder that cannot renew its lease does not know whether it still has one. It stops when the lease would have
 * ended; that nothing it does counts from then on is not up to it (sessions.ts).
 */

import { isGatewayError } from '../../base/errors.ts'
import { atMost, sleep } from '../../base/time.ts'
import type { Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { UNPAUSED } from './claim.ts'
import { fleetOfMove } from './sessions.ts'
import { type MoveState, TRANSITIONS } from './states.ts'
import { releaseMove } from './store.ts'
import type { MoveRecord, Progress } from './types.ts'

/** Why a holder has to stop. */
export type Halt = 'lost' | 'pause' | 'cancel'

export interface Lease {
  /** Aborted when the holder has to stop; its reason is a Halted. */
  readonly signal: AbortSignal
  /** Write down how far the holder has come, with the next sign of life. */
  keep(progress: Progress): void
  /** Let go of the move, unless somebody else has claimed it. Never throws. */
  end(): Promise<void>
}

export class Halted extends Error {
  override readonly name = 'Halted'
  readonly why: Halt

  constructor(why: Halt, move: string) {
    super(SENTENCES[why](move))
    this.why = why
  }
}

const SENTENCES: Readonly<Record<Halt, (move: string) => string>> = {
  lost: (move) => `The lease of move ${move} is lost.`,
  pause: (move) => `Move ${move} is to pause.`,
  cancel: (move) => `Move ${move} is cancelled.`,
}

export interface LeaseOptions {
  /** Told once why the holder has to stop. */
  readonly onHalt?: (why: Halt) => void
  /** Aborted when the process is to end: the move pauses, and is whoever's that comes next. */
  readonly stop?: AbortSignal | undefined
}

/** Renew the lease of a claimed move until `end`. */
export function holdLease(
  fleet: Fleet,
  record: MoveRecord,
  leaseMs: number,
  { onHalt = () => {}, stop }: LeaseOptions = {},
): Lease {
  const own = fleet.session ? fleet : fleetOfMove(fleet, record)
  const [halting, ending] = [new AbortController(), new AbortController()]
  const halt = (why: Halt): void => {
    if (halting.signal.aborted || ending.signal.aborted) return
    halting.abort(new Halted(why, record.id))
    onHalt(why)
  }
  const rest = (): void => halt('pause')
  if (stop?.aborted) rest()
  stop?.addEventListener('abort', rest)
  // A directory that is away may keep a statement waiting for ever, so the end of the lease has a timer of its own.
  let over = setTimeout(halt, leaseMs, 'lost')
  const renewed = (): void => {
    clearTimeout(over)
    if (!ending.signal.aborted) over = setTimeout(halt, leaseMs, 'lost')
  }
  let progress: Progress | undefined
  const news = (): Progress | undefined => {
    const latest = progress
    progress = undefined
    return latest
  }
  const beating = beat({ fleet: own, record, leaseMs, halt, renewed, news, until: ending.signal })
  return {
    signal: halting.signal,
    keep(latest) {
      progress = latest
    },
    async end() {
      ending.abort()
      clearTimeout(over)
      stop?.removeEventListener('abort', rest)
      // A sign of life that is still under way would renew what was given back.
      const release = beating.then(() =>
        onDirectory(own.directoryUrl, (db) => releaseMove(db, record), own.session),
      )
      await atMost(RELEASE_MS, release)
    },
  }
}

interface Beating {
  readonly fleet: Fleet
  readonly record: MoveRecord
  readonly leaseMs: number
  readonly halt: (why: Halt) => void
  readonly renewed: () => void
  /** What is to be written down of the progress; once. */
  readonly news: () => Progress | undefined
  readonly until: AbortSignal
}

/** Milliseconds between attempts to reach a directory that is away. */
const RETRY_MS = 250

/** Milliseconds for giving a lease back; without that, others wait for its end. */
const RELEASE_MS = 2_000

/** Signs of life in the time of a lease: two may be late. */
const BEATS = 3
/** Milliseconds between two, at most: somebody watches the progress, and wants a pause to begin soon. */
const BEAT_MS = 1_000

async function beat(beating: Beating): Promise<void> {
  const { fleet, until } = beating
  let isOurs = true
  while (isOurs && !until.aborted) {
    const session = onDirectory(fleet.directoryUrl, (directory) => beatOn(directory, beating), fleet.session)
    isOurs = await session.catch((error: unknown) => !isGatewayError(error, 'TENANT_BUSY'))
    if (isOurs) await sleep(RETRY_MS, until)
  }
  if (!isOurs) beating.halt('lost')
}

/** @returns whether the lease is still ours when there is nothing more to renew */
async function beatOn(directory: Queryable, beating: Beating): Promise<boolean> {
  const { record, leaseMs, halt, renewed, news, until } = beating
  while (!until.aborted) {
    const [row] = await directory.query(
      compile(sql`
        update directory.move
        set lease_until = clock_timestamp() + ${sql.value(leaseMs)}::float8 * interval '1 millisecond',
          progress = coalesce(${sql.value(JSON.stringify(news()) ?? null)}::jsonb, progress)
        where id = ${sql.value(record.id)}::bigint and token = ${sql.value(record.token)}::bigint
        returning wanted, state`),
    )
    if (!row) return false
    renewed()
    const why = haltOf(row.wanted as MoveRecord['wanted'], row.state as MoveState)
    if (why) halt(why)
    await sleep(Math.min(BEAT_MS, leaseMs / BEATS), until)
  }
  return true
}

function haltOf(wanted: MoveRecord['wanted'], state: MoveState): Halt | undefined {
  if (wanted === 'pause') return UNPAUSED.includes(state) ? undefined : 'pause'
  const isTooLate = state === 'aborting' || TRANSITIONS[state].cancelled === null
  return wanted === 'cancel' && !isTooLate ? 'cancel' : undefined
}
