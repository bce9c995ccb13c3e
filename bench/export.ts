/**
 * How fast a tenant of 150,000 rows is exported and imported, beside a bare COPY pipe between the same two databases.
 *
 *     npm run bench:export               five rounds, some two minutes
 *     ROUNDS=3 npm run bench:export
 *
 * users, tickets and comments with all their indexes, on tables that hold other tenants' rows too; each way in turn,
 * and after each the copy is removed and the tables are vacuumed:
 *
 * - pipe     COPY TO of each table piped into COPY FROM, one after the other, as superuser: nothing is verified
 * - quiet    the same with triggers off, so that foreign keys are not looked at: the fastest that Postgres is on one
 *            connection, and no safe way to copy
 * - binary   the same in COPY's binary format
 * - files    `tenant export`, then `tenant import`: hashes of files and contents, foreign keys, one manifest
 * - clone    `tenant clone`, which has no files
 */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { tenantId } from '../src/base/ids.ts'
import { exportTenant } from '../src/control/copy/export.ts'
import { cloneTenant, importTenant } from '../src/control/copy/import.ts'
import { withClient } from '../src/db/client.ts'
import { copyIn, copyOut } from '../src/db/copy.ts'
import { compile, sql } from '../src/db/sql.ts'
import { SIZES, TABLES } from './bare-pipe.ts'
import { type BenchDatabase, openDatabase, SCHEMA } from './database.ts'
import { type Spread, spreadOf } from './figures.ts'
import { keepResults, machineLines } from './results.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 5)
/** The copy's id on every way. */
const COPY = tenantId('c0c0c0c0-0000-4000-8000-000000000001')
const ROWS = 150_500

interface Way {
  readonly name: string
  /** Gives the milliseconds of its parts. */
  run(db: BenchDatabase): Promise<Readonly<Record<string, number>>>
}

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now()
  await work()
  return performance.now() - started
}

const WAYS: readonly Way[] = [
  { name: 'pipe', run: async (db) => ({ all: await timed(() => pipe(db, 'text', 'origin')) }) },
  { name: 'quiet', run: async (db) => ({ all: await timed(() => pipe(db, 'text', 'replica')) }) },
  { name: 'binary', run: async (db) => ({ all: await timed(() => pipe(db, 'binary', 'replica')) }) },
  { name: 'files', run: files },
  { name: 'clone', run: clone },
]

const sourceOf = ({ shards }: BenchDatabase) =>
  tenantId(shards[0]!.tenants.find(({ size }) => size === 'X')!.id)

function pipe(
  { shards, ...db }: BenchDatabase,
  format: 'text' | 'binary',
  role: 'origin' | 'replica',
): Promise<void> {
  const source = sourceOf({ shards, ...db })
  const form = format === 'text' ? sql`format text` : sql`format binary`
  return withClient(shards[0]!.superuserUrl, (from) =>
    withClient(shards[1]!.superuserUrl, async (to) => {
      await to.query(`set session_replication_role = ${role}; begin`)
      for (const [table, names] of Object.entries(TABLES)) {
        const columns = sql.join(
          names.map((name) => sql.identifier(name)),
          ', ',
        )
        const own = sql.identifier(SCHEMA, table)
        const read = sql`copy (select ${sql.literal(COPY)}::uuid, ${columns} from ${own} where tenant_id = ${sql.literal(source)}) to stdout (${form})`
        const write = sql`copy ${own} (tenant_id, ${columns}) from stdin (${form})`
        await pipeline(copyOut(from, read), copyIn(to, write))
      }
      await to.query('commit')
    }),
  )
}

async function files(db: BenchDatabase): Promise<Record<string, number>> {
  const folder = join(db.dir, 'export')
  rmSync(folder, { recursive: true, force: true })
  const parts = stopwatch()
  await exportTenant(db.fleet, sourceOf(db), { to: folder, report: parts.saw })
  const exported = parts.lap()
  const { rows } = await importTenant(db.fleet, folder, { as: COPY, shard: 'shard-2', report: parts.saw })
  requireAll(rows)
  const imported = parts.lap()
  return { all: exported + imported, export: exported, import: imported }
}

async function clone(db: BenchDatabase): Promise<Record<string, number>> {
  const all = await timed(async () => {
    requireAll((await cloneTenant(db.fleet, sourceOf(db), { as: COPY, shard: 'shard-2' })).rows)
  })
  return { all }
}

function stopwatch() {
  let since = performance.now()
  return {
    saw: () => {},
    lap: (): number => {
      const before = since
      since = performance.now()
      return since - before
    },
  }
}

function requireAll(rows: number): void {
  if (rows !== ROWS) throw new Error(`Wanted ${ROWS} rows; ${rows} were copied.`)
}

/** Remove the copy, so that the next way finds what the last one found. */
async function clear({ fleet, shards }: BenchDatabase): Promise<void> {
  await withClient(shards[1]!.superuserUrl, async (client) => {
    await client.query('set session_replication_role = replica')
    for (const table of Object.keys(TABLES)) {
      const own = sql.identifier(SCHEMA, table)
      await client.query(compile(sql`delete from ${own} where tenant_id = ${sql.value(COPY)}`))
      await client.query(compile(sql`vacuum ${own}`).text)
    }
    await client.query(compile(sql`delete from shardgate.tenant_fence where tenant_id = ${sql.value(COPY)}`))
    await client.query('checkpoint')
  })
  await withClient(fleet.directoryUrl, async (client) => {
    await client.query(compile(sql`delete from directory.tenant where id = ${sql.value(COPY)}`))
  })
}

const db = await openDatabase({
  name: 'export',
  sizes: SIZES,
  shards: 2,
  sharedBuffers: '512MB',
  report: (sentence) => console.log(sentence),
})
const times = new Map<string, number[]>()
try {
  await clear(db)
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { name, run } of WAYS) {
      const parts = await run(db)
      await clear(db)
      // The first round warms caches, and is thrown away.
      if (round === 0) continue
      for (const [part, ms] of Object.entries(parts)) {
        const key = part === 'all' ? name : `${name}: ${part}`
        times.set(key, [...(times.get(key) ?? []), ms])
      }
    }
    console.log(round === 0 ? 'Warm.' : `Round ${round} of ${ROUNDS}.`)
  }
} finally {
  await db.stop()
}

const cell = ({ median, min, max }: Spread, digits: number): string =>
  `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`
/** Of two ways in the same round: how many times as fast the second is. */
const ratios = (slow: string, fast: string): Spread =>
  spreadOf(times.get(fast)!.map((ms, round) => ms / times.get(slow)![round]!))
const rows = [...times].map(([name, all]) => {
  const seconds = spreadOf(all.map((ms) => ms / 1_000))
  return `| ${name} | ${cell(seconds, 2)} | ${Math.round(ROWS / seconds.median / 1_000)} |`
})
const compared = ['files', 'clone'].flatMap((ours) =>
  ['pipe', 'quiet', 'binary'].map((bare) => `| ${ours} | ${bare} | ${cell(ratios(ours, bare), 2)} |`),
)
const report = [
  '# Export and import beside a bare COPY',
  [...machineLines().map((line) => `- ${line}`), `- ${ROWS} rows of one tenant, ${ROUNDS} rounds`].join('\n'),
  ['| way | s, median (least–most) | thousand rows/s |', '| --- | --- | --- |', ...rows].join('\n'),
  ['| ours | bare | speed of ours, times that of the bare one |', '| --- | --- | --- |', ...compared].join(
    '\n',
  ),
].join('\n\n')
console.log(`\n${report}\n`)
console.log(`Kept in ${keepResults('export', `${report}\n`, Object.fromEntries(times))} and beside it.`)
