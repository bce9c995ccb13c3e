/** The contract of base/witness.ts at the door: who asks hears of every statement, and the shard of the trace. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Deadline, deadlineIn } from '../../src/base/time.ts'
import type { RanStatements, Witness } from '../../src/base/witness.ts'
import { prepared } from '../../src/db/sql.ts'
import { openWorldDoor, type WorldDoor } from '../kit/door.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const NAME = prepared("select current_setting('application_name')")
const TITLES = prepared('select title from "app".tasks where tenant_id = $1 order by id limit 2')

let world: World
let gate: WorldDoor
beforeAll(async () => {
  world = await startWorld({ tenants: 3, shards: 1, isolations: ['shared', 'schema', 'database'] })
  gate = await openWorldDoor(world)
})
afterAll(async () => {
  gate?.end()
  await world?.stop()
})

function witnessed(traceId?: string): { deadline: Deadline; ran: RanStatements[] } {
  const ran: RanStatements[] = []
  const witness: Witness = { traceId, ran: (statements) => void ran.push(statements) }
  return { deadline: { ...deadlineIn(5_000), witness, requestId: 'r-1' }, ran }
}

describe.each(['shared', 'schema', 'database'] as const)('a tenant with %s tables', (isolation) => {
  const tenantOf = () => world.tenants.find((tenant) => tenant.isolation === isolation)!

  it('has its statements told as they are sent, without values', async () => {
    const { id, canary } = tenantOf()
    const { deadline, ran } = witnessed()
    const titles = { ...TITLES, values: [id] }
    const [rows] = await gate.door.batch(id, 'read', deadline, [titles, NAME])
    expect(rows?.[0]?.[0]).toContain(canary.tag)
    expect(ran).toMatchObject([{ shard: 'shard-a', epoch: 1, mode: 'read', rows: [2, 1], error: undefined }])
    const schema = isolation === 'schema' ? world.homeOf(tenantOf()).namespace : 'app'
    expect(ran[0]?.texts).toEqual([TITLES.text.replace('"app"', `"${schema}"`), NAME.text])
    expect(JSON.stringify(ran)).not.toContain(canary.tag)
  })

  it('carries its trace as the application_name of the transaction, and not a moment longer', async () => {
    const { id } = tenantOf()
    const nameIn = async (deadline: Deadline, mode: 'read' | 'write') =>
      (await gate.door.batch(id, mode, deadline, [NAME]))[0]?.[0]?.[0]
    const traced = `shardgate trace=${TRACE}`
    for (const mode of ['read', 'write'] as const) {
      expect(await nameIn(witnessed(TRACE).deadline, mode)).toBe(traced)
      expect(await nameIn(deadlineIn(5_000), mode)).toBe('shardgate')
    }
    const seen = await gate.door.withTenant(id, 'write', witnessed(TRACE).deadline, async ({ run }) => ({
      keep: true,
      value: (await run(NAME))[0]?.[0],
    }))
    expect(seen).toBe(traced)
    expect(await nameIn(deadlineIn(5_000), 'read')).toBe('shardgate')
  })
})

it('a statement that is refused is told with the reason', async () => {
  const { deadline, ran } = witnessed(TRACE)
  const { id } = world.tenants[0]!
  await expect(gate.door.batch(id, 'read', deadline, [prepared('select 1 / 0')])).rejects.toThrow()
  expect(ran).toMatchObject([{ texts: ['select 1 / 0'], rows: [], error: { code: '22012' } }])
})

it('each statement is an event with the id of its request', async () => {
  const { id } = world.tenants[0]!
  await gate.door.batch(id, 'read', witnessed().deadline, [NAME])
  expect(gate.events.findLast(({ kind }) => kind === 'statement.done')).toMatchObject({
    requestId: 'r-1',
    tenant: id,
    rows: 1,
  })
})
