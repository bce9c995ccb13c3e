/** The metric families of the whole fleet: what the directory says, read at a scrape and kept for a minute. */

import { Gauge, type Registry } from 'prom-client'
import { type Clock, systemClock } from './time.ts'

export interface DirectoryFigures {
  readonly tenants: readonly { readonly shard: string; readonly state: string; readonly count: number }[]
  /** Of those that have not ended: how many there are, and of how many the last step has failed. */
  readonly moves: readonly { readonly state: string; readonly count: number; readonly failing: number }[]
  /** Targets on a shard that lack what another target has, and those whose last migration has failed. */
  readonly migrations: readonly {
    readonly shard: string
    readonly pending: number
    readonly failed: number
  }[]
}

/** Milliseconds between two readings: a scrape comes every few seconds, to each of the gateways. */
const KEPT_MS = 60_000

/** @param read  rejects when the directory is away; its families are empty then, rather than old */
export function watchDirectory(
  registry: Registry,
  read: () => Promise<DirectoryFigures>,
  clock: Clock = systemClock,
): void {
  const figures = kept(read, clock)
  const gauge = <T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[],
    rows: (figures: DirectoryFigures) => readonly (readonly [Record<T, string>, number])[],
  ): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        const found = await figures()
        this.reset()
        if (found) for (const [labels, count] of rows(found)) this.set(labels, count)
      },
    })
  }
  gauge('gateway_tenants', 'Tenants by shard and state', ['shard', 'state'], ({ tenants }) =>
    tenants.map(({ shard, state, count }) => [{ shard, state }, count]),
  )
  gauge('gateway_moves', 'Moves that have not ended, by state', ['state'], ({ moves }) =>
    moves.map(({ state, count }) => [{ state }, count]),
  )
  gauge('gateway_moves_failing', 'Moves whose last step has failed, by state', ['state'], ({ moves }) =>
    moves.map(({ state, failing }) => [{ state }, failing]),
  )
  gauge('gateway_migrations_pending', 'Targets that lack a migration', ['shard'], ({ migrations }) =>
    migrations.map(({ shard, pending }) => [{ shard }, pending]),
  )
  gauge('gateway_migrations_failed', 'Targets whose last migration failed', ['shard'], ({ migrations }) =>
    migrations.map(({ shard, failed }) => [{ shard }, failed]),
  )
}

/** One reading for all families and all scrapes of a minute; a failed one is tried again by the next scrape. */
function kept(
  read: () => Promise<DirectoryFigures>,
  clock: Clock,
): () => Promise<DirectoryFigures | undefined> {
  let last: { readonly at: number; readonly figures: Promise<DirectoryFigures | undefined> } | undefined
  return () => {
    if (last && clock.elapsed() - last.at < KEPT_MS) return last.figures
    const reading = { at: clock.elapsed(), figures: read().catch(() => undefined) }
    last = reading
    void reading.figures.then((found) => {
      if (!found && last === reading) last = undefined
    })
    return reading.figures
  }
}
