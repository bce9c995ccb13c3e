/**
 * What an operator is told of one request, as `extensions.explain` of its answer, when it comes with the header
 * `X-Shardgate-Explain: 1`. Nobody else is told where tenants are, or sees SQL: intake.ts asks for the role.
 *
 * It is put to the answer when that leaves, behind whatever keeps answers for others (caches, idempotency keys). The
 * operation runs as it always does, in the lane that it always has; SQL comes without values, which are parameters.
 */

import type { RanStatements, Witness } from '../base/witness.ts'

/** In small letters. */
export const EXPLAIN_HEADER = 'x-shardgate-explain'

/** Batches of statements that are told; a mutation of many rows may have thousands. */
const BATCHES_MAX = 100
/** Characters of one SQL text. */
const SQL_MAX = 10_000

/** What the exchange knows besides. */
export interface Explained {
  readonly tenant: string
  readonly shard: string
  readonly epoch: number
  readonly isolation: string
  readonly lane: string | null
  readonly cache: 'hit' | 'miss' | null
  readonly cost: object | null
  /** Milliseconds since the first byte of the request. */
  readonly milliseconds: number
}

export class Explanation implements Witness {
  readonly #batches: RanStatements[] = []
  readonly #next: Witness | undefined
  #batchCount = 0
  #rows = 0

  /** @param next  who wants to hear of the statements as well */
  constructor(next?: Witness) {
    this.#next = next
  }

  get traceId(): string | undefined {
    return this.#next?.traceId
  }

  ran(batch: RanStatements): void {
    this.#batchCount += 1
    for (const rows of batch.rows) this.#rows += rows
    if (this.#batches.length < BATCHES_MAX) this.#batches.push(batch)
    this.#next?.ran(batch)
  }

  /** The value of `extensions.explain`; docs/observability.md has its fields. */
  report(explained: Explained): object {
    const { milliseconds, ...of } = explained
    return {
      ...of,
      milliseconds: rounded(milliseconds),
      rows: this.#rows,
      statements: this.#batches.flatMap(statementsOf),
      ...(this.#batchCount > this.#batches.length && {
        batchesLeftOut: this.#batchCount - this.#batches.length,
      }),
    }
  }
}

/** Statements of one batch are answered together, so that its milliseconds are those of each. */
function statementsOf({ shard, epoch, mode, texts, rows, ...times }: RanStatements, i: number): object[] {
  return texts.map((text, n) => ({
    batch: i + 1,
    shard,
    epoch,
    mode,
    sql: text.slice(0, SQL_MAX),
    rows: rows[n] ?? null,
    milliseconds: rounded(times.durationMs),
    waitedMilliseconds: rounded(times.waitedMs),
  }))
}

const rounded = (ms: number): number => Math.round(ms * 1000) / 1000
