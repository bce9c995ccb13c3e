/** Kept answers on the shard: each tenant's alone, for the app role too; a shard of an older release gets the table. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { install } from '../../src/control/install.ts'
import { sqlState, withClient } from '../../src/db/client.ts'
import { openWorldApi } from '../kit/api.ts'
import { freshFleet } from '../kit/fleet.ts'
import { type IsolatedDatabase, isolatedDatabase } from '../kit/isolation.ts'
import { startWorld } from '../kit/shard-fixture.ts'

describe('kept answers, as the app role', () => {
  let database: IsolatedDatabase
  beforeAll(async () => {
    database = await isolatedDatabase()
    for (const tenant of ['acme', 'globex']) {
      await database.asTenant(
        tenant,
        `select * from shardgate.claim_key('${tenant}', 'k', 'hash of ${tenant}')`,
      )
      await database.asTenant(tenant, `update shardgate.idempotency set answer = '"${tenant}"'`)
    }
  })
  afterAll(() => database.close())

  it("are the tenant's own, whatever the statement says", async () => {
    expect(await database.asTenant('acme', 'select tenant_id, answer from shardgate.idempotency')).toEqual([
      { tenant_id: 'acme', answer: '"acme"' },
    ])
    expect(
      await database.asTenant(
        'acme',
        `delete from shardgate.idempotency where tenant_id = 'globex' returning 1`,
      ),
    ).toEqual([])
    expect(await database.app.query('select * from shardgate.idempotency')).toEqual([])
  })

  it("cannot be claimed in another tenant's name", async () => {
    const claim = database.asTenant('acme', `select * from shardgate.claim_key('globex', 'new', 'x')`)
    expect(await claim.then(() => 'claimed', sqlState)).toBe('42501')
    const known = database.asTenant(
      'acme',
      `select * from shardgate.claim_key('globex', 'k', 'hash of globex')`,
    )
    expect(await known.then((rows) => rows, sqlState)).not.toEqual([{ state: 'done', answer: '"globex"' }])
  })

  it("are the tenant's own by what the function asks, too, where no policy holds", async () => {
    const claim = (tenant: string, request: string) =>
      database.admin.query(`select * from shardgate.claim_key('${tenant}', 'walls', '${request}')`)
    const answer = (tenant: string) =>
      database.admin.query(
        `select answer from shardgate.idempotency where key = 'walls' and tenant_id = '${tenant}'`,
      )
    for (const tenant of ['acme', 'globex', 'hooli']) {
      expect(await claim(tenant, `of ${tenant}`)).toEqual([{ state: 'claimed', answer: null }])
      await database.admin.query(
        `update shardgate.idempotency set answer = 'for ${tenant}' where key = 'walls' and tenant_id = '${tenant}'`,
      )
    }
    for (const tenant of ['hooli', 'globex', 'acme'])
      expect(await claim(tenant, `of ${tenant}`)).toEqual([{ state: 'done', answer: `for ${tenant}` }])
    await database.admin.query(
      `update shardgate.idempotency set created_at = now() - interval '2 days' where key = 'walls'`,
    )
    expect(await claim('acme', 'of acme')).toEqual([{ state: 'claimed', answer: null }])
    expect(await answer('globex')).toEqual([{ answer: 'for globex' }])
    await database.admin.query(`delete from shardgate.idempotency where key = 'walls'`)
  })

  it('cannot be given to another request, nor emptied', async () => {
    for (const statement of [
      `update shardgate.idempotency set request_hash = 'other'`,
      `update shardgate.idempotency set tenant_id = 'globex'`,
      'truncate shardgate.idempotency',
    ]) {
      expect(await database.asTenant('acme', statement).then(() => 'done', sqlState)).toBe('42501')
    }
  })

  it.each(['tenant_rows', 'tenant_isolation'])(
    'reach nobody else when the policy %s is gone',
    async (policy) => {
      await database.admin.query('begin')
      await database.admin.query(`drop policy ${policy} on shardgate.idempotency`)
      await database.admin.query(`set local role isolation_app; set local app.current_tenant_id = 'acme'`)
      const rows = await database.admin.query('select tenant_id from shardgate.idempotency')
      await database.admin.query('rollback')
      expect(rows.filter((row) => row.tenant_id !== 'acme')).toEqual([])
    },
  )
})

describe('a shard that was set up by an older release', () => {
  const UNDO = 'drop function shardgate.claim_key; drop table shardgate.idempotency'

  it('gets the table when it is set up again, and keeps what it holds the next time', async () => {
    const fleet = await freshFleet({ weights: { 'shard-a': 1 } })
    const onShard = (text: string) => withClient(fleet.shards[0]!.superuserUrl, (db) => db.query(text))
    try {
      await onShard(UNDO)
      await install(fleet.installation)
      await onShard(`insert into shardgate.idempotency values ('acme', 'k', 'hash')`)
      await install(fleet.installation)
      expect(await onShard('select key from shardgate.idempotency')).toEqual([{ key: 'k' }])
    } finally {
      await fleet.drop()
    }
  })

  it('refuses a mutation with a key and says who has to do what', async () => {
    const world = await startWorld({ tenants: 1, shards: 1 })
    const api = await openWorldApi(world)
    try {
      await world.sql('shard-a', UNDO)
      const create = 'mutation { createProject(input: { rowId: 1, name: "x" }) { __typename } }'
      await expect(api.run(world.tenants[0]!, create, {}, 'a key')).rejects.toMatchObject({
        code: 'SETUP_FAILED',
        message: 'The shard keeps no idempotency keys yet; the operator has to run "shardgate setup".',
      })
      expect(await api.data(world.tenants[0]!, create)).toEqual({ createProject: { __typename: 'Project' } })
    } finally {
      api.end()
      await world.stop()
    }
  })
})
