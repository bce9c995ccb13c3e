/** What roles and databases are set to must not change what a connection does. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, withClient } from '../../src/db/client.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
  await withClient(database.url, (client) =>
    client.query(`
      alter database ${database.name} set default_transaction_isolation = 'serializable';
      alter database ${database.name} set idle_session_timeout = '50ms'`),
  )
})
afterAll(() => database?.drop())

describe('settings of a database', () => {
  it('give no transaction one snapshot for all: the fence that is read after a wait must be the one of after it', async () => {
    await withClient(database.url, async (client) => {
      expect(await client.query('show transaction_isolation')).toEqual([
        { transaction_isolation: 'read committed' },
      ])
    })
  })

  it('end no session that only waits', async () => {
    const client = await connect(database.url)
    await withClient(database.url, (other) => other.query('select pg_sleep(0.1)'))
    expect(await client.query('select 1 as n')).toEqual([{ n: '1' }])
    await client.end()
  })
})
