/** Databases and servers for tests: each test file has its own database and shares no rows. */

import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import type { EmbeddedServer } from '../../src/db/embedded/server.ts'
import { startEmbedded } from '../../src/db/embedded/start.ts'
import { removeEmbedded, serverFolder } from './folders.ts'
import type { ServerName } from './global-setup.ts'

export interface FreshDatabase {
  /** Connection string of the superuser. */
  readonly url: string
  readonly name: string
  /** Ends what is still connected and removes the database. */
  drop(): Promise<void>
}

/** An empty database of your own on server `server`; call `drop` in `afterAll`. */
export function freshDatabase(server: ServerName = 'a'): Promise<FreshDatabase> {
  return freshDatabaseOn(superuserUrl(server))
}

/** The same on any server. @param superuser  connection string of its superuser, on another database */
export async function freshDatabaseOn(superuser: string): Promise<FreshDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`
  await run(superuser, `create database ${name} strategy file_copy`) // half the work of copying by the log
  const url = Object.assign(new URL(superuser), { pathname: `/${name}` }).href
  return { url, name, drop: () => run(superuser, `drop database if exists ${name} with (force)`) }
}

/** Connection string of the superuser of a shared server. Roles are shared by all tests on it. */
export function superuserUrl(server: ServerName, database = 'postgres'): string {
  const url = new URL(inject('servers')[server])
  url.pathname = `/${database}`
  return url.href
}

export interface PrivateServer extends EmbeddedServer {
  /** Stops it and removes its data. */
  remove(): Promise<void>
}

/** A server for tests that stop, kill or starve one; call `remove` in `afterAll`. */
export async function privateServer(settings: Record<string, string> = {}): Promise<PrivateServer> {
  const dir = serverFolder()
  const embedded = await startEmbedded({ dir, names: ['private'], durable: false, settings })
  const remove = async (): Promise<void> => {
    await embedded.stopAll()
    removeEmbedded(dir)
  }
  return Object.defineProperties(
    { remove },
    Object.getOwnPropertyDescriptors(embedded.get('private')),
  ) as PrivateServer
}

async function run(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {}) // A forced drop may end a session while we end it.
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
