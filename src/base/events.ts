/**
 * Everything that happens, as one union. Code emits; the log and the metrics subscribe and switch
 * over it exhaustively, so no other file writes a log line or counts anything.
 *
 * An event never carries row data, a token, a password or SQL values.
 */

import type { ErrorCode } from './errors.ts'
import type { ListShape } from './list-shape.ts'

/** What a path leads to; a path itself is the caller's text and no label. */
export type Route = 'graphql' | 'page' | 'health' | 'none'

/** What ran an operation: a compiled plan, or resolvers. */
export type LaneName = 'compiled' | 'resolver'

/** Tried anew; not within its time; too many were held; the client hung up; the tenant is refused by now. */
export type HoldOutcome = 'released' | 'late' | 'full' | 'gone' | 'refused'

/** Kept; done before; put off, as its tenant cannot be written now; failed, to be tried again; failed for good. */
export type JobEnd = 'done' | 'repeated' | 'put-off' | 'failed' | 'dead'

/** Which limit of a tenant a request has met. */
export type LimitReason = 'requests' | 'cost' | 'month' | 'concurrency'

export type Event =
  | { kind: 'gateway.listening'; port: number; adminPort: number }
  | { kind: 'gateway.draining'; reason: string }
  | { kind: 'gateway.stopped' }
  | {
      kind: 'config.reloaded'
      file: string
      changed: readonly string[]
      /** Keys that differ in the file and go on with their old value until the next start. */
      needsRestart: readonly string[]
    }
  | { kind: 'config.refused'; file: string; reason: string }
  | {
      kind: 'documents.read'
      /** How many there are in the manifests. */
      documents: number
      /** Which of them the schema or the limits refuse, a sentence each. */
      unfit: readonly string[]
    }
  | {
      kind: 'request.done'
      requestId: string
      method: string
      route: Route
      /** 499 when the client hung up before its answer. */
      status: number
      durationMs: number
      tenant?: string
      /** Where the tenant was when the request came. */
      shard?: string
      /** Of the trace that the request is a part of, where traces are recorded. */
      traceId?: string
      lane?: LaneName
      operation?: string
      code?: ErrorCode
      /** Of the operation, as graphql/limits/ reckons it; 0 where none ran. */
      cost: number
      /** Of the body that was read, or of the query string of a GET. */
      bytesIn: number
      /** Of the body of an answer that has left whole. */
      bytesOut: number
      /** Errors that the answer holds. */
      errors: number
      cache?: 'hit' | 'miss'
      /** Of the token, as tenant/subject.ts hashes it: for counting users, and in no log. */
      subject?: string
    }
  | {
      kind: 'request.failed'
      requestId: string
      error: unknown
      tenant?: string
      traceId?: string | undefined
    }
  | {
      kind: 'statement.done'
      /** Left out for what no request has asked for. */
      requestId?: string | undefined
      tenant: string
      shard: string
      mode: 'read' | 'write'
      /** In line, before anything was sent. */
      waitedMs: number
      /** From then until it was answered. */
      durationMs: number
      /** Of that, what its session was at work on it and on nothing that stood before it: what the tenant is charged. */
      databaseMs: number
      /** That came back. */
      rows: number
    }
  | { kind: 'list.done'; shard: string; list: ListShape; durationMs: number; rows: number }
  | { kind: 'connection.destroyed'; shard: string; reason: string }
  | { kind: 'connection.mixup'; shard: string; asked: string; answered: string }
  | { kind: 'shard.up'; shard: string }
  | { kind: 'shard.down'; shard: string; reason: string }
  | { kind: 'shard.refused'; shard: string; reason: string }
  | { kind: 'table.refused'; shard: string; table: string; reason: string }
  | { kind: 'table.served'; shard: string; table: string }
  | { kind: 'database.refused'; shard: string; database: string; reason: string }
  | { kind: 'place.refused'; shard: string; namespace: string; reason: string }
  | { kind: 'place.served'; shard: string; namespace: string; shape: string; tables: number }
  | { kind: 'placement.refreshed'; tenant: string; reason: string }
  | {
      /** The tenant is elsewhere, or in another state, than this gateway has known. */
      kind: 'placement.changed'
      tenant: string
      shard: string
      isolation: string
      epoch: number
    }
  /** A request was refused because of how much its tenant may take. */
  | { kind: 'request.limited'; requestId: string; tenant: string; reason: LimitReason }
  | {
      /** A request of a tenant that is just being moved had to wait. */
      kind: 'request.held'
      requestId?: string | undefined
      tenant: string
      /** The one that it would have gone to. */
      shard: string
      mode: 'read' | 'write'
      ms: number
      outcome: HoldOutcome
    }
  | { kind: 'directory.down'; reason: string }
  | { kind: 'directory.up' }
  | { kind: 'redis.up' }
  /** What gateways share is each one's own until it is up again. */
  | { kind: 'redis.down'; reason: string }
  /** It answers, and refuses something; told once for each reason and connection. */
  | { kind: 'redis.refused'; reason: string }
  | { kind: 'redis.none' }
  | { kind: 'keys.refreshed'; issuer: string; keys: number }
  | { kind: 'keys.failed'; issuer: string; reason: string }
  /** `from` and `to` are shards; told by whoever runs the move. */
  | { kind: 'move.state'; move: string; tenant: string; from: string; to: string; state: string }
  | { kind: 'move.failed'; move: string; tenant: string; state: string; reason: string; again: boolean }
  | { kind: 'move.window'; move: string; tenant: string; gives: string }
  | {
      /** One run of a job. */
      kind: 'job.done'
      job: string
      id: string
      tenant: string
      attempt: number
      end: JobEnd
      durationMs: number
      /** Why it was not kept. */
      reason?: string
    }
  | { kind: 'queue.down'; reason: string }
  | { kind: 'queue.up' }
  /** What is counted cannot be written now, and is kept; then it could, and nothing was lost meanwhile. */
  | { kind: 'usage.late'; reason: string }
  | { kind: 'usage.written' }
  /** Requests that are in no ledger, because too much was waiting to be written. */
  | { kind: 'usage.lost'; requests: number }
  /** A kept answer was looked for: in this process, among those that are just being read, in Redis. */
  | { kind: 'cache.asked'; layer: CacheLayer; result: 'hit' | 'miss' | 'away' }
  /** Something lay or was told where only gateways write, and none of them has written it; it was not used. */
  | { kind: 'cache.poisoned'; layer: CacheLayer; reason: string; tenant?: string }

export type CacheLayer = 'process' | 'flight' | 'redis'

export type Emit = (event: Event) => void

/** Hands each event to all `listeners`; one that throws stops neither the others nor the caller. */
export function eventBus(...listeners: Emit[]): Emit {
  return (event) => {
    for (const listener of listeners) {
      try {
        listener(event)
      } catch {
        // A full disk under the log or a bad metric label must not fail a request, and reporting it
        // through the same bus would loop.
      }
    }
  }
}
