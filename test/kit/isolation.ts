/**
 * A database with Shardgate's own schema and roles of its own, for tests that ask what a role without
 * rights can reach when isolation is done carelessly, and when it is done as Shardgate wants it.
 */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readSystemFiles } from '../../src/control/migrate/files.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { type FreshDatabase, freshDatabase } from './servers.ts'

/** Owns the tables; not a superuser, so that FORCE has somebody to bind. */
export const OWNER = 'isolation_owner'
/** What the gateway would log in as. */
export const APP = 'isolation_app'
const PASSWORD = 'isolation'

const SHARD_SQL = readSystemFiles(fileURLToPath(new URL('../../src/shards/sql/', import.meta.url)))
  .map(({ up }) => up)
  .join(';\n')

export interface IsolatedDatabase {
  readonly name: string
  readonly admin: Client
  /** Logged in as the app role. */
  readonly app: Client
  /** One statement as the app role in a transaction of `tenant`; the rows it gives. */
  asTenant(tenant: string, statement: string): Promise<Record<string, string | null>[]>
  close(): Promise<void>
}

/** With `fixtures` of test/fixtures applied, by name; they may say `owner_role` and `app_role`. */
export async function isolatedDatabase(...fixtures: string[]): Promise<IsolatedDatabase> {
  const database = await freshDatabase()
  const admin = await connect(database.url)
  await admin.query(ROLES)
  await admin.query(`alter database ${database.name} owner to ${OWNER}`)
  await admin.query(`revoke temporary on database ${database.name} from public`)
  await admin.query(`set role ${OWNER};\n${inRoles(SHARD_SQL)}\nreset role;`)
  // Lets a test ask how often a function ran.
  await admin.query(`alter role ${APP} in database ${database.name} set track_functions = 'all'`)
  for (const name of fixtures) await admin.query(readFixture(name))
  const app = await connect(appUrl(database))
  return {
    name: database.name,
    admin,
    app,
    asTenant: (tenant, statement) => inTenant(app, tenant, statement),
    close: async () => {
      await app.end()
      await admin.end()
      await database.drop()
    },
  }
}

function readFixture(name: string): string {
  const text = readFileSync(new URL(`../fixtures/${name}.sql`, import.meta.url), 'utf8')
  return text.replaceAll('owner_role', OWNER).replaceAll('app_role', APP)
}

function inTenant(
  client: Client,
  tenant: string,
  statement: string,
): Promise<Record<string, string | null>[]> {
  return client.transaction(async (session) => {
    await session.query({ text: `select set_config('app.current_tenant_id', $1, true)`, values: [tenant] })
    return session.query(statement)
  })
}

// Roles are shared by all databases of a server, and test files that run at once may both make them.
const ROLES = [
  `create role ${OWNER} nologin`,
  `create role ${APP} login password '${PASSWORD}' noinherit`,
  'create role isolation_mover nologin',
  'create role isolation_tenants nologin',
]
  .map(
    (statement) =>
      `do $$ begin ${statement}; exception when duplicate_object or unique_violation then null; end $$`,
  )
  .join(';\n')

function inRoles(text: string): string {
  return text
    .replaceAll('shardgate_app', APP)
    .replaceAll('shardgate_mover', 'isolation_mover')
    .replaceAll('shardgate_tenant', 'isolation_tenants')
    .replaceAll('shardgate_owner', OWNER)
}

function appUrl(database: FreshDatabase): string {
  const url = new URL(database.url)
  url.username = APP
  url.password = PASSWORD
  return url.href
}
