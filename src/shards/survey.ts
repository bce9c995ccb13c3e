/**
 * A look at one place that holds tables: the shared schema of a shard, a tenant's own schema, or its own database.
 *
 * All three are read in the same way and give the same model when they hold the same tables: names of a tenant's own
 * schema are those of the shared one, whose statements the door turns into the tenant's.
 */

import type { Config } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'
import { type Client, withClient } from '../db/client.ts'
import { databaseUrl } from '../db/database-url.ts'
import { TENANT_SCHEMAS, tenantRole } from '../directory/namespaces.ts'
import type { Placement } from '../directory/types.ts'
import { type Survey, survey } from '../model/introspect.ts'
import { checkSafety, type Finding } from '../model/safety.ts'
import type { Tenancy } from '../model/served.ts'
import { fingerprintOfStructure, readStructure } from '../model/structure.ts'
import type { Shard } from './shard.ts'

/** Where a tenant's own tables are. */
export type OwnPlace = Pick<Placement, 'isolation' | 'namespace'> & { readonly tenant: TenantId | null }

export interface Seen extends Survey {
  /** The id that the database says it has. */
  readonly id: string | null | undefined
  /** What is unsafe; tables are named as in the model. */
  readonly unsafe: readonly Finding[]
  /** Fingerprint of the structure (model/structure.ts). */
  readonly structure: string
}

/** Look at the shared tables of a shard. Throws as `lookAt`. */
export function lookAtShared(shard: Shard, { tenancy }: Config, otherVersion = false): Promise<Seen> {
  return withClient(shard.url, (client) => see(client, { ...tenancy, apart: TENANT_SCHEMAS, otherVersion }), {
    connectMs: shard.connectMs,
  })
}

/**
 * Look at the tables of a tenant's own.
 *
 * @throws CONFIG_INVALID  the names of the tables clash in the API
 * @throws                 what a connection throws
 */
export function lookAt(shard: Shard, place: OwnPlace, { tenancy }: Config): Promise<Seen> {
  const url = place.isolation === 'database' ? databaseUrl(shard.url, place.namespace) : shard.url
  return withClient(url, (client) => see(client, tenancyAt(shard, place, tenancy)), {
    connectMs: shard.connectMs,
  })
}

/**
 * What is asked of a place: in a tenant's own schema stand only the tables of the first of the shared ones.
 *
 * @param shard  with its uuid
 */
export function tenancyAt(
  shard: Pick<Shard, 'id'>,
  { isolation, namespace, tenant }: OwnPlace,
  tenancy: Config['tenancy'],
): Tenancy {
  if (isolation === 'shared') return { ...tenancy, apart: TENANT_SCHEMAS }
  const own = { ...tenancy, own: true, apart: TENANT_SCHEMAS, otherVersion: true }
  if (isolation !== 'schema' || tenant === null) return own
  const [shared = fail('CONFIG_INVALID', 'tenancy.schemas: wanted at least one.')] = tenancy.schemas
  const isIn = (id: string): boolean => id.startsWith(`${shared}.`)
  return {
    ...own,
    schemas: [namespace],
    as: shared,
    role: tenantRole(shard.id, tenant),
    global: tenancy.global.filter(isIn),
    tables: Object.fromEntries(Object.entries(tenancy.tables).filter(([id]) => isIn(id))),
  }
}

async function see(client: Client, tenancy: Tenancy): Promise<Seen> {
  const found = await survey(client, tenancy)
  const [me] = await client.query('select current_user as role, id from shardgate.identity')
  const { column, schemas, as, global = [], role = me?.role ?? '', own = false } = tenancy
  const [first = ''] = schemas
  // Safety is asked under the names that the tables really have.
  const really = (id: string): string => (as === undefined ? id : first + id.slice(as.length))
  const inModel = (id: string): string => (as === undefined ? id : as + id.slice(first.length))
  const question = { column, schemas, global: global.map(really), appRole: role, own }
  const findings = (await checkSafety(client, question)).filter(({ severity }) => severity === 'unsafe')
  const unsafe = findings.map(({ table, ...finding }) =>
    table === undefined ? finding : { ...finding, table: inModel(table) },
  )
  const lines = await readStructure(client, { schemas, appRole: role })
  return { ...found, id: me?.id, unsafe, structure: fingerprintOfStructure(lines) }
}
