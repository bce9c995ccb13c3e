/** Events that are metered: a request and a statement that are done, with what a test says of them. */

import type { Event } from '../../src/base/events.ts'

type RequestDone = Extract<Event, { kind: 'request.done' }>
type StatementDone = Extract<Event, { kind: 'statement.done' }>

export function doneRequest(tenant: string, more: Partial<RequestDone> = {}): RequestDone {
  return {
    kind: 'request.done',
    requestId: 'r',
    method: 'POST',
    route: 'graphql',
    status: 200,
    durationMs: 2,
    tenant,
    cost: 0,
    bytesIn: 0,
    bytesOut: 0,
    errors: 0,
    ...more,
  }
}

export function doneStatement(tenant: string, more: Partial<StatementDone> = {}): StatementDone {
  return {
    kind: 'statement.done',
    tenant,
    shard: 'shard-a',
    mode: 'read',
    waitedMs: 0,
    durationMs: 1,
    databaseMs: 1,
    rows: 1,
    ...more,
  }
}
