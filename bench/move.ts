/**
 * How fast a tenant of 150,000 rows is copied by a move, beside a bare COPY pipe between the same two databases, and
 * what the other tenants feel of it.
 *
 *     npm run bench:move               five rounds, some three minutes
 *     ROUNDS=3 PARTS=speed npm run bench:move
 *
 * users, tickets and comments with all their indexes, on tables that hold other tenants' rows too; each way in turn,
 * and after each the copy is removed and the tables are vacuumed:
 *
 * - pipe     COPY TO of each table piped into COPY FROM, one after the other, as superuser
 * - quiet    the same with triggers off, so that foreign keys are not looked at
 * - binary   the same in COPY's binary format: the fastest that Postgres is on one connection
 * - copy     what a move does: look that the target is empty, one moment, two lanes, counts
 * - paced    the same under the throttle, with nobody else on the servers
 *
 * Then the other tenants of both shards ask 200 requests a second through a gateway, a tenth of them writes. In each
 * round first nothing else goes on, then the tenant is copied, once with the throttle and once without.
 *
 * At last a small tenant, on the path on which its writes are held while it is copied (move-still.ts).
 */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { copyRows } from '../src/control/move/copy-rows.ts'
import { openThrottle } from '../src/control/move/throttle.ts'
import type { Moving } from '../src/control/move/types.ts'
import { movingTo } from '../test/kit/moving-homes.ts'
import { clear, pipe, SIZES, tenantOf } from './bare-pipe.ts'
import { type BenchDatabase, openDatabase, SCHEMA } from './database.ts'
import { type Spread, spreadOf } from './figures.ts'
import { callersOf, writeRequests } from './load.ts'
import { still } from './move-still.ts'
import { moveWhole } from './move-whole.ts'
import { keepResults, machineLines } from './results.ts'
import { SERVERS, startServer } from './servers.ts'
import { percentile, startSteady } from './steady-load.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 5)
const ROWS = 150_500

const WAYS = {
  pipe: (db) => pipe(db, 'text', 'origin'),
  quiet: (db) => pipe(db, 'text', 'replica'),
  binary: (db) => pipe(db, 'binary', 'replica'),
  copy: async (db) => requireAll(await copyRows(movingOf(db))),
  paced: async (db) => {
    const throttle = await openThrottle(movingOf(db))
    try {
      requireAll(await copyRows(movingOf(db), { throttle }))
    } finally {
      await throttle.end()
    }
  },
} satisfies Record<string, (db: BenchDatabase) => Promise<void>>

function movingOf(db: BenchDatabase): Moving {
  const home = { tenant: tenantOf(db), isolation: 'shared', namespace: SCHEMA, state: 'frozen' } as const
  return movingTo(db.fleet, { ...home, shard: 'shard-1', epoch: 1 }, { ...home, shard: 'shard-2', epoch: 2 })
}

function requireAll({ rows }: { readonly rows: number }): void {
  if (rows !== ROWS) throw new Error(`Wanted ${ROWS} rows; ${rows} were copied.`)
}

/** Milliseconds, or what a name says, by round. */
const seen = new Map<string, number[]>()
const note = (name: string, value: number): void => void seen.set(name, [...(seen.get(name) ?? []), value])

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

async function speed(db: BenchDatabase): Promise<string> {
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, run] of Object.entries(WAYS)) {
      const ms = await timed(() => run(db))
      await clear(db)
      // The first round warms caches, and is thrown away.
      if (round > 0) note(name, ms)
    }
    console.log(round === 0 ? 'Warm.' : `Round ${round} of ${ROUNDS}.`)
  }
  const rows = Object.keys(WAYS).map((name) => {
    const seconds = spreadOf(seen.get(name)!.map((ms) => ms / 1_000))
    return `| ${name} | ${cell(seconds, 2)} | ${Math.round(ROWS / seconds.median / 1_000)} |`
  })
  const compared = ['copy', 'paced'].flatMap((ours) =>
    ['pipe', 'quiet', 'binary'].map((bare) => `| ${ours} | ${bare} | ${cell(ratios(bare, ours), 2)} |`),
  )
  return [
    ['| way | s, median (least–most) | thousand rows/s |', '| --- | --- | --- |', ...rows].join('\n'),
    ['| ours | bare | speed of ours, times that of the bare one |', '| --- | --- | --- |', ...compared].join(
      '\n',
    ),
  ].join('\n\n')
}

/** Whole moves, there and back, each beside a bare pipe in the same round. */
async function moves(db: BenchDatabase): Promise<string> {
  for (let round = 0; round <= ROUNDS; round++) {
    const bare = { quiet: 0, pipe: 0 }
    for (const way of ['quiet', 'pipe'] as const) {
      bare[way] = await timed(() => WAYS[way](db))
      await clear(db)
    }
    for (const to of ['shard-2', 'shard-1']) {
      const { ms, copyMs, pauseMs } = await moveWhole(db.fleet, tenantOf(db), to)
      if (round === 0) continue
      note('move', ms)
      note('move: until copied', copyMs)
      note('move: pause', pauseMs)
      for (const way of ['pipe', 'quiet'] as const) {
        note(`move: speed, times that of ${way}`, bare[way] / ms)
        note(`move: speed until copied, times that of ${way}`, bare[way] / copyMs)
      }
    }
    console.log(`Moves: round ${round} of ${ROUNDS}.`)
  }
  const row = (name: string, digits: number): string =>
    `| ${name} | ${cell(spreadOf(seen.get(name)!), digits)} |`
  return [
    'Whole moves of the same tenant, there and back, in milliseconds, and its speed beside the pipes of the same round:',
    [
      '| part | median (least–most) |',
      '| --- | --- |',
      ...['move', 'move: until copied', 'move: pause'].map((name) => row(name, 0)),
      ...[...seen.keys()].filter((name) => name.includes('speed')).map((name) => row(name, 2)),
    ].join('\n'),
  ].join('\n\n')
}

/** Requests per second of the other tenants. */
const RATE = 200
const QUIET_MS = 5_000

async function others(db: BenchDatabase): Promise<string> {
  const file = join(db.dir, 'others.requests')
  const all = await callersOf(db.shards.map(({ tenants }) => tenants))
  writeRequests(
    file,
    'Q7',
    all.filter(({ tenant }) => tenant.size !== 'X'),
    'shardgate',
  )
  const places = { configFile: db.configFile(), databaseUrl: db.shards[0]!.appUrl, dir: db.dir }
  const gateway = await startServer(SERVERS.ours, places)
  const load = startSteady({ port: gateway.port, rate: RATE, connections: 16, file })
  const windows: { name: string; from: number; to: number }[] = []
  const during = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    const from = Date.now()
    await work()
    windows.push({ name, from, to: Date.now() })
  }
  try {
    await sleep(QUIET_MS)
    for (let round = 1; round <= ROUNDS; round++) {
      for (const name of ['paced', 'copy'] as const) {
        await during('quiet', () => sleep(QUIET_MS))
        await during(name, () => WAYS[name](db))
        await clear(db)
        await sleep(1_000)
      }
      console.log(`Others: round ${round} of ${ROUNDS}.`)
    }
  } finally {
    const answers = await load.stop().finally(() => gateway.stop())
    for (const { name, from, to } of windows) {
      const times = answers(from, to)
      note(`others ${name} p50`, percentile(times, 0.5))
      note(`others ${name} p99`, percentile(times, 0.99))
      note(`others ${name} s`, (to - from) / 1_000)
    }
  }
  return othersTable()
}

function othersTable(): string {
  const quiet = seen.get('others quiet p99')!
  const rows = ['quiet', 'paced', 'copy'].map((name) => {
    const figure = (what: string, digits: number): string =>
      cell(spreadOf(seen.get(`others ${name} ${what}`)!), digits)
    const p99 = spreadOf(seen.get(`others ${name} p99`)!).median / spreadOf(quiet).median
    return `| ${name} | ${figure('s', 1)} | ${figure('p50', 1)} | ${figure('p99', 1)} | ${p99.toFixed(2)} |`
  })
  return [
    `${RATE} requests a second of the other tenants meanwhile:`,
    [
      '| meanwhile | s | p50, ms | p99, ms | p99, times that of quiet |',
      '| --- | --- | --- | --- | --- |',
      ...rows,
    ].join('\n'),
  ].join('\n\n')
}

async function small(): Promise<string> {
  const times = await still(4 * ROUNDS, (sentence) => console.log(sentence))
  const rows = Object.entries(times).map(([name, all]) => {
    for (const ms of all) note(`still ${name}`, ms)
    return `| ${name} | ${cell(spreadOf(all), 1)} |`
  })
  return [
    `Ten tables with 50 rows each, while writes are held, ${4 * ROUNDS} times:`,
    ['| part | ms, median (least–most) |', '| --- | --- |', ...rows].join('\n'),
  ].join('\n\n')
}

const cell = ({ median, min, max }: Spread, digits: number): string =>
  `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`
/** Of two ways in the same round: how many times as fast the second is. */
const ratios = (slow: string, fast: string): Spread =>
  spreadOf(seen.get(fast)!.map((ms, round) => seen.get(slow)![round]! / ms))

const db = await openDatabase({
  name: 'export',
  sizes: SIZES,
  shards: 2,
  sharedBuffers: '512MB',
  settings: { wal_level: 'logical' },
  report: (sentence) => console.log(sentence),
})
try {
  await clear(db)
  const parts = process.env.PARTS?.split(',') ?? ['speed', 'moves', 'others', 'still']
  const sections = [
    ...(parts.includes('speed') ? [await speed(db)] : []),
    ...(parts.includes('moves') ? [await moves(db)] : []),
    ...(parts.includes('others') ? [await others(db)] : []),
    ...(parts.includes('still') ? [await small()] : []),
  ]
  const lines = [
    ...machineLines().map((line) => `- ${line}`),
    `- ${ROWS} rows of one tenant, ${ROUNDS} rounds`,
  ]
  const report = ['# The copy of a move', lines.join('\n'), ...sections].join('\n\n')
  console.log(`\n${report}\n`)
  console.log(`Kept in ${keepResults('move', `${report}\n`, Object.fromEntries(seen))} and beside it.`)
} finally {
  await db.stop()
}
