/**
 * How far behind the followed changes are, measured from end to end: a mark is made where the tenant writes, and the
 * time until it has come through is the lag. Positions of the server alone would say nothing of changes that it has
 * not looked at yet, and fall to 0 where it has just been restarted.
 */

import { randomUUID } from 'node:crypto'
import { type Clock, sleep, systemClock } from '../../base/time.ts'
import type { Client } from '../../db/client.ts'
import { lsnOf } from '../../db/replication.ts'
import { compile, sql } from '../../db/sql.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { asMover } from '../copy/target.ts'

export interface Lag {
  /** Of the WAL of the server where the tenant writes: what others write there is among it. */
  readonly bytes: number
  readonly ms: number
}

/** What marks of a move are known by in the stream. */
export const MARKS = 'shardgate.move'

/**
 * Make a mark in the stream of changes: in the transaction that is open, or by itself.
 *
 * @param mark  of a name that this move has used for nothing else
 * @returns the position of the server's WAL: 'X/X'
 */
export async function emitMark(client: Client, moveId: string, mark: string): Promise<string> {
  const [row] = await client.query(
    compile(sql`
      select pg_logical_emit_message(true, ${sql.value(MARKS)}, ${sql.value(`${moveId} ${mark}`)}) as lsn`),
  )
  return row?.lsn ?? '0/0'
}

const PULSE = 'pulse-'

/** Whether a mark is only there to measure. */
export const isPulse = (mark: string): boolean => mark.startsWith(PULSE)

/** Milliseconds between two marks. */
const BEAT_MS = 500

/** Milliseconds in which a server that is there has said something. */
const ANSWER_MS = 20_000

// A server that is gone without a word is noticed by nothing else for minutes.
async function answered(work: Promise<void>): Promise<void> {
  const over = new AbortController()
  const late = sleep(ANSWER_MS, over.signal).then(() => 'late' as const)
  try {
    if ((await Promise.race([work, late])) === 'late') throw new Error(`no answer within ${ANSWER_MS} ms`)
  } finally {
    over.abort()
  }
}

export class Pulse {
  readonly #from: Whereabouts
  readonly #moveId: string
  readonly #clock: Clock
  readonly #ending = new AbortController()
  #out: { readonly mark: string; readonly at: number } | undefined
  #known: bigint | undefined
  #ms: number | undefined
  readonly #since: number

  constructor(from: Whereabouts, moveId: string, clock: Clock = systemClock) {
    this.#from = from
    this.#moveId = moveId
    this.#clock = clock
    this.#since = clock.elapsed()
  }

  /** Make marks until `end`. @throws when the server cannot be reached */
  run(): Promise<void> {
    const { signal } = this.#ending
    return asMover(this.#from)(async (client) => {
      while (!signal.aborted) {
        await answered(this.#out ? this.#look(client) : this.#beat(client))
        await sleep(BEAT_MS, signal)
      }
    })
  }

  async #beat(client: Client): Promise<void> {
    const mark = `${PULSE}${randomUUID()}`
    this.#out = { mark, at: this.#clock.elapsed() }
    this.#known = lsnOf(await emitMark(client, this.#moveId, mark))
  }

  async #look(client: Client): Promise<void> {
    const [row] = await client.query('select pg_current_wal_insert_lsn() as lsn')
    this.#known = lsnOf(row?.lsn ?? '0/0')
  }

  /** A mark has come through. */
  seen(mark: string): void {
    if (this.#out?.mark !== mark) return
    this.#ms = this.#clock.elapsed() - this.#out.at
    this.#out = undefined
  }

  /** @param applied  everything before it is at the other end */
  lag(applied: bigint): Lag {
    const behind = this.#known === undefined ? 0n : this.#known - applied
    const waiting = this.#clock.elapsed() - (this.#out?.at ?? this.#since)
    // As long as nothing has come through, nobody knows better than the time since the beginning.
    const ms = this.#out || this.#ms === undefined ? Math.max(waiting, this.#ms ?? 0) : this.#ms
    return { bytes: behind > 0n ? Number(behind) : 0, ms }
  }

  end(): void {
    this.#ending.abort()
  }
}
