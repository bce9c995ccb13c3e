/**
 * Any tables: databases that somebody else made, from "their names clash" by way of "it is not safe" to "all
 * of it is served". With tenants as uuids or as numbers: an ordinary run draws one of them.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withClient } from '../../src/db/client.ts'
import { survey } from '../../src/model/introspect.ts'
import { openConfiguredApi, type WorldApi } from '../kit/api.ts'
import { OPERATIONS_MS } from '../kit/generated-operations.ts'
import { some } from '../kit/some.ts'
import { nastyWorld } from '../kit/worlds/fixture-worlds.ts'
import type { ForeignWorld } from '../kit/worlds/foreign-world.ts'
import { expectSameAnswers, expectSameColumns, expectSameEffects, TYPED } from '../kit/worlds/lanes-checks.ts'
import { expectNothingTold, expectSoundOperations } from '../kit/worlds/served-checks.ts'
import { fixtureIn, STYLES } from '../kit/worlds/style.ts'
import { findByValue, orderByEach, readAll, type TypeCheck, writeAgain } from '../kit/worlds/type-checks.ts'
import { TYPED_COLUMNS } from '../kit/worlds/type-tables.ts'

/** Names that clash, and a word of what to type for each. */
const CLASHES = [
  ['clashes.queries both want the GraphQL type Query', "comment on table clashes.queries is '@name"],
  ['clashes.nodes both want the GraphQL type Node', '"clashes.nodes":{"name"'],
  ['clashes.agent both want the GraphQL type Agent', 'alter table clashes.agent rename'],
  [
    'clashes.agent_filter both want the GraphQL type AgentFilter',
    "comment on type clashes.agent_filter is '@name",
  ],
  ['would be named "__Type"', "comment on table clashes.__types is '@name"],
  ['both want the field Field.firstName', `comment on column clashes.fields."FirstName" is '@name`],
  ['both want the field Field.and', `comment on column clashes.fields."and" is '@name`],
  ['would be named "constructor"', "comment on column clashes.members.constructor is '@name"],
  [
    'both want the field ClashChild.parent',
    "comment on constraint clash_children_parent_id_fkey on clashes.clash_children is '@name",
  ],
  ['both want the field ClashParent.clashChildren', "is '@inverseName"],
  ['both want the value Mood.SO_SO', "alter type clashes.mood rename value 'SO SO'"],
  [`the label '' of clashes.nameless`, "alter type clashes.nameless rename value ''"],
] as const

/** What the hand-made tables lack beside row-level security, a tenant's policy and an index. */
const LACKING: Readonly<Record<string, readonly string[]>> = {
  'shapes.no_key': [],
  'shapes.all_nullable': [],
  'shapes.unique_nulls': [],
  'shapes.only_unique': ['unique-key'],
  'shapes.maybe_owned': ['tenant-not-null', 'unique-key'],
  'shapes.people': ['foreign-key', 'unique-key', 'unique-key', 'unique-key'],
  'shapes.passports': ['foreign-key', 'unique-key'],
  'shapes.desks': ['foreign-key', 'unique-key', 'unique-key'],
  'shapes.messages': ['foreign-key', 'foreign-key', 'unique-key'],
  'shapes.hens': ['foreign-key', 'unique-key'],
  'shapes.eggs': ['foreign-key', 'unique-key'],
  'shapes.boxes': ['foreign-key', 'unique-key'],
  'shapes.person_skills': ['foreign-key', 'foreign-key', 'unique-key'],
  'shapes.bookings': ['unique-key', 'unique-key'],
  'shapes.seats': ['unique-key', 'unique-key'],
  'shapes.measurements': ['unique-key'],
  'shapes.by_region': ['unique-key'],
  'shapes.by_hash': ['unique-key'],
  'shapes.letters': ['unique-key'],
  'names.select': ['foreign-key', 'foreign-key', 'unique-key'],
  'names.a table whose name is as long as postgres lets a name be, 63 b2': ['unique-key', 'unique-key'],
  'types.refers_to_types': ['foreign-key', 'unique-key'],
}

/** In the served schemas and yet in no API. */
const LEFT_OUT = [
  'app.tenants',
  'shapes.elsewhere',
  'shapes.frozen_bookings',
  'shapes.owners_bookings',
  'shapes.platform_secrets',
  'shapes.rooms_of_all',
]

const TENANT_TYPES = some(1, ['uuid', 'int'] as const)

describe.each(TENANT_TYPES)('a database with tenants of type %s', (tenantType) => {
  let world: ForeignWorld
  let api: WorldApi
  let before: Contents

  beforeAll(async () => {
    world = await nastyWorld(tenantType)
    await world.setUp()
  })
  afterAll(async () => {
    api?.end()
    await world?.stop()
  })

  const everywhere = (statements: string) =>
    Promise.all(world.shards.map(({ key }) => world.sql(key, statements)))

  it('is not served while names clash, and is told what to type for each', async () => {
    const error: Error = await openConfiguredApi(world).catch((reason) => reason)
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
    const lines = error.message.split('\n').slice(1)
    for (const [clash, fix] of CLASHES) {
      expect(
        lines.find((line) => line.includes(clash)),
        clash,
      ).toContain(fix)
    }
    expect(lines.filter((line) => !line.includes('To mend it: '))).toEqual([])
  })

  it('serves nothing but global tables once the names are mended, because nothing else is safe', async () => {
    await everywhere(fixtureIn(STYLES[tenantType], 'nasty-clashes-mended'))
    const unsafe = await openConfiguredApi(world)
    unsafe.end()
    expect(unsafe.model.tables.map(({ id }) => id)).toEqual(['shapes.countries', 'shapes.currencies'])
  })

  it('is told by the doctor what each table lacks', async () => {
    const findings = await world.findings()
    const found = Map.groupBy(
      findings.filter(({ where, severity }) => where === 'shard-a' && severity === 'unsafe'),
      ({ table }) => table,
    )
    const everyone = ['row-security', 'tenant-policy']
    for (const [table, more] of Object.entries(LACKING)) {
      expect(
        found
          .get(table)
          ?.map(({ check }) => check)
          .sort(),
        table,
      ).toEqual([...everyone, ...more].sort())
    }
    expect(found.get('shapes.open_bookings')?.map(({ check }) => check)).toEqual(['view-reads'])
    expect(findings.filter(({ severity, reason }) => severity === 'unsafe' && !reason)).toEqual([])
    before = await contentsOf(world)
  })

  it('is mended by what adopt writes: no row is another, and every foreign key does what it did', async () => {
    const { byHand, orphaned } = await world.adopt()
    expect({ byHand, orphaned }).toEqual({ byHand: 0, orphaned: [] })
    expect((await world.findings()).filter(({ severity }) => severity === 'unsafe')).toEqual([])
    const after = await contentsOf(world)
    expect(after.rows).toEqual(before.rows)
    expect(after.keys).toEqual(before.keys)
  })

  it('is served whole then, but for what the doctor or the start gives a reason for', async () => {
    api = await openConfiguredApi(world)
    const url = world.shards[0]!.appUrl
    const { leftOut } = await withClient(url, (client) => survey(client, world.tenancy))
    expect(api.gate.events.map(({ kind }) => kind)).toEqual(['shard.up', 'shard.up'])
    expect(
      leftOut.filter(({ reason }) => !reason.startsWith('it is a partition')).map(({ id }) => id),
    ).toEqual(LEFT_OUT)
    expect(api.model.tables.length).toBeGreaterThan(210)
    const named = Object.fromEntries(api.model.tables.map(({ id, typeName }) => [id, typeName]))
    expect(named).toMatchObject({
      'clashes.person': 'Human',
      'clashes.Agents': 'SecretAgent',
      'names.order': 'Order',
      'names.2024 figures': '_2024Figure',
      'names.日本': 'U65e5u672c',
      'Odd "Schema".v1.Odd Table': 'OddTable',
    })
  })

  const checkOf = (id: string): TypeCheck => {
    const tenant = world.tenants[0]!
    const table = api.model.tables.find((candidate) => candidate.id === id)!
    return { api, tenant, table, sql: (statement) => world.sql(tenant.shard, statement) }
  }

  // What types do has nothing to do with the type of the tenant's id; one database is enough for all of them.
  const hasAll = tenantType === TENANT_TYPES[0]
  const tables = hasAll
    ? ['types.every_value', 'types.every_array', 'types.user_types']
    : ['types.user_types']
  it.each(tables)(
    'holds columns that can be read, written, found and ordered by, whatever their type: %s',
    async (id) => {
      const check = checkOf(id)
      const { rows, faults } = await readAll(check)
      const lists =
        id === 'types.every_array' ? TYPED_COLUMNS.filter(({ table }) => table === 'every_array').length : 0
      // A list in GraphQL has one dimension.
      expect(faults.filter((fault) => !fault.includes('VALUE_UNREADABLE'))).toEqual([])
      expect(faults).toHaveLength(lists)
      expect(rows.length).toBeGreaterThan(3)
      // An array that counts from 0 equals none that a client can send.
      const found = lists > 0 ? await check.sql(`select id from ${id} where a_int4_list::text like '[%'`) : []
      const shifted = new Set(found.map((row) => String(row.id)))
      expect(await writeAgain(check, rows)).toEqual([])
      expect(
        await findByValue(
          check,
          rows.filter(({ rowId }) => !shifted.has(String(rowId))),
        ),
      ).toEqual([])
      expect(await orderByEach(check)).toEqual([])
    },
  )

  it('tells a tenant nothing of another', () => expectNothingTold(world, api, tenantType), OPERATIONS_MS)

  it(
    'answers whatever operation its schema allows',
    () => expectSoundOperations(world, api, tenantType),
    OPERATIONS_MS,
  )

  // More of it, in the same tables: both-lanes.test.ts with a COUNT.
  it('has one meaning in both lanes', async () => {
    const lanes = { ...world, api }
    await expectSameAnswers(lanes, tenantType, hasAll ? 400 : 150)
    if (hasAll) await expectSameColumns(lanes, tenantType, TYPED)
    await expectSameEffects(lanes, tenantType, 20)
  })
})

interface Contents {
  /** Hash of all rows, by shard and table. */
  readonly rows: Record<string, string | null>
  /** What becomes of a row when the one that it points to goes, by shard and foreign key. */
  readonly keys: string[]
}

async function contentsOf(world: ForeignWorld): Promise<Contents> {
  const rows: Contents['rows'] = {}
  const keys: string[] = []
  for (const { key } of world.shards) {
    const [statement] = await world.sql(key, ROWS_SQL)
    for (const { id, hash } of await world.sql(key, statement?.statement ?? ''))
      rows[`${key} ${id}`] = hash ?? null
    for (const { key: foreign } of await world.sql(key, KEYS_SQL)) keys.push(`${key} ${foreign}`)
  }
  return { rows, keys }
}

const USER_SCHEMAS = `n.nspname not in ('shardgate', 'information_schema', 'public') and n.nspname not like 'pg\\_%'`

const ROWS_SQL = `
  select string_agg(format(
    'select %L as id, md5(string_agg(t::text, e''\\n'' order by t::text)) as hash from %s t', c.oid::regclass, c.oid::regclass), ' union all ') as statement
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition and ${USER_SCHEMAS}`

const KEYS_SQL = `
  select concat_ws(' ', k.conrelid::regclass, k.confrelid::regclass, k.confupdtype, k.confdeltype, k.condeferrable, k.condeferred) as key
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
  where k.contype = 'f' and k.conparentid = 0 and ${USER_SCHEMAS} order by 1`
