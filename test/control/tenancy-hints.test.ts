/** A wrong `tenancy` in the configuration: the sentences name what was meant, and nothing is made by mistake. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { diagnose } from '../../src/control/doctor.ts'
import { install } from '../../src/control/install.ts'
import { tenancyHints } from '../../src/control/tenancy-hints.ts'
import { withClient } from '../../src/db/client.ts'
import { bareFleet, type TestFleet } from '../kit/fleet.ts'

let fleet: TestFleet
beforeAll(async () => {
  fleet = await bareFleet({ weights: { 'shard-a': 1 } })
  await on(`
    create schema shop; create schema billing; create schema bare;
    create table shop.users (id int, organization_id uuid, team_id int);
    create table shop.orders (id int, organization_id uuid, team_id int);
    create table shop.lines (id int, organization_id uuid, total numeric, order_id int);
    create table billing.bills (id int, organization_id uuid);
    create table bare.words (id int, word text)`)
})
afterAll(() => fleet?.drop())

const on = (text: string) => withClient(fleet.shards[0]!.superuserUrl, (db) => db.query(text))
const hints = (column: string, ...schemas: string[]) =>
  withClient(fleet.shards[0]!.superuserUrl, (db) => tenancyHints(db, { column, schemas }))

describe('a configuration that finds no table', () => {
  it('in a schema that is not there is told where its tables are', async () => {
    expect(await hints('organization_id', 'shopp')).toEqual([
      'There is no schema "shopp".',
      'Tables with the column organization_id are in: shop (3), billing (1). Correct tenancy.schemas.',
    ])
  })

  it('with another column is told which ones the tables share', async () => {
    expect(await hints('tenant_id', 'shop')).toEqual([
      'None of the 3 tables in shop has the column tenant_id.',
      'Columns that many tables share: organization_id (3), team_id (2). Correct tenancy.column.',
    ])
  })

  it('is left alone where a table fits, and on a database without tables', async () => {
    expect(await hints('organization_id', 'shop', 'nowhere')).toEqual([])
    const empty = await bareFleet({ weights: { 'shard-a': 1 } })
    const url = empty.shards[0]!.superuserUrl
    const found = await withClient(url, (db) =>
      tenancyHints(db, { column: 'tenant_id', schemas: ['public'] }),
    )
    expect(found).toEqual([])
    await empty.drop()
  })

  it('makes no schema by mistake, and setup and doctor say the same', async () => {
    const wrong = { ...fleet.installation, schemas: ['shopp'], column: 'organization_id' }
    await expect(install(wrong)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message:
        'tenancy.schemas: shard-a has no schema "shopp"; its tables with the column organization_id are in shop, billing.',
    })
    expect(
      await on(`select to_regnamespace('shopp')::text as made, to_regnamespace('shardgate')::text as ours`),
    ).toEqual([{ made: null, ours: null }])
    await withClient(fleet.directoryUrl, (db) => db.query('delete from directory.setting'))
    const told: string[] = []
    await install({ ...fleet.installation, schemas: ['shop'], report: (sentence) => told.push(sentence) })
    expect(told).toContain('shard-a: None of the 3 tables in shop has the column tenant_id.')
    const findings = await examine('tenant_id')
    expect(findings.filter(({ check }) => check === 'tenancy')).toHaveLength(2)
  })

  it('are followed by what is not in the API and why, and by names that clash', async () => {
    await on(`
      create table shop.order (organization_id uuid not null, id int);
      create table shop.notes (word text);
      grant select on all tables in schema shop to shardgate_app`)
    const served = await examine('organization_id')
    expect(served.find(({ check }) => check === 'names')?.reason).toMatch(
      /shop.order and the table shop.orders/,
    )
    await on('drop table shop.order')
    const notes = (await examine('organization_id')).filter(({ severity }) => severity === 'note')
    expect(notes.map(({ table, reason }) => `${table}: ${reason}`)).toContain(
      'shop.notes: it has no column organization_id',
    )
  })
})

function examine(column: string): ReturnType<typeof diagnose> {
  const [shard] = fleet.shards
  return diagnose({
    directoryUrl: fleet.directoryUrl,
    buckets: 64,
    tenancy: { column, schemas: ['shop'] },
    shards: [{ key: 'shard-a', appUrl: shard!.url('app'), ownerUrl: shard!.url('owner') }],
  })
}
