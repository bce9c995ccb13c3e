/** The fixtures of foreign tables: the same from a seed, large enough, and with every type there is. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, connect } from '../../../src/db/client.ts'
import { canary, scanner } from '../canary.ts'
import { seededRandom } from '../random.ts'
import { type FreshDatabase, freshDatabase } from '../servers.ts'
import { EDGE_VALUES, INTERNAL } from './edge-values.ts'
import { generatedTables } from './generated-tables.ts'
import { fillNasty, makeNasty, NASTY_SCHEMAS } from './nasty.ts'
import { STYLES } from './style.ts'

/** For each foreign key a statement that counts the rows whose other row is missing or another tenant's. */
const FOREIGN_KEYS = `
  select k.conname as name, format(
    'select count(*) as lost from %s c left join %s p on %s where %s and (p is null%s)',
    k.conrelid::regclass, k.confrelid::regclass, string_agg(format('c.%I = p.%I', a.attname, f.attname), ' and '),
    string_agg(format('c.%I is not null', a.attname), ' and '),
    case when exists (select from pg_attribute where attrelid = k.confrelid and attname = '$tenant')
      then ' or c.$tenant <> p.$tenant' end) as lost
  from pg_constraint k, unnest(k.conkey, k.confkey) as u (own, other)
  join pg_attribute a on a.attnum = own join pg_attribute f on f.attnum = other
  where k.contype = 'f' and k.conparentid = 0 and a.attrelid = k.conrelid and f.attrelid = k.confrelid
  group by k.oid, k.conname, k.conrelid, k.confrelid`

const TENANTS = {
  uuid: ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'].map(canary),
  int: ['101', '102'].map(canary),
}

describe.each(['uuid', 'int'] as const)('the nasty fixture with tenants of type %s', (tenantType) => {
  const style = STYLES[tenantType]
  const tenants = TENANTS[tenantType]
  let database: FreshDatabase
  let client: Client

  beforeAll(async () => {
    database = await freshDatabase()
    client = await connect(database.url)
    await client.query(`do $$ begin create role fixture_owner nologin;
      exception when duplicate_object or unique_violation then null; end $$`)
    await client.query(`grant create on database ${database.name} to fixture_owner`)
    await makeNasty(client, style, 'fixture_owner', seededRandom(1))
    await fillNasty(client, style, tenants, 3)
  })
  afterAll(async () => {
    await client?.end()
    await database?.drop()
  })

  it('makes at least 120 tables from a seed, the same each time', async () => {
    const text = generatedTables(style, seededRandom(1))
    expect(text).toBe(generatedTables(style, seededRandom(1)))
    expect(text).not.toBe(generatedTables(style, seededRandom(2)))
    expect(text.match(/create table/g)?.length).toBeGreaterThanOrEqual(120)
  })

  it('gives each tenant rows in every table that has the tenant column', async () => {
    const [row] = await client.query({
      text: `select coalesce(json_agg(json_build_object('id', c.oid::regclass::text, 'column', a.attname)), '[]')::text as list
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = $1
        where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace::regnamespace::text = any ($2)`,
      values: [
        style.tenantColumn,
        NASTY_SCHEMAS.map((name) => `"${name.replaceAll('"', '""')}"`).concat(NASTY_SCHEMAS),
      ],
    })
    const tables = JSON.parse(row?.list ?? '') as { id: string; column: string }[]
    expect(tables.length).toBeGreaterThan(180)
    for (const { id, column } of tables) {
      const counts = await client.query(
        `select ${column}::text as tenant from ${id} group by 1 having count(*) > 1`,
      )
      expect(counts.map(({ tenant }) => tenant).sort(), id).toEqual(tenants.map(({ tenant }) => tenant))
    }
  })

  it('tags what a tenant has', async () => {
    const tags = scanner(tenants.map(({ tenant }) => tenant))
    for (const { tenant } of tenants) {
      const rows = await client.query(
        ['shapes.people', 'types.user_types', 'types.wide', 'names."order"']
          .map((table) => `select t::text as row from ${table} t where ${style.tenantColumn} = '${tenant}'`)
          .join(' union all '),
      )
      expect(tags.scan(tenant, JSON.stringify(rows))).toEqual([])
      expect(tags.scan(null, JSON.stringify(rows)).length).toBeGreaterThan(20)
    }
  })

  it('lets every foreign key point at a row of the same tenant', async () => {
    const keys = await client.query(FOREIGN_KEYS.replaceAll('$tenant', style.tenantColumn))
    expect(keys.length).toBeGreaterThan(150)
    for (const { name, lost } of keys) {
      const [row] = await client.query(lost ?? '')
      expect(row, name ?? '').toEqual({ lost: '0' })
    }
  })

  it('has a column of every type that Postgres brings', async () => {
    const rows = await client.query({
      text: `select typname::text as name from pg_type t
        where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm')
          and not exists (select from pg_type e where e.typarray = t.oid)
          and not t.oid = any (select unnest($1::text[])::regtype::oid) and not typname = any ($2)`,
      values: [Object.keys(EDGE_VALUES), INTERNAL],
    })
    expect(rows.map(({ name }) => name)).toEqual([])
  })
})
