/** Upsert: a row by its unique key, made when it is not there and changed when it is, never silently neither. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Data, openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi
let tenant: WorldTenant
let other: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1 })
  tenant = world.tenants[0]!
  other = world.tenants[1]!
  api = await openWorldApi(world)
})
afterAll(async () => {
  api.end()
  await world.stop()
})

const UPSERT = `mutation($input: CreateProjectInput!, $on: ProjectKeyName! = ID, $update: [ProjectColumn!]) {
  upsertProject(input: $input, on: $on, update: $update) {
    __typename ... on Project { rowId name budgetCents share } ... on ConstraintError { kind columns path } } }`
const upsert = async (variables: object): Promise<Data> =>
  (await api.data(tenant, UPSERT, variables)).upsertProject
const nameOfOther = async () =>
  String(
    (await world.sql(other.shard, 'select name from app.projects where tenant_id = $1', [other.id]))[0]?.name,
  )

describe('upsert', () => {
  it('creates a row that is not there, and changes what is given of one that is', async () => {
    const input = { rowId: '900', name: 'up', budgetCents: '1', share: '2.50' }
    expect(await upsert({ input })).toMatchObject({ name: 'up', budgetCents: '1', share: '2.50' })
    expect(await upsert({ input: { rowId: '900', name: 'up again', share: null } })).toMatchObject({
      ...{ rowId: '900', name: 'up again', budgetCents: '1', share: null },
    })
  })

  it('goes by another unique key where it is told to, and leaves the primary key of the row alone', async () => {
    await upsert({ input: { rowId: '901', name: 'by name', share: 1 } })
    const again = { input: { rowId: '999', name: 'by name', share: 2 }, on: 'NAME' }
    expect(await upsert(again)).toMatchObject({ rowId: '901', share: '2.00' })
  })

  it('changes only the columns that "update" names', async () => {
    await upsert({ input: { rowId: '902', name: 'some', share: 1, budgetCents: '1' } })
    const input = { rowId: '902', name: 'other', share: 2, budgetCents: '2' }
    expect(await upsert({ input, update: ['SHARE'] })).toMatchObject({
      ...{ name: 'some', share: '2.00', budgetCents: '1' },
    })
  })

  it('F5: with nothing to change returns the row that is there, and not silently none', async () => {
    await upsert({ input: { rowId: '903', name: 'kept', share: 1 } })
    const input = { rowId: '903', name: 'not taken', share: 2 }
    expect(await upsert({ input, update: [] })).toMatchObject({ name: 'kept', share: '1.00' })
  })

  it('answers with the constraint when another key is in the way', async () => {
    await upsert({ input: { rowId: '904', name: 'taken' } })
    expect(await upsert({ input: { rowId: '905', name: 'taken' } })).toEqual({
      ...{ __typename: 'ConstraintError', kind: 'UNIQUE', columns: ['name'], path: [] },
    })
  })

  it.each([
    [
      { input: { rowId: '1', name: 'x' }, update: ['SHARE'] },
      '"update" names "share", which "input" does not give.',
    ],
    [
      { input: { rowId: '1', name: 'x' }, update: ['NOBODY'] },
      'Variable "$update" got invalid value "NOBODY"',
    ],
  ])('%j is refused', async (variables, message) => {
    const { errors } = await api.run(tenant, UPSERT, variables)
    expect(errors?.[0]?.message).toMatch(message)
  })

  it('wants the columns of its key: a label without them could be any', async () => {
    const on = `mutation { upsertInvoice(input: { projectId: "1", reference: "r", cents: "1" }) { __typename } }`
    const { errors } = await api.run(tenant, on)
    expect(errors?.[0]?.message).toBe('"on" is ID; "input" has to give "rowId".')
  })

  it("F5: never meets another tenant's row: its values are as free as any", async () => {
    const before = await world.contents(other)
    const theirs = await nameOfOther()
    const fields = (name: string, rowId: string) => ({ input: { name, rowId, share: 3 }, on: 'NAME' })
    const foreign = await upsert(fields(theirs, '910'))
    const fresh = await upsert(fields('nobody has it', '911'))
    expect(JSON.stringify(foreign)).toBe(
      JSON.stringify(fresh).replace('nobody has it', theirs).replace('911', '910'),
    )
    expect(await world.contents(other)).toBe(before)
  })

  it('of one key by many at once is one row', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        upsert({ input: { rowId: `${920 + i}`, name: 'raced', share: i }, on: 'NAME' }),
      ),
    )
    expect(new Set(answers.map(({ rowId }) => rowId)).size).toBe(1)
  })

  it('of a key that is checked late says so', async () => {
    await world.sql(
      tenant.shard,
      'alter table app.invoices add constraint late unique (tenant_id, cents) deferrable initially deferred',
    )
    const late = await openWorldApi(world)
    try {
      const { errors } = await late.run(
        tenant,
        `mutation { upsertInvoice(on: CENTS, input: { projectId: "1", reference: "r", cents: "1" }) { __typename } }`,
      )
      expect(errors?.[0]?.message).toBe('The key that "on" names is checked late and cannot be used here.')
    } finally {
      late.end()
      await world.sql(tenant.shard, 'alter table app.invoices drop constraint late')
    }
  })
})
