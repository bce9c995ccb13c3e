/** A directory and shards in databases of their own, installed as an operator would. */

import { type Installation, identityOf, install } from '../../src/control/install.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { type Client, withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { isOfShard } from '../../src/directory/namespaces.ts'
import type { ServerName } from './global-setup.ts'
import { type FreshDatabase, freshDatabase, freshDatabaseOn } from './servers.ts'

/** Passwords of the three roles; the same in all tests, because roles belong to the whole server. */
const PASSWORDS = { owner: 'test-owner', app: 'test-app', mover: 'test-mover' } as const
export type RoleName = keyof typeof PASSWORDS

export interface TestShard {
  readonly key: string
  readonly weight: number
  /** Connection string of the superuser. */
  readonly superuserUrl: string
  /** Connection string of one of the three roles. */
  url(role: RoleName): string
}

export interface TestFleet {
  readonly directoryUrl: string
  readonly shards: readonly TestShard[]
  /** What `install` was called with. */
  readonly installation: Installation
  /** The fleet as `createTenant` takes it, with the owner's URLs. */
  readonly fleet: Fleet
  /** Removes all databases, and what tenants have of their own; call it in `afterAll`. */
  drop(): Promise<void>
}

export interface FleetOptions {
  /** Weight by shard key; the shards are spread over the three servers. Default: shard-a, -b, -c, 1 each. */
  readonly weights?: Readonly<Record<string, number>>
  readonly schemas?: readonly string[]
  readonly buckets?: number
  readonly strategy?: Fleet['strategy']
  /** Servers of their own for some shards or the 'directory': by key, the superuser's connection string. */
  readonly servers?: Readonly<Record<string, string>>
}

const SERVERS: readonly ServerName[] = ['a', 'b', 'c']

/** Databases that will be the fleet, and the installation to make of them; nothing is installed yet. */
export async function bareFleet(options: FleetOptions = {}): Promise<TestFleet> {
  const { weights = { 'shard-a': 1, 'shard-b': 1, 'shard-c': 1 }, strategy = 'modulo' } = options
  const home = options.servers?.directory
  const directory = await (home === undefined ? freshDatabase('a') : freshDatabaseOn(home))
  const databases: FreshDatabase[] = []
  const shards: TestShard[] = []
  for (const [i, [key, weight]] of Object.entries(weights).entries()) {
    const own = options.servers?.[key]
    const database = await (own === undefined ? freshDatabase(SERVERS[i % 3]!) : freshDatabaseOn(own))
    databases.push(database)
    shards.push(testShard(key, weight, database.url))
  }
  const installation: Installation = {
    directoryUrl: directory.url,
    buckets: options.buckets ?? 64,
    schemas: options.schemas ?? ['app'],
    shards: shards.map(({ key, weight, superuserUrl }) => ({
      key,
      weight,
      url: superuserUrl,
      passwords: PASSWORDS,
    })),
  }
  const access = shards.map((shard) => ({
    key: shard.key,
    weight: shard.weight,
    url: shard.url('owner'),
    appUrl: shard.url('app'),
    moverUrl: shard.url('mover'),
  }))
  return {
    directoryUrl: directory.url,
    shards,
    installation,
    fleet: {
      directoryUrl: directory.url,
      strategy,
      shards: access,
      tenancy: { column: 'tenant_id', schemas: installation.schemas, global: [], tables: {} },
      operator: 'test',
    },
    drop: async () => {
      await Promise.all(databases.map(dropShard))
      await directory.drop()
    },
  }
}

/** The shard's database with what tenants have of their own beside it: databases, templates and roles. */
async function dropShard(shard: FreshDatabase): Promise<void> {
  const id = await withClient(shard.url, identityOf).catch(() => undefined)
  await shard.drop()
  if (id === undefined) return
  await withClient(databaseUrl(shard.url, 'postgres'), async (client) => {
    for (const name of await ownNames(client, id, 'datname', 'pg_database')) {
      await client.query(`drop database if exists "${name}" with (force)`)
    }
    for (const name of await ownNames(client, id, 'rolname', 'pg_roles')) {
      await client.query(`drop role if exists "${name}"`)
    }
  })
}

async function ownNames(client: Client, shardId: string, column: string, catalog: string): Promise<string[]> {
  const rows = await client.query(`select ${column} as name from ${catalog}`)
  return rows.flatMap(({ name }) => (name && isOfShard(shardId, name) ? [name] : []))
}

/** A fleet that is ready for tenants. */
export async function freshFleet(options: FleetOptions = {}): Promise<TestFleet> {
  const fleet = await bareFleet(options)
  await install(fleet.installation)
  return fleet
}

function testShard(key: string, weight: number, superuserUrl: string): TestShard {
  return {
    key,
    weight,
    superuserUrl,
    url(role) {
      const url = new URL(superuserUrl)
      url.username = `shardgate_${role}`
      url.password = PASSWORDS[role]
      return url.href
    },
  }
}
