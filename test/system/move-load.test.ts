/**
 * Moves under load: tenants of all models and sizes go from place to place, and back, while their users write and read
 * through two gateways. No write is lost or doubled, nobody is told of an error, an acknowledged write is seen through
 * either gateway at once, and nothing is left behind.
 *
 * `npm run test:moves` makes 1,000 moves (MOVES) and prints what the users saw; SEED repeats a run.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { accessTo } from '../../src/control/homes/reach-home.ts'
import { completeMove, rollbackMove } from '../../src/control/move/run.ts'
import { type Fleet, movesOf, onHome } from '../../src/control/reach.ts'
import { connect } from '../../src/db/client.ts'
import { ISOLATIONS } from '../../src/directory/types.ts'
import { type Gateway, logged, startGateway, worldToken } from '../kit/gateway.ts'
import { openLedger, type Write } from '../kit/ledger.ts'
import { fleetOfWorld, moveTo, placementOf, remainsOf } from '../kit/move-world.ts'
import { type MoveWriters, type Seen, startMoveWriters } from '../kit/move-writers.ts'
import { runRandom } from '../kit/random.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

const MOVES = Number(process.env.MOVES ?? 12)
const RATE = 200
/** Rows that some tenants have more than others. */
const SIZES = [0, 200, 3_000, 20_000]
/** Moves at the same time. */
const LANES = 2

let world: World
let fleet: Fleet
let gateways: Gateway[] = []
let writers: MoveWriters
let folder: string
const random = runRandom().fork('moves')

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shardgate-moves-'))
  world = await startWorld({ tenants: 12, shards: 3, rows: 20, isolations: ISOLATIONS })
  // A slow machine may hold writes for longer than the default allows; how long is measured, not asserted.
  fleet = fleetOfWorld(world, { pauseMs: Number(process.env.PAUSE_MS ?? 3_000) })
  for (const [i, tenant] of world.tenants.entries()) await grow(tenant, SIZES[i % SIZES.length] ?? 0)
  gateways = [await startGateway(world), await startGateway(world)]
  const urls = gateways.map(({ url }) => url)
  writers = await startMoveWriters(urls, join(folder, 'ledger'), RATE)
  await warm()
})
afterAll(async () => {
  await writers?.end()
  await Promise.all(gateways.map((gateway) => gateway.stop()))
  await world?.stop()
  rmSync(folder, { recursive: true })
})

async function grow({ id, shard, canary }: WorldTenant, rows: number): Promise<void> {
  const { superuserUrl, schema } = world.homeOf({ id, shard })
  const client = await connect(superuserUrl)
  try {
    await client.query(`
      insert into "${schema}".tasks (tenant_id, id, project_id, title)
      select '${id}', 100000 + i, (select min(id) from "${schema}".projects where tenant_id = '${id}'),
        '${canary.tag} grown ' || i
      from generate_series(1, ${rows}) i`)
  } finally {
    await client.end()
  }
}

/** What the first requests of gateways cost is not what moves do: each has served every tenant for a moment. */
async function warm(): Promise<void> {
  await Promise.all(world.tenants.map(begin))
  await sleep(3_000)
  const seen = await Promise.all(world.tenants.map(end))
  expect(seen.flatMap(({ errors }) => errors)).toEqual([])
}

const last = new Map<string, number>()

async function begin(tenant: WorldTenant): Promise<void> {
  await writers.on(tenant.id, await worldToken(world, tenant), last.get(tenant.id) ?? 1_000_000)
}

async function end({ id }: WorldTenant): Promise<Seen> {
  const seen = await writers.off(id)
  last.set(id, seen.last)
  return seen
}

interface Told extends Seen {
  readonly what: string
  readonly path: string | null
  readonly pauseMs: number | null
  readonly tookMs: number
}

const told: Told[] = []

/** One move, with writers from before it until after it; then it is completed, or taken back. */
async function moveOnce(tenant: WorldTenant): Promise<void> {
  const { id } = tenant
  const { shard, isolation } = await placementOf(fleet, id)
  const places = fleet.shards.flatMap(({ key }) =>
    ISOLATIONS.map((model) => ({ shard: key, isolation: model })),
  )
  const to = random.pick(places.filter((place) => place.shard !== shard || place.isolation !== isolation))
  await begin(tenant)
  const started = performance.now()
  // Some of those that are small enough are copied while their writes are held; there is no way back from that.
  const stillMs = random.chance(0.3) ? 50 : 0
  const settled = await moveTo({ ...fleet, moves: { ...movesOf(fleet), stillMs } }, id, to)
  const what = `${shard} ${isolation} to ${to.shard} ${to.isolation}`
  const { state } =
    settled.path === 'live' && random.chance(0.3) ? await rollbackMove(fleet, settled.id) : settled
  if (state === 'settled') await completeMove(fleet, settled.id)
  const tookMs = performance.now() - started
  const seen = await end(tenant)
  told.push({ ...seen, what, path: settled.path, pauseMs: settled.pauseMs, tookMs })
  if (MOVES > 50 && told.length % 25 === 0) process.stderr.write(`${told.length} moves, ${summary()}\n`)
}

const percentile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? 0

function summary(): string {
  const of = (name: string, values: readonly number[]): string =>
    `${name} p50 ${percentile(values, 0.5).toFixed(0)} p99 ${percentile(values, 0.99).toFixed(0)} max ${percentile(values, 1).toFixed(0)} ms`
  return [
    of(
      'slowest write',
      told.map(({ slowestWrite }) => slowestWrite),
    ),
    of(
      'gap',
      told.map(({ gap }) => gap),
    ),
    of(
      'held',
      told.flatMap(({ pauseMs }) => pauseMs ?? []),
    ),
    of(
      'slowest read',
      told.map(({ slowestRead }) => slowestRead),
    ),
    of(
      'move',
      told.map(({ tookMs }) => tookMs),
    ),
    `${told.filter(({ path }) => path === 'live').length} live`,
    `${told.reduce((sum, { writes }) => sum + writes, 0)} writes, ${told.reduce((sum, { reads }) => sum + reads, 0)} reads`,
  ].join('; ')
}

async function writtenRows(tenant: WorldTenant): Promise<Write[]> {
  const { shard, isolation, namespace } = await placementOf(fleet, tenant.id)
  const schema = isolation === 'schema' ? namespace : world.schema
  return onHome(accessTo(fleet, shard), { isolation, namespace }, (client) =>
    client.transaction(async () => {
      await client.query(`set local app.current_tenant_id = '${tenant.id}'`)
      const rows = await client.query(
        `select title from "${schema}".tasks where tenant_id = '${tenant.id}' and title like '% wrote %'`,
      )
      return rows.map(({ title }) => ({ tenant: tenant.id, key: title ?? '' }))
    }),
  )
}

it(`moves tenants ${MOVES} times under load, and nobody notices`, {
  timeout: 120_000 + MOVES * 15_000,
}, async () => {
  const free = [...world.tenants]
  let begun = 0
  const lane = async (): Promise<void> => {
    while (begun++ < MOVES) {
      const [tenant] = free.splice(random.int(free.length), 1)
      await moveOnce(tenant!)
      free.push(tenant!)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  process.stderr.write(`SEED=${random.seed} ${MOVES} moves: ${summary()}\n`)
  const errors = told.flatMap((move) => move.errors.map((error) => `${move.what}: ${error}`))
  expect({ errors: errors.length, first: errors.slice(0, 8) }).toEqual({ errors: 0, first: [] })
  const ledger = await openLedger(join(folder, 'ledger'))
  const rows = (await Promise.all(world.tenants.map(writtenRows))).flat()
  expect(ledger.reconcile(rows)).toEqual({ lost: [], duplicated: [], unknown: [] })
  expect(rows.length).toBeGreaterThan(MOVES * 10)
  expect(gateways.flatMap((gateway) => logged(gateway, 'connection.mixup'))).toEqual([])
  expect(await remainsOf(world, fleet)).toEqual([])
  await ledger.close()
})
