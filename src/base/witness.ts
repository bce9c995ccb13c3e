/**
 * Who hears of the statements that run for one request: its trace, or an operator who has asked what it does.
 *
 * It goes down with the request's deadline, which whatever runs for a request is given anyway. Nothing looks it up from
 * around itself: a pooled callback runs in the context of the request that opened its connection.
 */

/** Statements that were sent together and answered together. */
export interface RanStatements {
  readonly shard: string
  /** Of the placement under which they were sent. */
  readonly epoch: number
  readonly mode: 'read' | 'write'
  /** As they were sent. They hold no values: those are parameters. */
  readonly texts: readonly string[]
  /** Rows that came back for each; none of them where one was refused. */
  readonly rows: readonly number[]
  /** Milliseconds in line, before anything was sent. */
  readonly waitedMs: number
  /** Milliseconds from then until the answer. */
  readonly durationMs: number
  /** Why there was no answer. */
  readonly error?: unknown
}

export interface Witness {
  /** The trace that the request is a part of, 32 hexadecimal digits: told to the shard, whose log can name it. */
  readonly traceId?: string | undefined
  /** Told right after the answer. */
  ran(statements: RanStatements): void
}
