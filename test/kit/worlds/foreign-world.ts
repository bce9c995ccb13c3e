/**
 * A world whose tables somebody else made: databases with an owner of their own, who has never heard of
 * Shardgate, and what an operator does to have them served, step by step.
 *
 *     const world = await makeForeignWorld({ … })     // databases as they were found
 *     await world.setUp()                             // `setup`, then `tenant register --discover`
 *     await world.findings()                          // `doctor`
 *     await world.adopt()                             // `adopt`, then `migrate`
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TenantId, tenantId } from '../../../src/base/ids.ts'
import { type AdoptionDraft, draftAdoption } from '../../../src/control/adopt-survey.ts'
import type { Diagnosis } from '../../../src/control/diagnosis.ts'
import { discover, registerFound } from '../../../src/control/discover.ts'
import { diagnose } from '../../../src/control/doctor.ts'
import { install } from '../../../src/control/install.ts'
import { type Client, type TextRow, withClient } from '../../../src/db/client.ts'
import type { Tenancy } from '../../../src/model/introspect.ts'
import { type Canary, canary, type Scanner, scanner } from '../canary.ts'
import { bareFleet, type TestFleet } from '../fleet.ts'
import { migrate } from '../migrate.ts'

export interface ForeignTables {
  readonly tenancy: Tenancy
  /** Role that owns everything; made when it is missing, and no superuser. */
  readonly owner: string
  /** Ids, dealt out to the shards in turn. */
  readonly tenants: readonly string[]
  /** Make the tables of one shard, before Shardgate comes. @param client  a superuser */
  make?(client: Client): Promise<void>
  /** Folder of migrations that make the tables once Shardgate is there. */
  readonly migrations?: string
  /** Give the tenants of one shard their rows. */
  furnish(client: Client, tenants: readonly Canary[]): Promise<void>
}

export interface ForeignTenant {
  readonly id: TenantId
  /** Key of its shard. */
  readonly shard: string
  readonly canary: Canary
}

export interface ForeignWorld {
  readonly tenancy: Tenancy
  readonly tenants: readonly ForeignTenant[]
  readonly shards: readonly { readonly key: string; readonly appUrl: string; readonly superuserUrl: string }[]
  readonly directoryUrl: string
  readonly configFile: string
  readonly secret: string
  readonly scanner: Scanner
  /** Make the shards ready and register the tenants that are found on them. */
  setUp(): Promise<void>
  /** What the doctor says of the shards and their tables. */
  findings(): Promise<Diagnosis[]>
  /** Write the migration that mends what can be mended, and apply it to every shard. */
  adopt(): Promise<AdoptionDraft>
  /** Run statements on a shard as superuser. */
  sql(shard: string, statements: string): Promise<TextRow[]>
  stop(): Promise<void>
}

const BUCKETS = 64
const WEIGHTS = { 'shard-a': 1, 'shard-b': 1 }

/** @param config  keys of `shards.config.json` to have otherwise */
export async function makeForeignWorld(tables: ForeignTables, config: object = {}): Promise<ForeignWorld> {
  const { tenancy } = tables
  const fleet = await bareFleet({ weights: WEIGHTS, schemas: tenancy.schemas, buckets: BUCKETS })
  const tenants = tables.tenants.map((id, i): ForeignTenant => {
    const { key } = fleet.shards[i % fleet.shards.length]!
    return { id: tenantId(id), shard: key, canary: canary(id) }
  })
  if (!tables.migrations) await furnish(fleet, tables, tenants)
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-foreign-'))
  const secret = 'a secret that only the tests of foreign tables know'
  const configFile = join(folder, 'shards.config.json')
  writeFileSync(configFile, JSON.stringify({ ...configOf(fleet, tenancy, secret), ...config }, null, 2))
  const superuserUrl = (key: string): string =>
    fleet.shards.find((shard) => shard.key === key)?.superuserUrl ?? fleet.directoryUrl
  return {
    tenancy,
    tenants,
    shards: fleet.shards.map((shard) => ({ ...shard, appUrl: shard.url('app') })),
    directoryUrl: fleet.directoryUrl,
    configFile,
    secret,
    scanner: scanner(tables.tenants),
    setUp: () => setUp(fleet, tables, tenants),
    findings: () => diagnose(patientOf(fleet, tenancy)),
    adopt: () => adopt(fleet, tenancy, folder),
    sql: (key, statements) => withClient(superuserUrl(key), (client) => client.query(statements)),
    async stop() {
      await fleet.drop()
      rmSync(folder, { recursive: true })
    },
  }
}

async function furnish(
  fleet: TestFleet,
  tables: ForeignTables,
  tenants: readonly ForeignTenant[],
): Promise<void> {
  const each = fleet.shards.map((shard) =>
    withClient(shard.superuserUrl, async (client) => {
      await makeOwner(client, tables.owner)
      await tables.make?.(client)
      const own = tenants.filter(({ shard: key }) => key === shard.key)
      await tables.furnish(
        client,
        own.map((tenant) => tenant.canary),
      )
    }),
  )
  await Promise.all(each)
}

// Roles belong to the whole server, and another file may make the same one now.
async function makeOwner(client: Client, owner: string): Promise<void> {
  await client.query(`do $$ begin create role ${owner} nologin;
    exception when duplicate_object or unique_violation then null; end $$`)
  const [row] = await client.query('select quote_ident(current_database()) as name')
  await client.query(`grant create on database ${row?.name} to ${owner}`)
}

async function setUp(
  fleet: TestFleet,
  tables: ForeignTables,
  tenants: readonly ForeignTenant[],
): Promise<void> {
  const { tenancy, migrations } = tables
  const { column, schemas, global = [] } = tenancy
  await install({ ...fleet.installation, column, global })
  if (migrations) {
    for (const { key, url } of fleet.shards) {
      await migrate({ shard: { key, url: url('owner') }, folder: migrations, schema: schemas[0]! })
    }
    await furnish(fleet, tables, tenants)
  }
  const shards = fleet.shards.map(({ key, superuserUrl }) => ({ key, url: superuserUrl }))
  const found = await discover({ directoryUrl: fleet.directoryUrl, tenancy, shards })
  const registered = await registerFound(fleet.fleet, found)
  const wrong = registered.tenants.filter(({ outcome }) => outcome !== 'registered' && outcome !== 'known')
  if (wrong.length > 0) throw new Error(`Not registered: ${JSON.stringify(wrong)}`)
}

async function adopt(fleet: TestFleet, tenancy: Tenancy, home: string): Promise<AdoptionDraft> {
  const { schemas } = tenancy
  const shards = fleet.shards.map(({ key, url }) => ({ key, url: url('owner') }))
  const draft = await draftAdoption(shards, { ...tenancy, appRole: 'shardgate_app' })
  if (draft.text === undefined) return draft
  const folder = join(home, 'migrations')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${stamp()}_adopt.sql`), draft.text)
  for (const shard of shards) await migrate({ shard, folder, schema: schemas[0]! })
  return draft
}

/** 20260101120000, later each time. */
let stamped = 20_260_101_120_000
const stamp = (): string => String(++stamped)

function patientOf(fleet: TestFleet, tenancy: Tenancy): Parameters<typeof diagnose>[0] {
  const shards = fleet.shards.map(({ key, url }) => ({ key, appUrl: url('app'), ownerUrl: url('owner') }))
  return { directoryUrl: fleet.directoryUrl, buckets: BUCKETS, tenancy, shards }
}

function configOf(fleet: TestFleet, tenancy: Tenancy, secret: string): object {
  const shards = fleet.shards.map(({ key, url }) => [key, { url: url('app'), ownerUrl: url('owner') }])
  return {
    tenancy,
    directory: { url: fleet.directoryUrl },
    router: { strategy: 'modulo', buckets: BUCKETS },
    shards: Object.fromEntries(shards),
    tokens: [{ issuer: 'shardgate', audience: 'shardgate', algorithms: ['HS256'], secrets: [secret] }],
  }
}
