/**
 * Traces: a span for each request of the API, in it one for its operation, in that one for each batch of statements.
 *
 *     traceparent ─▶ POST /graphql ─▶ query Tickets ─▶ shard-a read ─▶ application_name of the transaction
 *
 * With the API of OpenTelemetry alone. Who wants traces starts an SDK before the gateway (`--import`, as
 * docs/observability.md shows), and says there what is sampled and where it goes. An SDK with an exporter is 67 packages
 * of 25 MB, which nobody should have to install for a GraphQL gateway, and its settings would be ours to keep.
 *
 * Where no SDK is started, there is no tracing: a request pays for one comparison. Parents are passed by hand, and no
 * context is looked up: a pooled callback runs in that of the request which opened its connection.
 *
 * Spans hold what the log may hold, and SQL without values. Neither the document nor what an error says is in them.
 */

import { setTimeout } from 'node:timers/promises'
import {
  type Context,
  createTraceState,
  type ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { Event } from '../base/events.ts'
import { VERSION } from '../base/version.ts'
import type { RanStatements, Witness } from '../base/witness.ts'
import type { Exchange, RequestTrace } from './exchange.ts'
import { remoteSpan } from './traceparent.ts'

export interface Tracing {
  /** Begin the span of an exchange that is the API's. */
  begin(exchange: Exchange): void
  /** End its spans. */
  end(exchange: Exchange, done: Extract<Event, { kind: 'request.done' }>): void
  /** Send what waits, for the end of the process. Takes two seconds at most, and never rejects. */
  flush(): Promise<void>
}

/** Undefined where nobody records traces. To be asked when the gateway starts, after every `--import`. */
export function createTracing(): Tracing | undefined {
  const tracer = recordingTracer()
  if (!tracer) return undefined
  const open = new WeakMap<Exchange, RequestSpans>()
  return {
    begin(exchange) {
      const spans = new RequestSpans(tracer, exchange)
      open.set(exchange, spans)
      exchange.trace = spans
      if (spans.isRecording) exchange.deadline.witness = spans
    },
    end: (exchange, done) => open.get(exchange)?.end(done),
    flush: () =>
      Promise.race([flushProvider().catch(() => {}), setTimeout(FLUSH_MS, undefined, { ref: false })]),
  }
}

const FLUSH_MS = 2_000

/** SDKs collect spans for some seconds, and know how to be asked for them; the API does not. */
async function flushProvider(): Promise<void> {
  const provider: object = trace.getTracerProvider()
  const own: unknown = 'getDelegate' in provider ? (provider as ProxyTracerProvider).getDelegate() : provider
  await (own as { forceFlush?: () => Promise<void> }).forceFlush?.()
}

/** The provider stands for another one, until an SDK is started; it may be of another copy of the API. */
function recordingTracer(): Tracer | undefined {
  const provider: object = trace.getTracerProvider()
  if (!('getDelegateTracer' in provider)) return trace.getTracer('shardgate', VERSION)
  return (provider as ProxyTracerProvider).getDelegateTracer('shardgate', VERSION)
}

/** Characters of the statements of one span. */
const SQL_MAX = 10_000

class RequestSpans implements RequestTrace, Witness {
  readonly traceId: string
  readonly #tracer: Tracer
  readonly #request: Span
  readonly #outer: Context
  #operation: Span | undefined
  #inner: Context

  constructor(tracer: Tracer, { request, startedAt, requestId, path }: Exchange) {
    const method = request.method ?? ''
    this.#tracer = tracer
    this.#request = tracer.startSpan(
      `${method} ${path}`,
      {
        kind: SpanKind.SERVER,
        startTime: performance.timeOrigin + startedAt,
        attributes: { 'http.request.method': method, 'url.path': path, 'shardgate.request_id': requestId },
      },
      callerOf(request.headers),
    )
    this.#outer = trace.setSpan(ROOT_CONTEXT, this.#request)
    this.#inner = this.#outer
    this.traceId = this.#request.spanContext().traceId
  }

  get isRecording(): boolean {
    return this.#request.isRecording()
  }

  /** Told by both lanes where the first leaves the operation to the second. */
  began(kind: string, name: string | undefined): void {
    if (this.#operation) return
    const attributes = {
      'graphql.operation.type': kind,
      ...(name !== undefined && { 'graphql.operation.name': name }),
    }
    const title = name ? `${kind} ${name}` : kind
    this.#operation = this.#tracer.startSpan(title, { attributes, startTime: now() }, this.#outer)
    this.#inner = trace.setSpan(this.#outer, this.#operation)
  }

  ran({ shard, epoch, mode, texts, rows, waitedMs, durationMs, error }: RanStatements): void {
    const ended = now()
    const attributes = {
      'db.system.name': 'postgresql',
      'db.query.text': texts.join(';\n').slice(0, SQL_MAX),
      'db.operation.batch.size': texts.length,
      'db.response.returned_rows': rows.reduce((sum, count) => sum + count, 0),
      'shardgate.shard': shard,
      'shardgate.epoch': epoch,
      'shardgate.waited_ms': waitedMs,
    }
    const startTime = ended - durationMs
    const span = this.#tracer.startSpan(
      `${shard} ${mode}`,
      { kind: SpanKind.CLIENT, startTime, attributes },
      this.#inner,
    )
    if (error !== undefined) failed(span, nameOf(error))
    span.end(ended)
  }

  end({ status, code, tenant, shard, lane, cost, cache }: Extract<Event, { kind: 'request.done' }>): void {
    const ended = now()
    this.#request.setAttributes({
      'http.response.status_code': status,
      ...(tenant !== undefined && { 'shardgate.tenant': tenant }),
      ...(shard !== undefined && { 'shardgate.shard': shard }),
    })
    this.#operation?.setAttributes({
      'shardgate.cost': cost,
      ...(lane && { 'shardgate.lane': lane }),
      ...(cache && { 'shardgate.cache': cache }),
    })
    if (code && this.#operation) failed(this.#operation, code)
    if (code || status >= 500) failed(this.#request, code ?? String(status))
    this.#operation?.end(ended)
    this.#request.end(ended)
  }
}

/** Milliseconds since 1970, with fractions. */
const now = (): number => performance.timeOrigin + performance.now()

function failed(span: Span, type: string): void {
  span.setStatus({ code: SpanStatusCode.ERROR })
  span.setAttribute('error.type', type)
}

/** A code, where there is one: what an error says may quote a value. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}

function callerOf({ traceparent, tracestate }: NodeJS.Dict<string | string[]>): Context {
  const caller = remoteSpan(traceparent)
  if (!caller) return ROOT_CONTEXT
  const traceState = typeof tracestate === 'string' ? createTraceState(tracestate) : undefined
  return trace.setSpanContext(ROOT_CONTEXT, { ...caller, isRemote: true, ...(traceState && { traceState }) })
}
