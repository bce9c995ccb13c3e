/**
 * `fetch` as the gateway wants it; every client beside this file is given it.
 *
 * Each request carries a fresh token. An answer whose errors say `retryable` is asked for again, after the time
 * that they name. That is safe for mutations too: all of an operation are kept or none, and one that may have
 * been kept says OUTCOME_UNKNOWN, which is not retryable.
 */

export interface GatewayOptions {
  readonly url: string
  /** Asked before each request; may renew the token. */
  readonly token: () => string | Promise<string>
  readonly fetch?: typeof fetch
}

/** What stands in `errors[].extensions`; docs/errors.md lists the codes. */
export interface GatewayErrorExtensions {
  readonly code: string
  readonly retryable: boolean
  /** Seconds. */
  readonly retryAfter?: number
  readonly requestId: string
}

const TRIES = 4
const SOON_MS = 50

export function gatewayFetch({ token, fetch: send = fetch }: GatewayOptions): typeof fetch {
  return async (input, init = {}) => {
    for (let tries = 1; ; tries += 1) {
      const headers = new Headers(init.headers)
      headers.set('authorization', `Bearer ${await token()}`)
      // Only a query by GET needs it: a foreign page cannot set a header.
      headers.set('x-graphql-yoga-csrf', '1')
      const response = await send(input, { ...init, headers })
      const waitMs = tries < TRIES ? await retryAfterMs(response) : null
      if (waitMs === null) return response
      // Not all at the same moment: whatever was away has just come back.
      await new Promise((resolve) => setTimeout(resolve, waitMs * (1 + Math.random())))
    }
  }
}

async function retryAfterMs(response: Response): Promise<number | null> {
  const answer: Answer = await response
    .clone()
    .json()
    .catch(() => ({}))
  const extensions = answer.errors?.flatMap((error) => error.extensions ?? []) ?? []
  if (!extensions.some(({ retryable }) => retryable)) return null
  return Math.max(SOON_MS, ...extensions.map(({ retryAfter = 0 }) => retryAfter * 1_000))
}

interface Answer {
  readonly errors?: readonly { readonly extensions?: GatewayErrorExtensions }[]
}
