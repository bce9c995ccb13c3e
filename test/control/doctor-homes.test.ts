/** Doctor over homes of the three models: silent when all is well, and each kind of damage by its name. */

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { diagnose } from '../../src/control/doctor.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import { ISOLATIONS, type Isolation } from '../../src/directory/types.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { migrate } from '../kit/migrate.ts'

let world: TestFleet
let names: Record<Isolation, string>

beforeAll(async () => {
  world = await freshFleet({ weights: { 'shard-a': 1 } })
  const folder = join(import.meta.dirname, '../kit/world')
  await migrate({ shard: world.fleet.shards[0]!, folder, schema: 'app' })
  const made = await Promise.all(
    ISOLATIONS.map(async (isolation) => {
      const wanted = { id: tenantId(`in-${isolation}`), isolation }
      const { tenant } = await createTenant({ ...world.fleet, migrations: folder }, wanted)
      return [isolation, tenant.namespace] as const
    }),
  )
  names = Object.fromEntries(made) as typeof names
})
afterAll(() => world.drop())

const onShard = (text: string, isolation: Isolation = 'shared') => {
  const { superuserUrl } = world.shards[0]!
  const url = isolation === 'database' ? databaseUrl(superuserUrl, names.database) : superuserUrl
  return withClient(url, (db) => db.query(text))
}
const onDirectory = (text: string) => withClient(world.directoryUrl, (db) => db.query(text))

/** What doctor calls unsafe or unfinished, as 'where check: reason'. */
async function findings(): Promise<string[]> {
  const [shard] = world.fleet.shards
  const found = await diagnose({
    directoryUrl: world.directoryUrl,
    buckets: 64,
    tenancy: world.fleet.tenancy!,
    shards: [{ key: 'shard-a', ownerUrl: shard!.url, appUrl: shard!.appUrl! }],
  })
  return found
    .filter(({ severity, check }) => severity === 'unsafe' || check === 'unfinished')
    .map(({ where, check, reason }) => `${where} ${check}: ${reason}`)
}

/** The findings while `damage` is done, which `repair` takes back. */
async function whileDone(damage: () => Promise<unknown>, repair: () => Promise<unknown>): Promise<string[]> {
  await damage()
  try {
    return await findings()
  } finally {
    await repair()
  }
}

describe('doctor', () => {
  it('finds nothing in sound homes of all models', async () => {
    expect(await findings()).toEqual([])
  })

  it.each(ISOLATIONS)(
    'finds a fence that a backup has lost, and one of another state: %s',
    async (isolation) => {
      const id = `in-${isolation}`
      const one = `where tenant_id = '${id}'`
      const [row] = await onShard(`select role from shardgate.tenant_fence ${one}`, isolation)
      const role = row?.role == null ? 'null' : `'${row.role}'`
      const lost = await whileDone(
        () => onShard(`delete from shardgate.tenant_fence ${one}`, isolation),
        () => onShard(`insert into shardgate.tenant_fence values ('${id}', 'active', 1, ${role})`, isolation),
      )
      expect(lost).toEqual([`shard-a fence: The directory has ${id} here at epoch 1; the shard has nothing.`])
      const shut = await whileDone(
        () => onShard(`update shardgate.tenant_fence set state = 'suspended' ${one}`, isolation),
        () => onShard(`update shardgate.tenant_fence set state = 'active' ${one}`, isolation),
      )
      expect(shut).toEqual([
        expect.stringMatching(
          new RegExp(`^shard-a fence: The directory says that ${id} is active; .*suspended`),
        ),
      ])
    },
  )

  it('finds a home that is gone, or another than it was', async () => {
    const schema = await whileDone(
      () => onShard(`alter schema "${names.schema}" rename to elsewhere`),
      () => onShard(`alter schema elsewhere rename to "${names.schema}"`),
    )
    expect(schema).toEqual([expect.stringContaining('in-schema has a schema of its own, and the schema')])
    const identity = 'update shardgate.identity set id = '
    const [row] = await onShard('select id from shardgate.identity')
    const database = await whileDone(
      () => onShard(`${identity} gen_random_uuid()`, 'database'),
      () => onShard(`${identity} '${row?.id}'`, 'database'),
    )
    expect(database).toEqual([expect.stringContaining('its database carries the identity')])
  })

  it('finds what keeps no tenant apart any more in an own schema and an own database', async () => {
    for (const isolation of ['schema', 'database'] as const) {
      const table = isolation === 'schema' ? `"${names.schema}".projects` : 'app.projects'
      const found = await whileDone(
        () => onShard(`alter table ${table} disable row level security`, isolation),
        () => onShard(`alter table ${table} enable row level security`, isolation),
      )
      expect(found).not.toEqual([])
      for (const finding of found) expect(finding).toContain(`Of in-${isolation}: `)
    }
  })

  it('finds operations that were not finished, and tenants that a backup has revived', async () => {
    const unfinished = await whileDone(
      () =>
        onDirectory(`insert into directory.operation (kind, tenant_id, input, operator, error)
          values ('tenant.export', 'in-shared', '{}', 'ann', 'copy: disk full')`),
      () => onDirectory(`delete from directory.operation where kind = 'tenant.export'`),
    )
    expect(unfinished).toEqual([
      expect.stringMatching(
        /^directory unfinished: Operation \d+ \(tenant\.export of in-shared\).*disk full/,
      ),
    ])
    const revived = await whileDone(
      () =>
        onDirectory(`insert into directory.tombstone (tenant_id, epoch, shard, isolation, namespace)
          values ('in-shared', 7, 'shard-a', 'shared', 'app')`),
      () => onDirectory('delete from directory.tombstone'),
    )
    expect(revived).toContainEqual(expect.stringContaining('directory revived: in-shared was purged'))
  })
})
