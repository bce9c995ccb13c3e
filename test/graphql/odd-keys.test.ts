/** Keys whose names are lists of names: `(a, b)` and `("a,b")` are two, in both lanes. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

const TABLES = `
  create table pairs (
    tenant_id text not null, id int, a text not null, b text not null, "a,b" text not null, word text,
    primary key (tenant_id, id), unique (tenant_id, a, b), unique (tenant_id, "a,b")
  );
  create table kids (
    tenant_id text not null, id int, x text, y text, z text,
    primary key (tenant_id, id),
    foreign key (tenant_id, x, y) references pairs (tenant_id, a, b),
    foreign key (tenant_id, z) references pairs (tenant_id, "a,b")
  );`

const guarded = (name: string): string => `
  alter table ${name} enable row level security;
  alter table ${name} force row level security;
  create policy tenant_rows on ${name} using (true) with check (true);
  create policy tenant_isolation on ${name} as restrictive
    using (tenant_id = (select shardgate.current_tenant()))
    with check (tenant_id = (select shardgate.current_tenant()));
  grant select, insert, update, delete on ${name} to shardgate_app;`

let world: World
let api: WorldApi
let tenant: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1, rows: 1 })
  tenant = world.tenants[0]!
  const path = `set search_path = ${world.schema};`
  await world.sql(tenant.shard, `${path} ${TABLES} ${guarded('pairs')} ${guarded('kids')}`)
  await world.sql(
    tenant.shard,
    `${path} insert into pairs select '${tenant.id}', n, a, b, ab, word from (values
       (1, 'p', 'q', 'p', 'one'), (2, 'p', 'undefined', 'r', 'two'), (3, 'r', 'q', 'p,q', 'three')
     ) v(n, a, b, ab, word);
     insert into kids values ('${tenant.id}', 1, 'p', 'q', 'r'), ('${tenant.id}', 2, 'r', 'q', 'p')`,
  )
  api = await openWorldApi(world)
})
afterAll(async () => {
  api?.end()
  await world?.stop()
})

async function both(source: string, variables: object = {}) {
  const { data, errors } = await api.run(tenant, source, variables)
  expect(errors).toBeUndefined()
  expect(await api.compiled(tenant, source, variables)).toBe(JSON.stringify({ data }))
  return data
}

it('a row is found by the key that was named', async () => {
  const word = async (by: object) =>
    (await both('query ($by: PairKey!) { pairBy(by: $by) { word } }', { by })).pairBy?.word
  for (let round = 0; round < 2; round++) {
    expect(await word({ aAndB: { a: 'p', b: 'q' } })).toBe('one')
    expect(await word({ aB: 'p' })).toBe('one')
    expect(await word({ aB: 'p,q' })).toBe('three')
    expect(await word({ aB: 'q' })).toBeUndefined()
  }
})

it('a row refers to others by each of them', async () => {
  const { kids } = await both('{ kids { nodes { pairByXY { word } pairByZ { word } } } }')
  expect(kids.nodes).toEqual([
    { pairByXY: { word: 'one' }, pairByZ: { word: 'two' } },
    { pairByXY: { word: 'three' }, pairByZ: { word: 'one' } },
  ])
})
