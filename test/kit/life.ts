/**
 * Tenants to live and die in tests: of any model, every value of theirs with their tag, and a look through every
 * table of every database, the directory and the exports for what is left of one.
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { contentHash } from '../../src/control/copy/hash.ts'
import { identityOf } from '../../src/control/install.ts'
import { findSubject } from '../../src/control/life/subject.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { type Fleet, onHome } from '../../src/control/reach.ts'
import { type Client, connect, withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { isOfShard } from '../../src/directory/namespaces.ts'
import type { Isolation } from '../../src/directory/types.ts'
import { canary, scanner } from './canary.ts'
import { freshFleet, type TestFleet } from './fleet.ts'
import { WORLD_FOLDER } from './homes.ts'
import { migrate } from './migrate.ts'
import { insertWorld } from './world-rows.ts'

export const TENANCY = { column: 'tenant_id', schemas: ['app'], global: [], tables: {} }

export interface LifeWorld {
  readonly test: TestFleet
  readonly fleet: Fleet
  readonly directory: Client
  /** A `shards.config.json` for it. */
  readonly configFile: string
  /** Create a tenant with rows on the first shard. */
  add(id: string, isolation?: Isolation, rows?: number): Promise<TenantId>
  /** Write an export of it, with a value of it, as `tenant export` leaves one. Gives the folder. */
  addExport(tenant: TenantId, host?: string): Promise<string>
  hashOf(tenant: TenantId): Promise<string>
  /** Places with a value or an id of the tenant: 'shard-a app.tasks'. */
  traces(tenant: TenantId): Promise<string[]>
  /** 'state epoch' of its fence on the first shard; undefined without one. */
  fence(tenant: TenantId): Promise<string | undefined>
  drop(): Promise<void>
}

export async function lifeWorld(): Promise<LifeWorld> {
  const test = await freshFleet({ weights: { 'shard-a': 1, 'shard-b': 1 } })
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-life-'))
  const exports = join(folder, 'exports')
  mkdirSync(exports)
  const fleet: Fleet = { ...test.fleet, migrations: WORLD_FOLDER, exports, quarantineDays: 30 }
  for (const { key, url } of test.shards) {
    await migrate({ shard: { key, url: url('owner') }, folder: WORLD_FOLDER, schema: 'app' })
  }
  const directory = await connect(test.directoryUrl)
  const configFile = join(folder, 'shards.config.json')
  writeFileSync(configFile, JSON.stringify(configOf(test)))
  return {
    test,
    fleet,
    directory,
    configFile,
    async add(id, isolation = 'shared', rows = 4) {
      const tag = canary(id)
      const name = tag.text('name')
      const settings = { branding: { motto: tag.text('motto') } }
      const wanted = { id: tenantId(id), name, isolation, settings, shard: 'shard-a' }
      const { tenant } = await createTenant(fleet, wanted)
      const own = isolation === 'database'
      const url = own
        ? databaseUrl(test.shards[0]!.superuserUrl, tenant.namespace)
        : test.shards[0]!.superuserUrl
      await inserted(url, id, rows, isolation === 'schema' ? tenant.namespace : 'app')
      await withClient(url, (client) =>
        client.query({
          text: 'insert into shardgate.idempotency (tenant_id, key, request_hash, answer) values ($1, $2, $3, $4)',
          values: [id, 'a-key', 'a-request', tag.text('answer')],
        }),
      )
      return tenant.id
    },
    async addExport(tenant, host = hostname()) {
      const path = join(exports, `${tenant}-${host}`)
      mkdirSync(path)
      writeFileSync(join(path, 'projects.copy'), canary(tenant).text('exported'))
      await directory.query({
        text: 'insert into directory.export (tenant_id, host, folder) values ($1, $2, $3)',
        values: [tenant, host, path],
      })
      return path
    },
    async hashOf(tenant) {
      const subject = await findSubject(directory, tenant)
      const shard = fleet.shards.find(({ key }) => key === subject?.shard)!
      return onHome(shard, subject!, async (client) => {
        return (await contentHash(client, { home: subject!, tenancy: TENANCY, tenant })).hash
      })
    },
    async traces(tenant) {
      const found = filesWith(exports, tenant).map((file) => `file ${file}`)
      found.push(...(await tracesIn(test.directoryUrl, 'directory', tenant)))
      for (const { key, superuserUrl } of test.shards) {
        for (const url of await databasesOf(superuserUrl)) found.push(...(await tracesIn(url, key, tenant)))
      }
      return found
    },
    async fence(tenant) {
      const [row] = await withClient(test.shards[0]!.superuserUrl, (client) =>
        client.query({
          text: 'select state, epoch from shardgate.tenant_fence where tenant_id = $1',
          values: [tenant],
        }),
      )
      return row && `${row.state} ${row.epoch}`
    },
    async drop() {
      await directory.end()
      await test.drop()
      rmSync(folder, { recursive: true })
    },
  }
}

function configOf({ directoryUrl, shards }: TestFleet): object {
  const urls = shards.map(({ key, url }) => [
    key,
    { url: url('app'), ownerUrl: url('owner'), moverUrl: url('mover') },
  ])
  const secrets = ['a secret that only the tests of this world know']
  return {
    tenancy: { column: 'tenant_id', schemas: ['app'] },
    directory: { url: directoryUrl },
    router: { strategy: 'modulo', buckets: 64 },
    shards: Object.fromEntries(urls),
    tokens: [{ issuer: 'shardgate', audience: 'shardgate', algorithms: ['HS256'], secrets }],
  }
}

async function inserted(url: string, id: string, rows: number, schema: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await insertWorld(client, canary(id), rows, schema)
  } finally {
    await client.end()
  }
}

/** The shard's own database and those of its tenants. */
function databasesOf(superuserUrl: string): Promise<string[]> {
  return withClient(superuserUrl, async (client) => {
    const id = (await identityOf(client)) ?? ''
    const rows = await client.query('select datname from pg_database where datallowconn')
    const own = rows.map(({ datname }) => datname ?? '').filter((name) => isOfShard(id, name))
    return [superuserUrl, ...own.map((name) => databaseUrl(superuserUrl, name))]
  })
}

const SYSTEM = `('pg_catalog', 'information_schema', 'pg_toast')`

function tracesIn(url: string, place: string, tenant: TenantId): Promise<string[]> {
  return withClient(url, async (client) => {
    const tables = await client.query(`
      select format('%I.%I', n.nspname, c.relname) as name from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'r' and n.nspname not in ${SYSTEM} and n.nspname not like 'pg\\_temp%' order by 1`)
    const found: string[] = []
    for (const { name } of tables) {
      const rows = await client.query(`select t::text as row from ${name} t`)
      if (hasTag(rows.map(({ row }) => row).join('\n'), tenant)) found.push(`${place} ${name}`)
    }
    return found
  })
}

function filesWith(folder: string, tenant: TenantId): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const path = join(folder, name)
    return statSync(path).isFile() && hasTag(readFileSync(path, 'latin1'), tenant)
  })
}

const hasTag = (text: string, tenant: TenantId): boolean =>
  scanner([tenant])
    .scan(null, text)
    .some((tag) => tag.tenant === tenant)

/** The fleet in whose operations a failpoint throws, as a kill would end them. */
export function dyingAt(fleet: Fleet, place: string): Fleet {
  return {
    ...fleet,
    failpoints: {
      hit: async (name) => {
        if (name === place) throw new Error(`killed ${place}`)
      },
    },
  }
}

/** What a promise is refused with. */
export const refusal = (
  work: Promise<unknown>,
): Promise<{ code?: string; message?: string; hint?: string }> =>
  work.then(
    () => ({ message: 'not refused' }),
    (error: { code?: string; message?: string; hint?: string }) => error,
  )
