/**
 * A world to test in: a directory, shards, and tenants on them whose every value carries their tag.
 *
 *     const world = await startWorld({ tenants: 4, shards: 3, proxies: true })
 *     world.tenants[0].shard                     // tenants are dealt out: a, b, c, a
 *     world.shards[0].proxy?.blackhole()
 *     await world.stop()
 *
 * Made by the product's own functions on fresh databases of the shared servers. Each tenant follows its
 * bucket: its id is chosen so that the bucket lies on the wanted shard.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import type { Client } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { bucketOf, dealBuckets } from '../../src/directory/buckets.ts'
import type { Isolation } from '../../src/directory/types.ts'
import { type Canary, canary, type Scanner, scanner } from './canary.ts'
import { freshFleet, type TestFleet, type TestShard } from './fleet.ts'
import { dropDatabases, dropRoles, giveHome, placeOfHome, WORLD_FOLDER } from './homes.ts'
import { isolationsOfRun } from './isolation-model.ts'
import { migrate } from './migrate.ts'
import { connectIn, placesOfRows, type RowsClient, type RowsPlace, sharedPlace } from './places-of-rows.ts'
import { type WireProxy, wireProxy } from './wire-proxy.ts'
import { insertWorld, WORLD_TABLES, type WorldValues, worldValues } from './world-rows.ts'

export interface WorldOptions {
  /** Default 3. */
  readonly tenants?: number
  /** Default 3. */
  readonly shards?: number
  /** Rows of each tenant in each table; default 8. */
  readonly rows?: number
  /** Where tenants have their tables, in turn on each shard; default: what ISOLATION says (isolation-model.ts). */
  readonly isolations?: readonly Isolation[]
  /** Put a wire proxy in front of each shard and of the directory; default false. */
  readonly proxies?: boolean
  /** Servers of their own for some shards: by shard key, the superuser's connection string. */
  readonly servers?: Readonly<Record<string, string>>
}

export interface WorldTenant {
  readonly id: TenantId
  /** Key of its shard. */
  readonly shard: string
  readonly isolation: Isolation
  readonly canary: Canary
  readonly values: WorldValues
}

export interface WorldHome {
  readonly appUrl: string
  readonly superuserUrl: string
  readonly schema: string
  /** Name of the schema or database that is the tenant's own, or of the shared schema. */
  readonly namespace: string
}

export interface WorldShard {
  readonly key: string
  /** Connection string of the app role, by way of the proxy where there is one. */
  readonly appUrl: string
  readonly ownerUrl: string
  readonly moverUrl: string
  readonly superuserUrl: string
  readonly proxy?: WireProxy
}

export interface World {
  readonly tenants: readonly WorldTenant[]
  readonly shards: readonly WorldShard[]
  /** By way of its proxy where there is one. */
  readonly directoryUrl: string
  readonly directoryProxy?: WireProxy
  /** Schema of the tables. */
  readonly schema: string
  /** Secret that the configuration knows for tokens (HS256, issuer and audience 'shardgate'). */
  readonly secret: string
  /** A `shards.config.json` for this world. */
  readonly configFile: string
  /** Knows the tags of all tenants. */
  readonly scanner: Scanner
  /** Where a tenant's tables are: connection strings of the database, and the schema. */
  homeOf(tenant: Pick<WorldTenant, 'id' | 'shard'>): WorldHome
  /** A connection to where a tenant's tables are, for statements of shared tables. @param role  default is the superuser */
  connectTo(tenant: WorldTenant, role?: 'superuser' | 'app'): Promise<Client>
  /** Where rows are on a shard: in shared tables, and in those of its tenants. */
  placesOn(shard: string): readonly RowsPlace[]
  /** As `sql` with one text and one connection after the other: rows are text. */
  rowsOn(shard: string): RowsClient
  /** Every row of the world as text, by tenant: equal before and after what must change nothing. */
  contents(tenant: WorldTenant): Promise<string>
  /**
   * Run a statement as superuser on the directory or a shard: where a test gives no `isolations`, one of shared tables,
   * which runs wherever its rows are (places-of-rows.ts).
   */
  sql(place: string, text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  stop(): Promise<void>
}

const SCHEMA = 'app'
const BUCKETS = 64

/** @param config  keys of `shards.config.json` to have otherwise: { limits: { pageSize: 5 } } */
export async function startWorld(options: WorldOptions = {}, config: object = {}): Promise<World> {
  const {
    tenants = 3,
    shards = 3,
    rows = 8,
    proxies = false,
    servers = {},
    isolations = isolationsOfRun(),
  } = options
  const keys = Array.from({ length: shards }, (_, i) => `shard-${String.fromCharCode(97 + i)}`)
  const fleet = await freshFleet({
    weights: Object.fromEntries(keys.map((key) => [key, 1])),
    schemas: [SCHEMA],
    buckets: BUCKETS,
    servers,
  })
  const people = dealTenants(tenants, fleet.shards, rows, isolations)
  const rowsOf = await furnish(fleet, people, rows)
  const places = await Promise.all(fleet.shards.map((shard) => place(shard, proxies)))
  const directoryProxy = proxies ? await proxyTo(fleet.directoryUrl) : undefined
  const directoryUrl = directoryProxy?.url(fleet.directoryUrl) ?? fleet.directoryUrl
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-world-'))
  const secret = 'a secret that only the tests of this world know'
  const configFile = join(folder, 'shards.config.json')
  writeFileSync(configFile, JSON.stringify({ ...configOf(directoryUrl, places, secret), ...config }, null, 2))
  const ids = people.map(({ id }) => id)
  const placesOn = (key: string): [shared: RowsPlace, ...own: RowsPlace[]] => {
    const own = people.filter((tenant) => tenant.shard === key && tenant.isolation !== 'shared')
    const { superuserUrl } = places.find((shard) => shard.key === key)!
    return [sharedPlace(superuserUrl, SCHEMA), ...own.map(({ id }) => rowsOf.get(id)!)]
  }
  const rowsOn = new Map(
    keys.map((key) => {
      const [shared, ...homes] = placesOn(key)
      return [key, placesOfRows(shared, options.isolations ? [] : homes, ids)]
    }),
  )
  const directory = placesOfRows(sharedPlace(fleet.directoryUrl, SCHEMA), [], [])
  const world: World = {
    tenants: people,
    shards: places,
    directoryUrl,
    ...(directoryProxy && { directoryProxy }),
    schema: SCHEMA,
    secret,
    configFile,
    scanner: scanner(people.map(({ id }) => id)),
    connectTo(tenant, role = 'superuser') {
      const place = rowsOf.get(tenant.id)!
      return connectIn(place, SCHEMA, role === 'app' ? world.homeOf(tenant).appUrl : place.url)
    },
    placesOn,
    rowsOn: (shard) => rowsOn.get(shard)!.connect(),
    homeOf({ id, shard }) {
      const { url, schema, isolation } = rowsOf.get(id)!
      const database = new URL(url).pathname.slice(1)
      const appUrl = databaseUrl(places.find(({ key }) => key === shard)!.appUrl, database)
      return { appUrl, superuserUrl: url, schema, namespace: isolation === 'database' ? database : schema }
    },
    contents({ id }) {
      const place = rowsOf.get(id)!
      return onServer(place.url, (client) => contentsOf(client, id, place.schema))
    },
    sql: (name, text, values) => (rowsOn.get(name) ?? directory).sql(text, values),
    async stop() {
      await Promise.all([directoryProxy, ...places.map(({ proxy }) => proxy)].map((proxy) => proxy?.close()))
      const roles = await Promise.all(fleet.shards.map(dropDatabases))
      await fleet.drop()
      for (const [i, names] of roles.entries()) await dropRoles(fleet.shards[i]!.superuserUrl, names)
      rmSync(folder, { recursive: true })
    },
  }
  return world
}

/** Ids whose buckets lie on the shards in turn. */
function dealTenants(
  count: number,
  shards: readonly TestShard[],
  rows: number,
  isolations: readonly Isolation[],
): WorldTenant[] {
  const dealt = dealBuckets(BUCKETS, shards)
  return Array.from({ length: count }, (_, i) => {
    const shard = shards[i % shards.length]!.key
    let id = tenantId(`tenant-${i + 1}`)
    for (let n = 2; dealt[bucketOf(id, BUCKETS)] !== shard; n++) id = tenantId(`tenant-${i + 1}-${n}`)
    const isolation = isolations[Math.floor(i / shards.length) % isolations.length] ?? 'shared'
    return { id, shard, isolation, canary: canary(id), values: worldValues(canary(id), rows) }
  })
}

async function furnish(
  { fleet, shards }: TestFleet,
  tenants: readonly WorldTenant[],
  rows: number,
): Promise<Map<TenantId, RowsPlace>> {
  const places = new Map<TenantId, RowsPlace>()
  for (const { id } of tenants) await createTenant(fleet, { id })
  const furnishShard = async (shard: TestShard): Promise<void> => {
    const { key, url, superuserUrl } = shard
    await migrate({ shard: { key, url: url('owner') }, folder: WORLD_FOLDER, schema: SCHEMA })
    for (const { id, isolation, canary } of tenants.filter((tenant) => tenant.shard === key)) {
      const home = await giveHome({ fleet, shard, schema: SCHEMA }, id, isolation)
      const place = await placeOfHome(shard, home, SCHEMA)
      places.set(id, place)
      await onServer(place.url, async (client) => {
        await client.query('begin')
        await insertWorld(client, canary, rows, place.schema)
        await client.query('commit')
      })
    }
    await onServer(superuserUrl, analyze)
  }
  await Promise.all(shards.map(furnishShard))
  return places
}

/** Statistics of our tables alone: those of Postgres's own take several times as long, and no test is about them. */
async function analyze(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ names: string }>(`
    select string_agg(format('%I.%I', schemaname, tablename), ', ') as names
    from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`)
  await client.query(`analyze ${rows[0]!.names}`)
}

async function place(shard: TestShard, proxies: boolean): Promise<WorldShard> {
  const { key, superuserUrl } = shard
  const [appUrl, ownerUrl, moverUrl] = [shard.url('app'), shard.url('owner'), shard.url('mover')]
  if (!proxies) return { key, superuserUrl, appUrl, ownerUrl, moverUrl }
  const proxy = await proxyTo(superuserUrl)
  return { key, superuserUrl, appUrl: proxy.url(appUrl), ownerUrl, moverUrl, proxy }
}

const proxyTo = (url: string): Promise<WireProxy> => wireProxy(Number(new URL(url).port))

function configOf(directoryUrl: string, shards: readonly WorldShard[], secret: string): object {
  return {
    tenancy: { column: 'tenant_id', schemas: [SCHEMA] },
    directory: { url: directoryUrl },
    router: { strategy: 'modulo', buckets: BUCKETS },
    shards: Object.fromEntries(
      shards.map(({ key, appUrl, ownerUrl, moverUrl }) => [key, { url: appUrl, ownerUrl, moverUrl }]),
    ),
    migrations: WORLD_FOLDER,
    tokens: [{ issuer: 'shardgate', audience: 'shardgate', algorithms: ['HS256'], secrets: [secret] }],
  }
}

async function contentsOf(client: pg.Client, tenant: string, schema: string): Promise<string> {
  const rows: string[] = []
  for (const table of WORLD_TABLES) {
    const result = await client.query<{ row: string }>(
      `select t::text as row from "${schema}".${table} t where tenant_id = $1 order by 1`,
      [tenant],
    )
    rows.push(...result.rows.map(({ row }) => `${table} ${row}`))
  }
  return rows.join('\n')
}

async function onServer<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
