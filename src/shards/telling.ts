/** What is told of the statements that run for a tenant: to the log, the metrics and the meter, and to who has asked. */

import type { Emit } from '../base/events.ts'
import type { Deadline } from '../base/time.ts'
import type { Row } from '../db/batch.ts'
import type { Statement } from '../db/sql.ts'
import type { Meter } from '../db/stopwatch.ts'
import type { Placement } from '../directory/types.ts'
import type { Mode } from './fence.ts'
import type { ForHome } from './namespaces.ts'
import type { Shard } from './shard.ts'

/** What a transaction has waited for its connection: its first statement tells it. */
export interface Waited {
  ms: number
}

/** Of whom a statement is told, and to whom. */
export interface Teller {
  readonly placement: Placement
  readonly shard: Shard
  readonly mode: Mode
  readonly deadline: Deadline
  readonly waited?: Waited
}

/** Runs statements, and tells of them however they end. */
export type Told = (
  teller: Teller,
  statements: readonly Statement[],
  work: (meter: Meter) => Promise<Row[][]>,
) => Promise<Row[][]>

export function telling(emit: Emit, forHome: ForHome): Told {
  /** Statements of one batch are answered together: each counts with its share of the time. */
  function tellLists(shard: string, statements: readonly Statement[], results: Row[][], ms: number): void {
    const durationMs = ms / statements.length
    for (const [i, { lists = [] }] of statements.entries()) {
      const rows = results[i]?.length ?? 0
      for (const list of lists) emit({ kind: 'list.done', shard, list, durationMs, rows })
    }
  }

  return async ({ placement, shard: { key: shard }, mode, deadline, waited }, statements, work) => {
    const started = performance.now()
    const meter: Meter = { workedMs: 0, longMs: 0 }
    let results: Row[][] = []
    let rows = 0
    let failure: unknown
    try {
      results = await work(meter)
      for (const result of results) rows += result.length
      tellLists(shard, statements, results, meter.workedMs)
      return results
    } catch (error) {
      failure = error
      throw error
    } finally {
      const ended = performance.now()
      const { sentAt = ended, workedMs: databaseMs } = meter
      const waitedMs = sentAt - started + (waited?.ms ?? 0)
      if (waited) waited.ms = 0
      const durationMs = ended - sentAt
      const { tenant, epoch } = placement
      const { requestId, witness } = deadline
      emit({ kind: 'statement.done', requestId, tenant, shard, mode, waitedMs, durationMs, databaseMs, rows })
      witness?.ran({
        ...{ shard, epoch, mode, waitedMs, durationMs, error: failure },
        texts: forHome(placement, statements).map(({ text }) => text),
        rows: results.map(({ length }) => length),
      })
    }
  }
}
