/** The model of a tenant's own schema is that of the shared one, and nobody else's schema is read for it. */

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, connect } from '../../src/db/client.ts'
import { survey } from '../../src/model/introspect.ts'
import { introspectionSql } from '../../src/model/introspection-sql.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

const FIXTURE = readFileSync(new URL('../fixtures/odd-tables.sql', import.meta.url), 'utf8')
const SHARED = { column: 'tenant_id', schemas: ['app'], apart: 'tenant_' }
const OWN = { ...SHARED, schemas: ['tenant_acme'], as: 'app' }

let database: FreshDatabase
let db: Client

const inSchema = (name: string): string => FIXTURE.replaceAll(/\bapp\b/g, name)

beforeAll(async () => {
  database = await freshDatabase()
  db = await connect(database.url)
  const [first = '', ...rest] = ['app', 'tenant_acme', '"tenant_other-1"'].map(inSchema)
  await db.query(first)
  for (const text of rest) await db.query(text.replace(/^create (schema|table) other.*$/gm, ''))
})
afterAll(async () => {
  await db?.end()
  await database?.drop()
})

describe('the model of a tenant schema', () => {
  it('equals that of the shared one, also in what was left out', async () => {
    const [shared, own] = [await survey(db, SHARED), await survey(db, OWN)]
    expect(own.model).toEqual(shared.model)
    expect(own.model.fingerprint).toBe(shared.model.fingerprint)
    expect(own.leftOut).toEqual(shared.leftOut)
    expect(JSON.stringify(own)).not.toContain('tenant_acme')
  })

  it('takes the settings of the configuration under the shared names', async () => {
    const tables = { 'app.posts': { name: 'Article', columns: {}, relations: {} } }
    const { model } = await survey(db, { ...OWN, tables })
    expect(model.tables.find(({ id }) => id === 'app.posts')?.typeName).toBe('Article')
  })

  it('bears settings of what is not there only where another version is expected', async () => {
    const tables = { 'app.later': { name: 'Later', columns: {}, relations: {} } }
    await expect(survey(db, { ...OWN, tables })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    const { model } = await survey(db, { ...OWN, tables, global: ['app.later'], otherVersion: true })
    expect(model.fingerprint).toBe((await survey(db, SHARED)).model.fingerprint)
  })

  it('has what only the tenant has, and not what only the others have', async () => {
    await db.query(`
      create table tenant_acme.extra (tenant_id text not null, id int not null, primary key (tenant_id, id));
      create table app.elsewhere (tenant_id text not null, id int not null, primary key (tenant_id, id))`)
    try {
      const ids = (await survey(db, OWN)).model.tables.map(({ id }) => id)
      expect(ids).toContain('app.extra')
      expect(ids).not.toContain('app.elsewhere')
    } finally {
      await db.query('drop table tenant_acme.extra; drop table app.elsewhere')
    }
  })

  it('leaves out a table with a type of the shared schema, whose name statements could not tell apart', async () => {
    await db.query(
      'create table tenant_acme.mixed (tenant_id text not null, state app.status, states app.status[])',
    )
    try {
      const { leftOut, model } = await survey(db, OWN)
      expect(model.tables.map(({ id }) => id)).not.toContain('app.mixed')
      expect(leftOut).toContainEqual({
        id: 'app.mixed',
        reason: expect.stringMatching(/^its column state is of the type status in the shared schema app/),
      })
    } finally {
      await db.query('drop table tenant_acme.mixed')
    }
  })
})

describe('what is read', () => {
  const read = async (schemas: string[], apart: string | null, as: string | null): Promise<string> => {
    const [row] = await db.query({ text: introspectionSql(), values: [schemas, apart, as] })
    return row?.introspection ?? ''
  }

  it('leaves out schemas of other tenants, and no other', async () => {
    const own = await read(['tenant_acme'], 'tenant_', 'app')
    expect(own).not.toContain('tenant_other-1')
    expect(own).toContain('"public"')
    expect(await read(['app'], null, null)).toContain('tenant_other-1')
  })

  it('is refused when the library asks in other words', () => {
    expect(() => introspectionSql('with namespaces as (select 1)')).toThrow(
      expect.objectContaining({
        code: 'INTERNAL_SERVER_ERROR',
        message: expect.stringContaining('pg-introspection'),
      }),
    )
  })
})
