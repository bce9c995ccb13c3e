/** A statement that may take less time than its request: Postgres ends it, and no lane runs it again. */

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { GatewayError } from '../../src/base/errors.ts'
import { deadlineIn } from '../../src/base/time.ts'
import { prepared } from '../../src/db/sql.ts'
import { openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

// Longer than a test may take: what ends has been ended.
const SLEEP = prepared('select pg_catalog.pg_sleep(600)')
const hasted = () => ({ ...deadlineIn(600_000), statementMs: 100 })

let world: World
let api: WorldApi
let tenant: WorldTenant
beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1 })
  tenant = world.tenants[0]!
  api = await openWorldApi(world)
})
afterAll(async () => {
  api?.end()
  await world?.stop()
})
afterEach(() => vi.restoreAllMocks())

describe('a statement that takes longer than it may', () => {
  it.each(['read', 'write'] as const)('is ended in a batch that is to %s', async (mode) => {
    const slow = api.gate.door.batch(tenant.id, mode, hasted(), [SLEEP])
    await expect(slow).rejects.toMatchObject({ code: 'TIMEOUT' })
  })

  it('is ended in a transaction, which may go on for as long as its request', async () => {
    const { door } = api.gate
    const slow = door.withTenant(tenant.id, 'write', hasted(), async ({ run }) => {
      for (let i = 0; i < 5; i++) await run(prepared('select pg_catalog.pg_sleep(0.05)'))
      await run(SLEEP)
      return { keep: true, value: null }
    })
    await expect(slow).rejects.toMatchObject({ code: 'TIMEOUT' })
  })

  it('is not run again by the other lane', async () => {
    const query = '{ tasks { nodes { title } } }'
    const ended = () => {
      throw new GatewayError('TIMEOUT', 'The database did not finish in time.')
    }
    vi.spyOn(api.gate.door, 'batch').mockImplementation(async () => ended())
    expect(await api.compiled(tenant, query)).toBe(null)
    expect(await api.compiled({ ...tenant, statementMs: 100 }, query)).toMatchObject({
      errors: [{ originalError: { code: 'TIMEOUT' } }],
    })
  })
})
