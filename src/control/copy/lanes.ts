/** Several connections that work off one list. */

import type { Client } from '../../db/client.ts'

/** Opens a connection, runs the work, and closes it. */
export type OnClient = <T>(work: (client: Client) => Promise<T>) => Promise<T>

/** Run `work` with as many connections as there are ways to open one, in their order. */
export function withAll<T>(
  ways: readonly OnClient[],
  work: (clients: readonly Client[]) => Promise<T>,
): Promise<T> {
  const [first, ...rest] = ways
  if (!first) return work([])
  return first((client) => withAll(rest, (others) => work([client, ...others])))
}

/** Open connections in each of these ways, and keep them; all or none. */
export async function hold(ways: readonly OnClient[]): Promise<{
  readonly clients: readonly Client[]
  /** Once; what closing them throws is of no interest any more. */
  end(): Promise<void>
}> {
  const opened = Promise.withResolvers<readonly Client[]>()
  const over = Promise.withResolvers<void>()
  const closed = withAll(ways, (clients) => {
    opened.resolve(clients)
    return over.promise
  })
  closed.catch(opened.reject)
  const clients = await opened.promise
  const end = async (): Promise<void> => {
    over.resolve()
    await closed.catch(() => {})
  }
  return { clients, end }
}

/**
 * Do `work` with every item, each lane one after the other. The first failure stops the others, by the signal, and is
 * thrown once they have stopped.
 */
export async function inLanes<Lane, Item>(
  lanes: readonly Lane[],
  items: readonly Item[],
  work: (lane: Lane, item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController()
  const waiting = [...items]
  const failures: unknown[] = []
  const run = async (lane: Lane): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      if (stop.signal.aborted) return
      await work(lane, item, stop.signal)
    }
  }
  await Promise.all(
    lanes.map((lane) =>
      run(lane).catch((error: unknown) => {
        failures.push(error)
        stop.abort()
      }),
    ),
  )
  if (failures.length > 0) throw failures[0]
}
