/** Loaders: keys in, rows out in the same order, whatever text a key is written as. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { type Client, connect } from '../../src/db/client.ts'
import type { Statement } from '../../src/db/sql.ts'
import { createLoaders, type Room } from '../../src/graphql/loaders.ts'
import type { ListPlan } from '../../src/graphql/plan/types.ts'
import { introspect } from '../../src/model/introspect.ts'
import type { Table } from '../../src/model/types.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

let database: FreshDatabase
let client: Client
let prices: Table
const sent: Statement[] = []

beforeAll(async () => {
  database = await freshDatabase()
  client = await connect(database.url)
  await client.query(`
    create table prices (tenant_id text, amount numeric, name text, primary key (tenant_id, amount));
    insert into prices values ('acme', 1.50, 'one and a half'), ('acme', 2, 'two'), ('globex', 3, 'not ours')`)
  prices = (await introspect(client, { column: 'tenant_id', schemas: ['public'] })).tables[0]!
})
afterAll(async () => {
  await client.end()
  await database.drop()
})

const loaders = () =>
  createLoaders(tenantId('acme'), async (statements) => {
    sent.push(...statements)
    return Promise.all(
      statements.map(async (statement) => (await client.query(statement)).map(Object.values)),
    )
  })
const names = (rows: readonly (readonly (string | null)[] | null)[]) =>
  rows.map((row) => row?.[prices.columns.findIndex(({ name }) => name === 'name')] ?? null)

describe('rows by key', () => {
  it('come in the order asked, from one statement, null where the tenant has none', async () => {
    sent.length = 0
    const { row } = loaders()
    const keys = ['2', '3', '1.50', '99', '2']
    const rows = await Promise.all(keys.map((key) => row(prices, ['amount'], [key])))
    expect(names(rows)).toEqual(['two', null, 'one and a half', null, 'two'])
    expect(sent).toHaveLength(1)
  })

  it('are found by what a key means, not by how it is written', async () => {
    const { row } = loaders()
    const rows = await Promise.all(['1.5', '1.500', '2.0', '+2'].map((key) => row(prices, ['amount'], [key])))
    expect(names(rows)).toEqual(['one and a half', 'one and a half', 'two', 'two'])
  })

  it('are read again once a mutation has changed rows', async () => {
    const { row, clear } = loaders()
    await row(prices, ['amount'], ['2'])
    await client.query(`update prices set name = 'changed' where amount = 2`)
    clear()
    expect(names([await row(prices, ['amount'], ['2'])])).toEqual(['changed'])
  })
})

describe('children', () => {
  const plan = (): ListPlan => ({
    table: prices,
    where: null,
    order: [{ by: { kind: 'column', column: 'amount' }, descending: false, nullsFirst: false }],
    limit: 10,
    offset: 0,
    backward: false,
    after: null,
    before: null,
    parentColumns: ['name'],
  })
  const full = new Error('full')
  const room = (left: number): Room => ({
    left: () => left,
    refuse: () => {
      throw full
    },
  })

  it('are all there or refused, never cut short by the room that the answer has', async () => {
    await client.query(
      `insert into prices select 'acme', 10 + n, 'parent ' || n % 2 from generate_series(1, 6) n`,
    )
    const ask = (left: number) => {
      const { children } = loaders()
      return Promise.allSettled(['0', '1'].map((n) => children(plan(), [`parent ${n}`], room(left))))
    }
    const enough = await ask(6)
    expect(enough.map((one) => one.status === 'fulfilled' && one.value.length)).toEqual([3, 3])
    for (const left of [3, 0]) {
      expect(await ask(left)).toEqual([
        { status: 'rejected', reason: full },
        { status: 'rejected', reason: full },
      ])
    }
  })
})
