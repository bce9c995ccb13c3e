/**
 * Faults at random while a test runs: backends killed, tables locked until statements time out, and
 * connections cut between the gateway and its shards.
 */

import pg from 'pg'
import { sleep } from '../../src/base/time.ts'
import type { RowsPlace } from './places-of-rows.ts'
import type { Random } from './random.ts'
import type { World, WorldShard } from './shard-fixture.ts'
import { WORLD_TABLES } from './world-rows.ts'

export interface FaultCounts {
  /** Backends of the app role that were told to end. */
  killed: number
  /** Tables that were locked until a request had to give up. */
  locked: number
  /** Times at which all connections of a shard were cut. */
  cut: number
}

export interface Faults {
  readonly counts: FaultCounts
  /** No more faults from here on; resolves when the last one is over. */
  stop(): Promise<void>
}

export interface FaultOptions {
  /** Milliseconds between two faults on a shard, on average. */
  readonly everyMs: number
  /** Milliseconds that a table stays locked: longer than a request may take. */
  readonly lockMs: number
}

/** Start to do damage to the shards of `world`, each on its own beat. */
export function startFaults(world: World, random: Random, options: FaultOptions): Faults {
  const counts: FaultCounts = { killed: 0, locked: 0, cut: 0 }
  const stopping = new AbortController()
  const running = world.shards.map((shard) =>
    harass(
      {
        shard,
        places: world.placesOn(shard.key),
        random: random.fork(shard.key),
        counts,
        signal: stopping.signal,
      },
      options,
    ),
  )
  return {
    counts,
    async stop() {
      stopping.abort()
      await Promise.all(running)
    },
  }
}

interface Victim {
  readonly shard: WorldShard
  /** Where the rows of its tenants are. */
  readonly places: readonly RowsPlace[]
  readonly random: Random
  readonly counts: FaultCounts
  readonly signal: AbortSignal
}

async function harass(victim: Victim, { everyMs, lockMs }: FaultOptions): Promise<void> {
  const { shard, places, random, counts, signal } = victim
  const clients = new Map<string, pg.Client>()
  for (const url of new Set(places.map((place) => place.url))) {
    const client = new pg.Client(url)
    await client.connect()
    clients.set(url, client)
  }
  while (!signal.aborted) {
    await sleep(random.int(everyMs * 2), signal)
    const die = random.unit()
    const place = random.pick(places)
    const client = clients.get(place.url)!
    if (die < 0.92) counts.killed += await killOne(client)
    else if (die < 0.96) await lockTable(client, place, victim, lockMs)
    else if (shard.proxy && shard.proxy.counts.open > 0) {
      shard.proxy.cut(random.pick(['reset', 'end']))
      counts.cut++
    }
  }
  for (const client of clients.values()) await client.end()
}

// Any of them: idle ones, ones in the middle of a statement, ones in a transaction.
async function killOne(client: pg.Client): Promise<number> {
  const { rowCount } = await client.query(`
    select pg_terminate_backend(pid) from (
      select pid from pg_stat_activity
      where datname = current_database() and usename = 'shardgate_app'
      order by random() limit 1) victim`)
  return rowCount ?? 0
}

async function lockTable(
  client: pg.Client,
  { schema }: RowsPlace,
  { random, counts, signal }: Victim,
  lockMs: number,
): Promise<void> {
  await client.query('begin')
  await client.query(`lock table "${schema}".${random.pick(WORLD_TABLES)} in access exclusive mode`)
  await sleep(lockMs, signal)
  await client.query('rollback')
  counts.locked++
}
