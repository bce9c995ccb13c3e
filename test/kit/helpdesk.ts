/** The help desk example in databases of its own: a few tenants in all three models on three
 * shards, and a configuration file. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { planTenants, seedTenant } from '../../examples/helpdesk/seed.ts'
import { tenantId } from '../../src/base/ids.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { onHome } from '../../src/control/reach.ts'
import { freshFleet } from './fleet.ts'
import { isolationOf } from './isolation-model.ts'
import { migrate } from './migrate.ts'

export interface Helpdesk {
  readonly configFile: string
  readonly directoryUrl: string
  /** Ids, in the order in which they were made. */
  readonly tenants: readonly string[]
  /** Text that stands in the subject of each of the tenant's tickets, and in no other's. */
  mark(tenant: string): string
  stop(): Promise<void>
}

const SCHEMA = 'helpdesk'
const SECRET = 'a secret that only the tests of the help desk know'

export async function startHelpdesk(count = 3): Promise<Helpdesk> {
  const fleet = await freshFleet({ schemas: [SCHEMA] })
  await Promise.all(
    fleet.shards.map(({ key, url }) =>
      migrate({ shard: { key, url: url('owner') }, folder: 'examples/helpdesk/migrations', schema: SCHEMA }),
    ),
  )
  const tenants = planTenants({ tenants: count, scale: 0.2 })
  const mark = (tenant: string): string => `[${tenant}]`
  const own = { ...fleet.fleet, migrations: 'examples/helpdesk/migrations' }
  for (const [i, tenant] of tenants.entries()) {
    const isolation = process.env.ISOLATION ? isolationOf(i) : tenant.isolation
    const { tenant: made } = await createTenant(own, { ...tenant, isolation, id: tenantId(tenant.id) })
    const shard = fleet.shards.find(({ key }) => key === made.shard)!
    const schema = made.isolation === 'schema' ? made.namespace : SCHEMA
    await onHome({ key: shard.key, url: shard.url('owner') }, made, (client) =>
      seedTenant(client, tenant, { schema, tenants: count, scale: 0.2 }),
    )
    await onHome({ key: shard.key, url: shard.superuserUrl }, made, (client) =>
      client.query({
        text: `update "${schema}".tickets set subject = subject || ' ' || $2 where tenant_id = $1`,
        values: [tenant.id, mark(tenant.id)],
      }),
    )
  }
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-helpdesk-'))
  const configFile = join(folder, 'shards.config.json')
  const shards = fleet.shards.map(({ key, url }) => [key, { url: url('app'), ownerUrl: url('owner') }])
  const issuer = { issuer: 'shardgate', audience: 'shardgate', algorithms: ['HS256'], secrets: [SECRET] }
  const config = {
    tenancy: { schemas: [SCHEMA] },
    directory: { url: fleet.directoryUrl },
    router: { buckets: 64 },
    shards: Object.fromEntries(shards),
    tokens: [issuer],
  }
  writeFileSync(configFile, JSON.stringify(config))
  return {
    configFile,
    directoryUrl: fleet.directoryUrl,
    tenants: tenants.map(({ id }) => id),
    mark,
    async stop() {
      await fleet.drop()
      rmSync(folder, { recursive: true })
    },
  }
}
