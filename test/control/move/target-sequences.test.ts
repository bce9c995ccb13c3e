/** Numbers that a home gives once rows have come: never one that is taken. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../../src/base/ids.ts'
import { raiseSequences } from '../../../src/control/copy/sequences.ts'
import type { Whereabouts } from '../../../src/control/copy/snapshot.ts'
import { withSequences } from '../../../src/control/move/target-sequences.ts'
import { type Client, connect } from '../../../src/db/client.ts'
import { freshFleet, type TestFleet } from '../../kit/fleet.ts'
import { refusal } from '../../kit/life.ts'

let test: TestFleet
let db: Client
let target: Whereabouts

const WALL = (name: string): string => `
  alter table ${name} enable row level security; alter table ${name} force row level security;
  create policy p on ${name} using (tenant_id = (select shardgate.current_tenant()));
  grant select on ${name} to shardgate_mover;`

const TABLES = `
  set role shardgate_owner; set search_path = app;
  create table cars (tenant_id text not null, id bigint generated always as identity, primary key (tenant_id, id));
  create table slots (tenant_id text not null, id serial, primary key (tenant_id, id));
  create table depths (tenant_id text not null, id bigint not null, primary key (tenant_id, id));
  create sequence down increment -1; alter table depths alter id set default nextval('down');
  ${WALL('cars')} ${WALL('slots')} ${WALL('depths')}
  reset role; reset search_path;`

beforeAll(async () => {
  test = await freshFleet({ weights: { 'shard-a': 1 } })
  db = await connect(test.shards[0]!.superuserUrl)
  await db.query(TABLES)
  const tenancy = { column: 'tenant_id', schemas: ['app'], global: [] }
  const home = { isolation: 'shared', namespace: 'app' } as const
  target = { tenant: tenantId('moved'), shard: test.fleet.shards[0]!, home, tenancy }
})
afterAll(async () => {
  await db?.end()
  await test?.drop()
})

describe('sequences of the target', () => {
  const next = async (sequence: string): Promise<number> => {
    const [row] = await db.query(`select nextval('app.${sequence}') as n`)
    return Number(row?.n)
  }

  it('give numbers beyond those that came, the very first one and those that run down included', async () => {
    await db.query(`insert into app.cars (tenant_id, id) overriding system value values ('moved', 1);
      insert into app.depths values ('moved', -1), ('moved', -7)`)
    await withSequences(target, async (sequences) => {
      expect(await next('cars_id_seq')).toBe(2)
      expect(await next('down')).toBe(-8)
      // What came after they were prepared, as the last changes do.
      await db.query(
        `insert into app.cars (tenant_id, id) overriding system value values ('moved', 40), ('other', 90)`,
      )
      await sequences.raise()
      expect(await next('cars_id_seq')).toBe(41)
      await db.query(`select setval('app.cars_id_seq', 1000)`)
      await sequences.raise()
      expect(await next('cars_id_seq')).toBe(1001)
    })
  })

  it('give the second number after an import of the first one', async () => {
    await db.query(`insert into app.slots values ('moved', 1)`)
    await raiseSequences(target)
    expect(await next('slots_id_seq')).toBe(2)
  })

  it('are not used up by one row', async () => {
    await db.query(`insert into app.slots (tenant_id, id) values ('moved', 2147483000)`)
    const refused = await refusal(withSequences(target, async () => {}))
    expect(refused.message).toBe(
      'app.slots.id has the number 2147483000, which would use up the sequence slots_id_seq (to 2147483647).',
    )
  })
})
