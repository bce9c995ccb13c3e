/**
 * The lines of the log: what is written about each event, and how loudly.
 *
 * A line is built from named fields of the event, never from the event as a whole, so a new field stays out until
 * somebody puts it in. Errors pass through `scrub` (scrub.ts): connection strings, tokens and the values that
 * Postgres quotes are cut out.
 */

import type { Config } from './config.ts'
import type { Event, JobEnd } from './events.ts'
import { describeError, scrub } from './scrub.ts'

export type LogLevel = Config['logLevel']

export interface LogLine {
  readonly level: LogLevel
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

const line = (level: LogLevel, message: string, fields: LogLine['fields'] = {}): LogLine => ({
  level,
  message,
  fields,
})

/** What is written about an event, and how loudly. */
export function lineOf(event: Event): LogLine {
  const { kind } = event
  switch (event.kind) {
    case 'gateway.listening':
      return line('info', 'listening', { kind, port: event.port, adminPort: event.adminPort })
    case 'gateway.draining':
      return line('info', 'draining: no new connections are wanted', { kind, reason: event.reason })
    case 'gateway.stopped':
      return line('info', 'stopped', { kind })
    case 'config.reloaded':
      return line(event.needsRestart.length > 0 ? 'warn' : 'info', 'configuration reloaded', {
        kind,
        file: event.file,
        changed: event.changed,
        needsRestart: event.needsRestart,
      })
    case 'config.refused':
      return line('error', 'configuration refused, the old one stays', {
        kind,
        file: event.file,
        reason: scrub(event.reason),
      })
    case 'documents.read':
      return line(event.unfit.length > 0 ? 'warn' : 'info', 'trusted documents read', {
        kind,
        documents: event.documents,
        unfit: event.unfit,
      })
    case 'request.done':
      return requestLine(event)
    case 'request.failed':
      return line('error', 'request failed on a fault of the gateway', {
        kind,
        requestId: event.requestId,
        traceId: event.traceId,
        tenant: event.tenant,
        error: describeError(event.error),
      })
    case 'request.limited':
      return line('debug', 'request is over a limit of its tenant', {
        kind,
        requestId: event.requestId,
        tenant: event.tenant,
        reason: event.reason,
      })
    case 'request.held': {
      const { requestId, tenant, shard, mode, ms, outcome } = event
      const fields = { kind, requestId, tenant, shard, mode, ms: Math.round(ms * 1000) / 1000, outcome }
      return line(
        outcome === 'released' ? 'debug' : 'warn',
        'request of a tenant that is being moved',
        fields,
      )
    }
    case 'statement.done': {
      const { requestId, tenant, shard, mode, waitedMs, durationMs, databaseMs, rows } = event
      const fields = { kind, requestId, tenant, shard, mode, waitedMs, durationMs, databaseMs, rows }
      return line('debug', 'statement done', fields)
    }
    case 'list.done':
      return line('debug', 'list done', {
        kind,
        shard: event.shard,
        table: event.list.table,
        rows: event.rows,
        durationMs: event.durationMs,
      })
    case 'connection.destroyed':
      return line('warn', 'connection destroyed', { kind, shard: event.shard, reason: scrub(event.reason) })
    case 'connection.mixup':
      return line('fatal', 'a connection answered for another tenant and was destroyed', {
        kind,
        shard: event.shard,
        asked: event.asked,
        answered: event.answered,
      })
    default:
      return fleetLine(event)
  }
}

type RequestDone = Extract<Event, { kind: 'request.done' }>

function requestLine(event: RequestDone): LogLine {
  const { kind, requestId, traceId, method, route, status, durationMs } = event
  const { tenant, shard, lane, operation, code } = event
  // One object, written out: there is a line for each request.
  const fields = {
    kind,
    requestId,
    traceId,
    method,
    route,
    status,
    durationMs,
    tenant,
    shard,
    lane,
    operation,
    code,
  }
  return line(status >= 500 ? 'warn' : 'info', 'request', fields)
}

type FleetEvent = Extract<
  Event,
  {
    kind:
      | `shard.${string}`
      | `table.${string}`
      | `database.${string}`
      | `place.${string}`
      | `placement.${string}`
      | `directory.${string}`
      | `cache.${string}`
      | `keys.${string}`
      | `redis.${string}`
      | `move.${string}`
      | `usage.${string}`
      | `job.${string}`
      | `queue.${string}`
  }
>

function fleetLine(event: FleetEvent): LogLine {
  const { kind } = event
  switch (event.kind) {
    case 'shard.up':
      return line('info', 'shard is up', { kind, shard: event.shard })
    case 'shard.down':
      return line('error', 'shard is down', { kind, shard: event.shard, reason: scrub(event.reason) })
    case 'shard.refused':
      return line('error', 'shard is not served', { kind, shard: event.shard, reason: scrub(event.reason) })
    case 'database.refused': {
      const { shard, database } = event
      return line('error', 'database is not served', { kind, shard, database, reason: scrub(event.reason) })
    }
    case 'place.refused': {
      const { shard, namespace } = event
      return line('error', 'place is not served', { kind, shard, namespace, reason: scrub(event.reason) })
    }
    case 'place.served': {
      const { shard, namespace, shape, tables } = event
      return line('info', 'tables of a place are served', { kind, shard, namespace, shape, tables })
    }
    case 'table.refused':
      return line('warn', 'table is not served', {
        kind,
        shard: event.shard,
        table: event.table,
        reason: scrub(event.reason),
      })
    case 'table.served':
      return line('info', 'table is served again', { kind, shard: event.shard, table: event.table })
    case 'placement.changed': {
      const { tenant, shard, isolation, epoch } = event
      return line('info', 'placement changed', { kind, tenant, shard, isolation, epoch })
    }
    case 'placement.refreshed':
      return line('info', 'placement read again', { kind, tenant: event.tenant, reason: scrub(event.reason) })
    case 'directory.down':
      return line('error', 'directory is down, known tenants go on', { kind, reason: scrub(event.reason) })
    case 'directory.up':
      return line('info', 'directory is up', { kind })
    case 'redis.up':
      return line('info', 'Redis is up', { kind })
    case 'redis.down':
      return line('warn', 'Redis is down, limits and cache are of this process alone', {
        kind,
        reason: scrub(event.reason),
      })
    case 'redis.refused':
      return line('error', 'Redis refuses a command, it counts as unanswered', {
        kind,
        reason: scrub(event.reason),
      })
    case 'redis.none':
      return line('info', 'no Redis is configured: limits and cache are of each process', { kind })
    case 'cache.asked':
      return line('debug', 'kept answer looked for', { kind, layer: event.layer, result: event.result })
    case 'cache.poisoned': {
      const { tenant, layer, reason } = event
      return line('error', 'a kept answer was not written by a gateway', { kind, tenant, layer, reason })
    }
    case 'keys.refreshed':
      return line('info', 'token keys read', { kind, issuer: event.issuer, keys: event.keys })
    case 'keys.failed':
      return line('error', 'token keys cannot be read, the old ones stay', {
        kind,
        issuer: event.issuer,
        reason: scrub(event.reason),
      })
    case 'move.state': {
      const { move, tenant, from, to, state } = event
      return line('info', 'move came into a state', { kind, move, tenant, from, to, state })
    }
    case 'move.failed': {
      const { move, tenant, state, again } = event
      return line(again ? 'warn' : 'error', again ? 'move failed, it is tried again' : 'move failed', {
        kind,
        move,
        tenant,
        state,
        reason: scrub(event.reason),
      })
    }
    case 'move.window': {
      const { move, tenant, gives } = event
      return line('warn', 'window of a move ends early: its slot is needed', { kind, move, tenant, gives })
    }
    case 'usage.late':
      return line('warn', 'usage cannot be written now, it is kept', { kind, reason: scrub(event.reason) })
    case 'usage.written':
      return line('info', 'usage is written again', { kind })
    case 'usage.lost':
      return line('error', 'requests were not metered', { kind, requests: event.requests })
    case 'job.done':
      return jobLine(event)
    case 'queue.down':
      return line('error', 'the queue of jobs cannot be reached; jobs wait', {
        kind,
        reason: scrub(event.reason),
      })
    case 'queue.up':
      return line('info', 'the queue of jobs is reached again', { kind })
    default:
      return unknownLine(event)
  }
}

const JOB_LEVELS: Readonly<Record<JobEnd, LogLevel>> = {
  done: 'info',
  repeated: 'info',
  'put-off': 'info',
  failed: 'warn',
  dead: 'error',
}

function jobLine(event: Extract<Event, { kind: 'job.done' }>): LogLine {
  const { kind, job, id, tenant, attempt, end, durationMs, reason } = event
  return line(JOB_LEVELS[end], `job ${end}`, {
    kind,
    job,
    id,
    tenant,
    attempt,
    end,
    durationMs: Math.round(durationMs),
    ...(reason !== undefined && { reason: scrub(reason) }),
  })
}

// The compiler refuses a kind without a case; at run time a line without fields is the safe answer.
function unknownLine(event: never): LogLine {
  return line('warn', 'an event that the log does not know', { kind: (event as Event).kind })
}
