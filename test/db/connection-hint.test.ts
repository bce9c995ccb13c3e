/** What a person is told to do when a server cannot be reached, for every way in which that happens. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, withClient } from '../../src/db/client.ts'
import { Connection } from '../../src/db/connection.ts'
import { connectionHint } from '../../src/db/connection-hint.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

let database: FreshDatabase
const role = `hint_${randomUUID().slice(0, 8)}`

beforeAll(async () => {
  database = await freshDatabase()
  await withClient(database.url, async (db) => {
    await db.query(`create role ${role} nologin password 'right'`)
    await db.query(`create role ${role}_in login password 'right'`)
    await db.query(`revoke connect on database ${database.name} from public`)
  })
})
afterAll(() => database?.drop())

async function hintFor(change: Partial<URL>, statement = 'select 1'): Promise<string | undefined> {
  const url = Object.assign(new URL(database.url), change).href
  const error = await withClient(url, (db) => db.query(statement)).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(Error)
  return connectionHint(error, url)
}

describe('a connection that fails says what to type', () => {
  it.each<[string, Partial<URL>, RegExp]>([
    ['a wrong password', { password: 'wrong' }, /^Correct the password of "postgres" in its URL/],
    [
      'no password',
      { password: '' },
      /^Write the password of "postgres" into its URL, or into SHARDGATE_ADMIN_PASSWORD/,
    ],
    [
      'a role that setup makes',
      { username: 'shardgate_owner', password: 'x' },
      /setup --admin-user postgres/,
    ],
    [
      'a role that may not log in',
      { username: role, password: 'right' },
      /^Make the role "hint_\w+", or let/,
    ],
    [
      'a role without the right to connect',
      { username: `${role}_in`, password: 'right' },
      /^A superuser has to run: grant connect on database "test_\w+" to "hint_\w+_in";$/,
    ],
    ['no such database', { pathname: '/nowhere' }, /create database "nowhere";$/],
    ['no server', { port: '1' }, /^See that a server runs there/],
    [
      'no such host',
      { hostname: 'nobody.invalid' },
      /^Correct the host in the URL: nobody knows "nobody\.invalid"/,
    ],
    ['a server without TLS', { search: '?sslmode=require' }, /^Take sslmode out of the URL/],
  ])('%s', async (_, change, sentence) => {
    expect(await hintFor(change)).toMatch(sentence)
  })

  it('and leaves no session behind, also where the driver gives up by itself', async () => {
    const scratch = await freshDatabase()
    const url = Object.assign(new URL(scratch.url), { password: '' }).href
    await expect(Connection.open({ url, connectMs: 2_000, applicationName: 'test' })).rejects.toThrow()
    await expect(connect(url)).rejects.toThrow()
    // A server waits with this for sessions that have not said who they are: a minute, longer than a test may take.
    await scratch.drop()
  })

  it('a database that was never set up', async () => {
    expect(await hintFor({}, 'select id from shardgate.identity')).toBe('Run "shardgate setup" first.')
    expect(await hintFor({}, 'select key from directory.shard')).toBe('Run "shardgate setup" first.')
  })

  it('and of other errors nothing', async () => {
    expect(await hintFor({}, 'select 1/0')).toBeUndefined()
  })
})
