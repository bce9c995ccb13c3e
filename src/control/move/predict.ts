/**
 * What a move will take: by what earlier ones have taken where there are some, else by what was measured elsewhere.
 */

import type { Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { MovedSize } from './sizes.ts'
import type { Path } from './types.ts'

/** What a copy gets done in a millisecond. */
export interface Rates {
  readonly rows: number
  readonly bytes: number
  /** Milliseconds that writes were held by nine of ten live moves; undefined where nobody knows yet. */
  readonly pauseMs: number | undefined
}

/** A COPY without triggers into tables with all their indexes, on two cores: 76,000 rows and 12.3 MB a second. */
const MEASURED: Rates = { rows: 76, bytes: 12_300, pauseMs: undefined }

/** Milliseconds of a copy however few rows there are, and of each table that has some. */
const [WHOLE_MS, TABLE_MS] = [3, 1]

/** Milliseconds in which writes are held whatever is copied: the lock, two transactions of the directory, two fences. */
const HELD_MS = 12

/** Moves of fewer rows say nothing of the rate. */
const TELLING = 10_000

/** Earlier moves that are looked at; fewer than the second number are chance. */
const LATEST = 20
const ENOUGH = 5

/**
 * What earlier moves have shown. How long writes were held is forgotten after an hour: what refuses the next move must
 * not refuse all of them for ever.
 */
export async function learnRates(directory: Queryable): Promise<Rates> {
  const [row] = await directory.query(
    compile(sql`
      with copied as (
        select (memory->>'rows')::float8 as rows, (memory->>'bytes')::float8 as bytes,
          1000 * extract(epoch from (times->>'copied')::timestamptz - (times->>'prepared')::timestamptz)::float8 as ms
        from directory.move
        where path = 'live' and times ? 'copied' and times ? 'prepared' and (memory->>'rows')::float8 >= ${sql.literal(TELLING)}
        order by id desc limit ${sql.literal(LATEST)}
      ), held as (
        select pause_ms from directory.move
        where path = 'live' and pause_ms is not null and changed_at > now() - interval '1 hour'
        order by id desc limit ${sql.literal(LATEST)}
      )
      select (select sum(rows) / nullif(sum(ms), 0) from copied where ms > 0) as rows,
        (select sum(bytes) / nullif(sum(ms), 0) from copied where ms > 0) as bytes,
        (select percentile_cont(0.5) within group (order by pause_ms) from held having count(*) >= ${sql.literal(ENOUGH)}) as pause`),
  )
  const known = (text: string | null | undefined): number | undefined =>
    text == null ? undefined : Number(text)
  return {
    rows: known(row?.rows) || MEASURED.rows,
    bytes: known(row?.bytes) || MEASURED.bytes,
    pauseMs: known(row?.pause),
  }
}

/** Milliseconds that a copy will take. Either the rows are what it takes long for, or their bytes. */
export function predictCopy(sizes: readonly MovedSize[], { rows, bytes }: Rates = MEASURED): number {
  const filled = sizes.filter((size) => size.rows > 0)
  const sum = (of: (size: MovedSize) => number): number => filled.reduce((total, size) => total + of(size), 0)
  const copying = Math.max(sum((size) => size.rows) / rows, sum((size) => size.bytes) / bytes)
  return Math.round(WHOLE_MS + TABLE_MS * filled.length + copying)
}

/** Milliseconds that writes will be held: on the still path everything is copied meanwhile. */
export function predictPause(path: Path, copyMs: number, { pauseMs }: Rates = MEASURED): number {
  return Math.round(path === 'still' ? HELD_MS + copyMs : (pauseMs ?? 2 * HELD_MS))
}
