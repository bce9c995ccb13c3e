/**
 * The databases of a benchmark: a Postgres 18 for each shard, installed and filled as an operator would, and kept in
 * the system's folder for temporary files, so that the next run begins at once.
 *
 * Everything is as Shardgate sets it up itself, with three exceptions, the same for all servers: a cache that holds
 * all rows; vacuum and checkpoints so seldom that they fall into no slice; and commits that do not wait for the disk,
 * or Q5 would compare the disk with itself, and with whatever else the machine writes.
 */

import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tenantId } from '../src/base/ids.ts'
import { ensureDatabase, ensureLogin } from '../src/control/bootstrap.ts'
import { install } from '../src/control/install.ts'
import type { Fleet } from '../src/control/reach.ts'
import { registerTenants } from '../src/control/register.ts'
import { type Client, withClient } from '../src/db/client.ts'
import type { EmbeddedServer } from '../src/db/embedded/server.ts'
import { type EmbeddedServers, startEmbedded } from '../src/db/embedded/start.ts'
import { migrate } from '../test/kit/migrate.ts'
import { type BenchTenant, fillRows, type Layout, planTenants, type TenantSize } from './rows.ts'

export const SCHEMA = 'bench'
/** Signs the tokens of the benchmark; every server knows it. */
export const SECRET = 'a secret that only the benchmark knows'
export const ISSUER = 'bench'

const DATABASE = 'shardgate'
const DIRECTORY = 'shardgate_directory'
const PASSWORDS = { owner: 'bench-owner', app: 'bench-app', mover: 'bench-mover' } as const
const TABLES = join(import.meta.dirname, 'tables')
const BUCKETS = 256

/** What the data are made by: where one of these files changes, they are made anew. */
const MADE_BY = ['rows.ts', 'database.ts', 'tables/20260101000000_tickets.sql']
const SETUP = ['../src/directory/sql', '../src/shards/sql']

const SETTINGS = {
  autovacuum_naptime: '10min',
  checkpoint_timeout: '30min',
  max_wal_size: '8GB',
}

export interface BenchShard {
  readonly key: string
  readonly superuserUrl: string
  /** Of the role that gateway and peers serve with: no owner, and not past the policies. */
  readonly appUrl: string
  /** Process id of its postmaster. */
  readonly pid: number
  readonly tenants: readonly BenchTenant[]
}

export interface BenchDatabase {
  /** Folder for logs and files of a run. */
  readonly dir: string
  readonly shards: readonly BenchShard[]
  /** As the operator's commands take it. */
  readonly fleet: Fleet
  /** A configuration file for a gateway. */
  configFile(own?: OwnSettings): string
  stop(): Promise<void>
}

/** What a gateway's configuration has on top of the usual. */
export interface OwnSettings {
  /** Of its file: gateways that differ, side by side, have one each. Default is shards. */
  readonly name?: string
  /** Of each shard: { readConnections: 1 }. */
  readonly shard?: Readonly<Record<string, number>>
  /** Keys of the file itself. */
  readonly settings?: object
}

export interface DatabaseOptions {
  /** Names the folder: data of another name are other data. */
  readonly name: string
  readonly sizes: readonly TenantSize[]
  /** Default is 1; tenants are dealt to the shards in turn. */
  readonly shards?: number
  /** How rows lie on disk; default is 'mixed'. */
  readonly layout?: Layout
  /** Of each shard: '1GB'. */
  readonly sharedBuffers: string
  /** Of each server, on top of the usual ones. */
  readonly settings?: Readonly<Record<string, string>>
  readonly report: (sentence: string) => void
}

/** Start the servers, and make and fill the databases when they are not there yet. */
export async function openDatabase(options: DatabaseOptions): Promise<BenchDatabase> {
  const { name, report } = options
  const root = join(tmpdir(), 'shardgate-bench')
  const dir = join(root, name)
  mkdirSync(dir, { recursive: true })
  for (const folder of [root, dir]) chmodSync(folder, 0o755)
  const keys = Array.from({ length: options.shards ?? 1 }, (_, i) => `shard-${i + 1}`)
  const settings = { ...SETTINGS, shared_buffers: options.sharedBuffers, ...options.settings }
  const servers = await startEmbedded({ dir, names: keys, settings, durable: false, report })
  try {
    const tenants = planTenants(options.sizes)
    const shards = keys.map((key, i) => benchShard(servers.get(key), dealt(tenants, i, keys.length)))
    await makeOnce(join(servers.home, 'filled'), options, shards)
    const fleet = fleetOf(shards)
    return {
      dir,
      shards,
      fleet,
      configFile: (own) => writeConfig(dir, shards, own),
      stop: () => stopAll(servers),
    }
  } catch (error) {
    await servers.stopAll()
    throw error
  }
}

const stopAll = (servers: EmbeddedServers): Promise<void> => servers.stopAll()

const dealt = (tenants: readonly BenchTenant[], i: number, n: number): BenchTenant[] =>
  tenants.filter((_, place) => place % n === i)

function benchShard(server: EmbeddedServer, tenants: readonly BenchTenant[]): BenchShard {
  const superuserUrl = server.superuserUrl(DATABASE)
  const pid = server.pid ?? 0
  return { key: server.name, superuserUrl, appUrl: roleUrl(superuserUrl, 'app'), pid, tenants }
}

function roleUrl(superuserUrl: string, role: keyof typeof PASSWORDS): string {
  const user = { username: `shardgate_${role}`, password: PASSWORDS[role] }
  return Object.assign(new URL(superuserUrl), user).href
}

/** Of the directory, which lives on the first shard's server. */
function directoryUrl([first]: readonly BenchShard[]): string {
  const user = { username: DIRECTORY, password: DIRECTORY, pathname: `/${DIRECTORY}` }
  return Object.assign(new URL(first?.superuserUrl ?? ''), user).href
}

const fleetOf = (shards: readonly BenchShard[]): Fleet => ({
  directoryUrl: directoryUrl(shards),
  strategy: 'modulo',
  shards: shards.map(({ key, superuserUrl, appUrl }) => ({
    key,
    weight: 1,
    url: roleUrl(superuserUrl, 'owner'),
    appUrl,
    moverUrl: roleUrl(superuserUrl, 'mover'),
  })),
  tenancy: { column: 'tenant_id', schemas: [SCHEMA], global: [], tables: {} },
  operator: 'bench',
})

/** `mark` says what the data were made of; other data are made anew. */
async function makeOnce(
  mark: string,
  options: DatabaseOptions,
  shards: readonly BenchShard[],
): Promise<void> {
  const made = createHash('sha256').update(JSON.stringify([options.sizes, shards.length, options.layout]))
  for (const file of [...MADE_BY, ...SETUP.flatMap(filesIn)])
    made.update(readFileSync(join(import.meta.dirname, file)))
  const wanted = made.digest('hex')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === wanted) return
  const started = performance.now()
  await makeDatabases(shards)
  for (const shard of shards) {
    options.report(`Filling ${shard.key}: ${shard.tenants.length} tenants.`)
    await fillRows(shard.superuserUrl, SCHEMA, shard.tenants, options.layout)
  }
  writeFileSync(mark, wanted)
  options.report(`The rows are there after ${Math.round((performance.now() - started) / 1_000)} s.`)
}

function filesIn(folder: string): string[] {
  const names = readdirSync(join(import.meta.dirname, folder)).toSorted()
  return names.map((name) => join(folder, name))
}

async function makeDatabases(shards: readonly BenchShard[]): Promise<void> {
  const directory = directoryUrl(shards)
  for (const [i, { superuserUrl }] of shards.entries()) {
    const server = Object.assign(new URL(superuserUrl), { pathname: '/postgres' }).href
    await withClient(server, async (client) => {
      await makeAnew(client, DATABASE)
      if (i > 0) return
      await ensureLogin(client, DIRECTORY, DIRECTORY)
      await makeAnew(client, DIRECTORY, DIRECTORY)
    })
  }
  const installed = shards.map(({ key, superuserUrl }) => ({
    key,
    weight: 1,
    url: superuserUrl,
    passwords: PASSWORDS,
  }))
  await install({ directoryUrl: directory, buckets: BUCKETS, schemas: [SCHEMA], shards: installed })
  const owned = shards.map(({ key, superuserUrl }) => ({
    key,
    weight: 1,
    url: roleUrl(superuserUrl, 'owner'),
  }))
  for (const [i, shard] of owned.entries()) {
    await migrate({ shard, folder: TABLES, schema: SCHEMA })
    const ids = shards[i]?.tenants.map(({ id }) => tenantId(id)) ?? []
    const faults = await registerTenants(
      { directoryUrl: directory, strategy: 'modulo', shards: owned },
      shard.key,
      ids,
    )
    for (const fault of faults.values()) throw new Error(`A tenant cannot be registered: ${fault}.`)
  }
}

async function makeAnew(client: Client, database: string, owner?: string): Promise<void> {
  await client.query(`drop database if exists ${database} with (force)`)
  await ensureDatabase(client, database, owner)
}

function writeConfig(
  dir: string,
  shards: readonly BenchShard[],
  { name = 'shards', shard = {}, settings = {} }: OwnSettings = {},
): string {
  const issuer = { issuer: ISSUER, audience: ISSUER, algorithms: ['HS256'], secrets: [SECRET] }
  const config = {
    tenancy: { schemas: [SCHEMA] },
    directory: { url: directoryUrl(shards) },
    router: { buckets: BUCKETS },
    shards: Object.fromEntries(shards.map(({ key, appUrl }) => [key, { url: appUrl, ...shard }])),
    tokens: [issuer],
    ...settings,
  }
  const file = join(dir, `${name}.config.json`)
  writeFileSync(file, JSON.stringify(config, null, 2))
  return file
}
