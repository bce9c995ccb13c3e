/** The W3C header `traceparent`: the span of the caller that a request belongs to. */

export interface RemoteSpan {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
  /** Bit 0: the caller records the trace. */
  readonly traceFlags: number
}

// Later versions may put more behind it. 'ff' is none.
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const NONE = /^0+$/

/**
 * Undefined for a header that is not there or not well formed: the request then begins a trace of its own.
 *
 * @param header  as Node gives it; one that came twice has a comma, which is not well formed
 */
export function remoteSpan(header: string | readonly string[] | undefined): RemoteSpan | undefined {
  if (typeof header !== 'string') return undefined
  const [, version, traceId = '', spanId = '', flags = '', more] = TRACEPARENT.exec(header) ?? []
  if (version === undefined || NONE.test(traceId) || NONE.test(spanId)) return undefined
  if (version === '00' && more !== undefined) return undefined
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1 }
}
