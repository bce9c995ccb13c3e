/**
 * Shutdown in order: nobody who was let in is thrown out, and nobody waits for ever.
 *
 *     signal ─▶ not ready, still serving, each answer ends its connection   (drainMs: balancers notice)
 *            ─▶ no new connections, open requests finish                    (stopMs at most)
 *            ─▶ pools and watchers close ─▶ the admin port closes
 *
 * A second signal skips the waiting: open connections are cut, everything is still closed in order.
 */

import { once } from 'node:events'
import type { Server } from 'node:http'
import type { Emit } from '../base/events.ts'
import { sleep } from '../base/time.ts'
import type { HttpServer } from './server.ts'

export interface ShutdownOptions {
  readonly http: HttpServer
  readonly admin: Server
  /** Milliseconds; read when the first signal comes. */
  readonly times: () => { readonly drainMs: number; readonly stopMs: number }
  /** Called when it begins: for what else ends meanwhile. */
  readonly begin?: () => void
  /** Closes what requests need: called when none is open any more. */
  readonly close: () => Promise<void>
  readonly emit: Emit
}

export interface Shutdown {
  /** True from the first `stop` on. */
  draining(): boolean
  /**
   * Begin, or hurry when it has begun. All calls end together, when everything is closed.
   *
   * @throws what `close` throws, after the rest is closed
   */
  stop(reason: string): Promise<void>
}

export function createShutdown(options: ShutdownOptions): Shutdown {
  const hurry = new AbortController()
  let ending: Promise<void> | undefined
  const stop = (reason: string): Promise<void> => {
    if (ending) hurry.abort()
    ending ??= shutDown(options, reason, hurry.signal)
    return ending
  }
  return { draining: () => ending !== undefined, stop }
}

async function shutDown(options: ShutdownOptions, reason: string, hurry: AbortSignal): Promise<void> {
  const { http, admin, times, begin, close, emit } = options
  const { drainMs, stopMs } = times()
  emit({ kind: 'gateway.draining', reason })
  begin?.()
  http.drain()
  await sleep(drainMs, hurry)
  await closeServer(http.server, stopMs, hurry)
  try {
    await close()
  } finally {
    await closeServer(admin, 0, hurry)
    emit({ kind: 'gateway.stopped' })
  }
}

/** Resolves once the gateway has stopped after SIGINT or SIGTERM; a second one hurries it. SIGHUP calls `reload`. */
export async function stopOnSignals(shutdown: Shutdown, reload: () => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const stop = (signal: NodeJS.Signals): void => void shutdown.stop(signal).then(resolve, reject)
  process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', reload)
  try {
    await promise
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', reload)
  }
}

/** Idle connections end at once, busy ones after their answer, all of them after `ms`. */
async function closeServer(server: Server, ms: number, hurry: AbortSignal): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  const done = new AbortController()
  const enough = AbortSignal.any([hurry, done.signal])
  void closed.then(() => done.abort())
  await sleep(ms, enough)
  server.closeAllConnections()
  await closed
}
