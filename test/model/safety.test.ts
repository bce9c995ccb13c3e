/** The check of a shard's safety: silent on what is safe, finds every careless habit, and its SQL mends. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sqlState } from '../../src/db/client.ts'
import { serverFindings } from '../../src/model/safety/server.ts'
import { checkSafety, type Finding, unsafeShard, unsafeTables } from '../../src/model/safety.ts'
import { APP, type IsolatedDatabase, isolatedDatabase } from '../kit/isolation.ts'

let database: IsolatedDatabase

beforeAll(async () => {
  database = await isolatedDatabase('careful', 'careless')
})
afterAll(() => database?.close())

const check = (schema: string, appRole = APP): Promise<Finding[]> =>
  checkSafety(database.admin, {
    column: 'tenant_id',
    schemas: [schema],
    appRole,
  })

/** 'table check severity', sorted. */
const summary = (findings: readonly Finding[]): string[] =>
  findings.map(({ table, check, severity }) => `${table ?? '-'} ${check} ${severity}`).sort()

describe('a careful schema', () => {
  it('gives no finding', async () => {
    expect(await check('good')).toEqual([])
  })

  it('gives none to the app role itself either', async () => {
    const question = { column: 'tenant_id', schemas: ['good'], appRole: APP }

    expect(await checkSafety(database.app, question)).toEqual([])
  })

  it('that does not exist gives none', async () => {
    expect(await check('nowhere')).toEqual([])
  })
})

describe('a careless schema', () => {
  const EXPECTED = [
    '- function-definer unsafe',
    'bad.children foreign-key unsafe',
    'bad.derived policy-permissive advice',
    'bad.derived row-security unsafe',
    'bad.derived tenant-policy unsafe',
    'bad.empty_tenant move-replica-identity advice',
    'bad.empty_tenant tenant-not-empty unsafe',
    'bad.empty_tenant tenant-not-null unsafe',
    'bad.frozen_view materialized-view unsafe',
    'bad.immutable_below policy-function unsafe',
    'bad.immutable_below policy-narrow advice',
    'bad.immutable_helper policy-function unsafe',
    'bad.immutable_helper tenant-policy unsafe',
    'bad.logs_2026 policy-permissive advice',
    'bad.logs_2026 row-security unsafe',
    'bad.logs_2026 tenant-policy unsafe',
    'bad.no_index move-replica-identity advice',
    'bad.no_index tenant-index advice',
    'bad.not_forced row-security-forced unsafe',
    'bad.of_switched_off view-reads unsafe',
    'bad.open_check tenant-policy unsafe',
    'bad.or_ed tenant-policy unsafe',
    'bad.owners_view view-rights unsafe',
    'bad.parents key-order advice',
    'bad.parents move-replica-identity advice',
    'bad.parents tenant-index advice',
    'bad.parents unique-key unsafe',
    'bad.parents unique-key unsafe',
    'bad.parents unique-key unsafe',
    'bad.permissive tenant-policy unsafe',
    'bad.read_only tenant-policy unsafe',
    'bad.rights table-rights unsafe',
    'bad.slow index-unusable advice',
    'bad.slow policy-empty advice',
    'bad.slow policy-once advice',
    'bad.switched_off policy-permissive advice',
    'bad.switched_off row-security unsafe',
    'bad.switched_off tenant-policy unsafe',
    'bad.view_of_view view-reads unsafe',
    'bad.view_of_view view-rights unsafe',
    'bad.wrong_setting tenant-policy unsafe',
    'bad_parts.logs_2027 policy-permissive advice',
    'bad_parts.logs_2027 row-security unsafe',
    'bad_parts.logs_2027 tenant-policy unsafe',
  ]

  it('is found out, habit by habit', async () => {
    const findings = await check('bad')

    expect(summary(findings)).toEqual(EXPECTED)
    expect(unsafeShard(findings).map(({ check }) => check)).toEqual(['function-definer'])
    expect(unsafeTables(findings)).not.toContain('bad.slow')
    expect(unsafeTables(findings)).not.toContain('bad.no_index')
    expect(unsafeTables(findings)).toContain('bad.permissive')
  })

  it('says what is wrong and what to type, for a person', async () => {
    const findings = await check('bad')

    expect(findings.find(({ table }) => table === 'bad.read_only')).toMatchObject({
      table: 'bad.read_only',
      check: 'tenant-policy',
      severity: 'unsafe',
      reason:
        'its restrictive policies (tenant_isolation) do not hold insert, update, delete to the tenant; ' +
        'wanted tenant_id = (select shardgate.current_tenant()), for reading and for writing.',
      sql:
        'drop policy if exists tenant_isolation on bad.read_only;\n' +
        `create policy tenant_isolation on bad.read_only as restrictive to ${APP} ` +
        'using (tenant_id = (select shardgate.current_tenant())) ' +
        'with check (tenant_id = (select shardgate.current_tenant()));',
    })
    for (const { reason } of findings) expect(reason).toMatch(/^\S.*\.$/)
  })

  it('is mended by the SQL of its findings, run as the owner in their order', async () => {
    const { admin } = database
    await admin.query('begin')
    await admin.query('set local role isolation_owner')
    for (const { sql } of await check('bad')) if (sql) await admin.query(sql)
    const left = await check('bad')
    await admin.query('rollback')

    expect(summary(left)).toEqual(['bad.slow index-unusable advice']) // Has no SQL: the type is the reason.
  })
})

describe('the app role', () => {
  /** Findings about the whole shard for a role made by `statements`, where ROLE stands for it. */
  async function findingsOf(...statements: string[]): Promise<string[]> {
    const role = `risky_${database.name}`
    await database.admin.query('begin')
    try {
      for (const statement of [`create role ROLE noinherit`, ...statements]) {
        await database.admin.query(statement.replaceAll('ROLE', role))
      }
      return (await check('good', role)).map(
        ({ check, reason }) => `${check}: ${reason.replaceAll(role, 'ROLE')}`,
      )
    } finally {
      await database.admin.query('rollback')
    }
  }

  it('without any right is fine', async () => {
    expect(await findingsOf()).toEqual([])
  })

  it('that does not exist is told', async () => {
    expect(summary(await check('good', 'nobody_here'))).toEqual(['- role-missing unsafe'])
  })

  it.each(['superuser', 'bypassrls', 'replication', 'createrole', 'createdb'])(
    'F8: that is %s',
    async (right) => {
      const found = await findingsOf(`alter role ROLE ${right}`)

      expect(found).toHaveLength(1)
      expect(found[0]).toMatch(/^role-attributes: the app role ROLE is [A-Z]+: /)
    },
  )

  it.each([
    ['a table', 'create table good.mine (id int); alter table good.mine owner to ROLE', 'table good.mine'],
    ['a schema', 'create schema theirs authorization ROLE', 'schema theirs'],
    ['the owner, by membership', 'grant isolation_owner to ROLE', 'database '],
  ])('F8: that owns %s', async (_, statement, thing) => {
    const found = await findingsOf(statement)

    expect(found.some((text) => text.startsWith('role-owner: ') && text.includes(thing))).toBe(true)
  })

  it.each(['pg_read_all_data', 'pg_write_server_files'])('F8: that is a member of %s', async (other) => {
    expect((await findingsOf(`grant ${other} to ROLE`)).join()).toContain(`is a member of ${other}`)
  })

  it.each([
    ['grant create on schema good to ROLE', 'role-create: the app role ROLE may create in the schema good'],
    [
      'grant create on schema public to public',
      'role-create: the app role ROLE may create in the schema public',
    ],
    [
      'do $$ begin execute format($f$grant create on database %I to ROLE$f$, current_database()); end $$',
      'role-create',
    ],
    [
      'do $$ begin execute format($f$grant temp on database %I to ROLE$f$, current_database()); end $$',
      'role-temp',
    ],
    [
      'grant update on shardgate.tenant_fence to ROLE',
      'own-tables: the app role ROLE may change shardgate.tenant_fence',
    ],
    ['grant insert on shardgate.migration to public', 'own-tables'],
    ['grant truncate on shardgate.idempotency to ROLE', 'own-tables: shardgate.idempotency'],
    ['grant update on shardgate.idempotency to ROLE', 'own-tables: shardgate.idempotency'],
    [
      'grant insert on shardgate.idempotency to ROLE; alter table shardgate.idempotency no force row level security',
      'own-tables: shardgate.idempotency',
    ],
  ])('F3: %s', async (statement, expected) => {
    const found = await findingsOf(statement)

    expect(found).toHaveLength(1)
    expect(found[0]).toContain(expected)
  })
})

describe('the server', () => {
  it.each([
    [150_015, '15.15', '15.16'],
    [160_011, '16.11', '16.12'],
    [170_007, '17.7', '17.8'],
    [180_001, '18.1', '18.2'],
    [140_022, '14.22', '15.16'],
  ])('F17: Postgres %i is too old', (versionNumber, version, wanted) => {
    const [finding] = serverFindings({ versionNumber, version })

    expect(finding).toMatchObject({
      check: 'server-version',
      severity: 'unsafe',
    })
    expect(finding?.reason).toContain(`Postgres ${version}`)
    expect(finding?.reason).toContain(`from ${wanted} on`)
  })

  it.each([150_016, 160_012, 170_008, 180_002, 180_004, 190_000])(
    'F17: Postgres %i is not',
    (versionNumber) => {
      expect(serverFindings({ versionNumber, version: '' })).toEqual([])
    },
  )
})

it('a role that may not read the tables still gets the whole answer', async () => {
  const denied = await database.app.query('select * from bad.switched_off').catch(sqlState)
  const question = { column: 'tenant_id', schemas: ['bad'], appRole: APP }

  expect(denied).toEqual([])
  expect(await checkSafety(database.app, question)).toEqual(await check('bad'))
})
