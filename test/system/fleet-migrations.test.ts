/**
 * Migrations over a fleet under load: added columns on every target, killed at random moments and gone on with, while
 * tenants of all three models are served. `npm run test:fleet` does it with 300 schemas, 50 databases and 2,000 tenants
 * of shared tables, and prints how long it takes; an ordinary run has a few of each.
 */

import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadConfig } from '../../src/base/config.ts'
import { tenantId } from '../../src/base/ids.ts'
import { fleetOf } from '../../src/commands/context.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { inParallel } from '../../src/control/migrate/lanes.ts'
import { fleetStatus } from '../../src/control/migrate/status.ts'
import { migrateFleet, type UpResult } from '../../src/control/migrate/up.ts'
import { verifyFleet } from '../../src/control/migrate/verify.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { createTenants } from '../../src/control/register.ts'
import { type Ending, endCommands, shardgate } from '../kit/command.ts'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { WORLD_FOLDER } from '../kit/homes.ts'
import { type Load, startLoad } from '../kit/load.ts'
import { runRandom } from '../kit/random.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

const IS_FULL = process.env.FLEET === 'full'
const SIZE = IS_FULL
  ? { schema: 300, database: 50, shared: 2_000, kills: 20 }
  : { schema: 5, database: 4, shared: 20, kills: 3 }
/** Tenants with rows, who are served all the time, of all three models. */
const SERVED = 9
const HOURS = 3_600_000

let world: World
let gateway: Gateway
let fleet: Fleet
let folder: string
let load: Load
let targets: number

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shardgate-fleet-'))
  cpSync(WORLD_FOLDER, folder, { recursive: true })
  world = await startWorld(
    { tenants: SERVED, isolations: ['shared', 'schema', 'database'] },
    { migrations: folder },
  )
  fleet = fleetOf(loadConfig(world.configFile, {}))
  await migrateFleet(fleet)
  const began = performance.now()
  await createTenants(
    fleet,
    names('shared', SIZE.shared).map((id) => ({ id: tenantId(id) })),
  )
  const homes = (['schema', 'database'] as const).flatMap((isolation) =>
    names(isolation, SIZE[isolation] - countOf(isolation)).map((id, i) => ({
      id,
      isolation,
      shard: world.shards[i % 3]!.key,
    })),
  )
  await inParallel(homes, 4, ({ id, ...home }) => createTenant(fleet, { id: tenantId(id), ...home }))
  targets = 3 + SIZE.schema + SIZE.database
  tell(`${homes.length} homes and ${SIZE.shared} tenants of shared tables made`, performance.now() - began)
  gateway = await startGateway(world)
  const callers = await Promise.all(
    world.tenants.map(async (tenant) => ({ tenant, token: await worldToken(world, tenant) })),
  )
  load = await startLoad(gateway.url, callers)
}, HOURS)
afterAll(async () => {
  await load?.stop()
  await gateway?.stop()
  await endCommands()
  await world?.stop()
  if (folder) rmSync(folder, { recursive: true })
}, HOURS)

/** Of those that are served all the time. */
const countOf = (isolation: string): number =>
  world.tenants.filter((tenant) => tenant.isolation === isolation).length

const names = (kind: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${kind}-${i + 1}`)

function tell(what: string, ms: number): void {
  if (IS_FULL) process.stderr.write(`${what}: ${(ms / 1000).toFixed(2)} s\n`)
}

function addFile(version: number, column: string): void {
  writeFileSync(
    join(folder, `${version}_${column}.sql`),
    `-- migrate:up\nalter table tasks add column ${column} int;\n`,
  )
}

async function up(): Promise<UpResult> {
  const { out, err, status } = await shardgate(['migrate', 'up', '-o', 'json', '-c', world.configFile]).ended
  expect(status, out + err).toBe(0)
  return JSON.parse(out) as UpResult
}

const recorded = async (version: number): Promise<number> =>
  (await fleetStatus(fleet)).filter((one) => one.version === String(version)).length

it('an added column reaches every target with its time, and a second run has nothing to do', {
  timeout: HOURS,
}, async () => {
  addFile(20270101000001, 'added_first')
  const first = await up()
  expect(first.results).toHaveLength(targets)
  expect(
    first.results.every(({ applied, error, ms }) => applied.length === 1 && error === null && ms > 0),
  ).toBe(true)
  const times = first.results.map(({ ms }) => ms).sort((a, b) => a - b)
  tell(`${targets} targets migrated`, first.ms)
  tell('a target, the middle one', times[Math.floor(targets / 2)]!)
  tell('a target, the slowest one', times.at(-1)!)
  const second = await up()
  expect(second).toMatchObject({ targets, results: [], left: [] })
  tell('with nothing to do', second.ms)
  if (IS_FULL) expect(second.ms).toBeLessThan(3_000)
})

it('killed at random, it always resumes to exact versions', { timeout: HOURS }, async () => {
  const version = 20270101000002
  addFile(version, 'added_second')
  const random = runRandom()
  const moments = Array.from({ length: SIZE.kills }, () => random.int(targets)).sort((a, b) => a - b)
  for (const moment of moments) {
    const running = shardgate(['migrate', 'up', '-c', world.configFile])
    let ending: Ending | undefined
    void running.ended.then((it) => {
      ending = it
    })
    while (!ending && (await recorded(version)) < moment) await pause(20)
    // Not always right behind an entry: anywhere in the work that follows it.
    await pause(random.int(200))
    if (!ending) running.signal('SIGKILL')
    await running.ended
    // What had come to its end before must have come to a good one.
    expect(ending?.status ?? 0, ending?.err).toBe(0)
  }
  const last = await up()
  expect(last.results.every(({ error }) => error === null)).toBe(true)
  const status = await fleetStatus(fleet)
  expect(status).toHaveLength(targets)
  expect(status.every((one) => one.pending === 0 && !one.drift && one.error === null)).toBe(true)
  const verdicts = await verifyFleet(fleet)
  expect(verdicts.filter(({ kind }) => kind !== 'as expected')).toEqual([])
  expect((await up()).results).toEqual([])
})

it('0 requests of tenants of all three models have failed', () => {
  const { ok = 0, ...others } = load.sum(world.tenants)
  tell(`${ok} requests answered`, 0)
  expect(others).toEqual({})
  expect(ok).toBeGreaterThan(SERVED)
})
