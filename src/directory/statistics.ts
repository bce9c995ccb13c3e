/**
 * Statistics of lists: counted in this process, added to the directory each minute and at the end.
 *
 *     list.done ──▶ a count by shard and shape ──▶ directory.list_statistic, additive
 *
 * They serve advice, not accounts. So they give way to everything else: shapes beyond a bound are not
 * counted until the next minute, and what cannot be written is forgotten.
 */

import { createHash } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import type { Event } from '../base/events.ts'
import type { ListShape } from '../base/list-shape.ts'
import { type Client, type Queryable, sqlState, withClient } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'

/** What all gateways together have seen of one shape on one shard. */
export interface ListStatistic {
  readonly shard: string
  readonly shape: ListShape
  readonly calls: number
  /** Milliseconds of all calls, from sending to the last row. */
  readonly totalMs: number
  /** Rows of all calls. */
  readonly rows: number
}

export interface StatisticsRecorder {
  /** Takes 'list.done' and ignores every other event. */
  listener(event: Event): void
  /** Write what was counted since the last time. Never throws. */
  flush(): Promise<void>
  /** Stop writing each minute. */
  end(): void
}

export interface StatisticsOptions {
  /** Connection string of the directory. */
  readonly url: string
  /** Default is 60,000. */
  readonly everyMs?: number
}

/** Shapes counted at once: filters are the callers', and there is no end to their combinations. */
const SHAPES_MAX = 1_000
/** Shapes kept in the directory, the latest seen. */
const KEPT_MAX = 10_000
/** Days after which a shape that nobody asks for any more says nothing. */
const KEPT_DAYS = 30
/** Milliseconds for one write; a gateway that stops waits no longer. */
const WRITE_MS = 2_000

interface Count {
  readonly shard: string
  readonly shape: ListShape
  calls: number
  totalMs: number
  rows: number
}

export function statisticsRecorder({ url, everyMs = 60_000 }: StatisticsOptions): StatisticsRecorder {
  let counts = new Map<string, Count>()
  const flush = async (): Promise<void> => {
    if (counts.size === 0) return
    const taken = [...counts.values()]
    counts = new Map()
    const settings = { connectMs: WRITE_MS, applicationName: 'shardgate statistics' }
    const written = withClient(url, (client) => addStatistics(client, taken), settings).catch(() => {})
    // A server that accepts and is silent must not hold up a gateway that stops.
    await Promise.race([written, setTimeout(2 * WRITE_MS, undefined, { ref: false })])
  }
  const timer = setInterval(flush, everyMs).unref()
  return {
    listener(event) {
      if (event.kind !== 'list.done') return
      const { shard, list, durationMs, rows } = event
      const key = `${shard} ${textOf(list)}`
      const count = counts.get(key) ?? { shard, shape: list, calls: 0, totalMs: 0, rows: 0 }
      if (count.calls === 0 && counts.size >= SHAPES_MAX) return
      counts.set(key, count)
      count.calls += 1
      count.totalMs += durationMs
      count.rows += rows
    },
    flush,
    end: () => clearInterval(timer),
  }
}

// A compiled operation tells of the same objects each time.
const texts = new WeakMap<ListShape, string>()

function textOf(shape: ListShape): string {
  const known = texts.get(shape)
  if (known !== undefined) return known
  const text = JSON.stringify(shape)
  texts.set(shape, text)
  return text
}

/** Add to what the directory has, and remove what is too old or too much. */
async function addStatistics(client: Client, counts: readonly ListStatistic[]): Promise<void> {
  const list = counts.map(({ shape, ...numbers }) => ({ ...numbers, shape, id: idOf(shape) }))
  await client.query(`set statement_timeout = ${WRITE_MS}`)
  await client.query(
    compile(sql`
      insert into directory.list_statistic as known (shard, shape_id, shape, calls, total_ms, rows)
      select shard, id, shape, calls, "totalMs", rows
      from jsonb_to_recordset(${sql.value(JSON.stringify(list))}::jsonb)
        as l (shard text, id text, shape jsonb, calls bigint, "totalMs" double precision, rows bigint)
      order by shard, id -- two gateways that write at once must lock in one order
      on conflict (shard, shape_id) do update set
        calls = known.calls + excluded.calls, total_ms = known.total_ms + excluded.total_ms,
        rows = known.rows + excluded.rows, seen_at = now()`),
  )
  await client.query(
    compile(sql`
      delete from directory.list_statistic
      where seen_at < now() - make_interval(days => ${sql.value(KEPT_DAYS)}::int)
        or seen_at < (
          select seen_at from directory.list_statistic
          order by seen_at desc offset ${sql.value(KEPT_MAX - 1)}::int limit 1)`),
  )
}

function idOf(shape: ListShape): string {
  return createHash('sha256').update(JSON.stringify(shape)).digest('hex')
}

/** Everything that has been counted; undefined in a directory that was set up before there were statistics. */
export async function readStatistics(db: Queryable): Promise<ListStatistic[] | undefined> {
  const rows = await db
    .query('select shard, shape::text, calls, total_ms, rows from directory.list_statistic')
    .catch((error: unknown) => {
      if (sqlState(error) === '42P01') return undefined
      throw error
    })
  return rows?.map((row) => ({
    shard: row.shard ?? '',
    shape: JSON.parse(row.shape ?? 'null') as ListShape,
    calls: Number(row.calls),
    totalMs: Number(row.total_ms),
    rows: Number(row.rows),
  }))
}
