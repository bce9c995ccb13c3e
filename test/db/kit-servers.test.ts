/** The kit's own promises: a database each, and a private server that can be killed and started. */

import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { freshDatabase, privateServer, superuserUrl } from '../kit/servers.ts'

async function ask(url: string, sql: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query({ text: sql, rowMode: 'array' })
    return String(rows[0]?.[0])
  } finally {
    await client.end()
  }
}

describe('a fresh database', () => {
  it('is empty, UTF-8, and gone after drop', async () => {
    const fresh = await freshDatabase('b')
    expect(await ask(fresh.url, 'select current_database()')).toBe(fresh.name)
    expect(await ask(fresh.url, "select current_setting('server_encoding')")).toBe('UTF8')
    await fresh.drop()
    const left = `select count(*) from pg_database where datname = '${fresh.name}'`
    expect(await ask(superuserUrl('b'), left)).toBe('0')
  })
})

describe('the servers of a run', () => {
  it('are three', async () => {
    const ports = await Promise.all(
      (['a', 'b', 'c'] as const).map((name) => ask(superuserUrl(name), "select current_setting('port')")),
    )
    expect(new Set(ports).size).toBe(3)
  })
})

describe('a private server', () => {
  it('comes back on the same port after it was killed', async () => {
    const server = await privateServer()
    try {
      await ask(server.superuserUrl(), 'create table kept as select 1')
      const { port, pid } = server
      process.kill(pid!, 'SIGKILL')
      await expect.poll(() => server.pid).toBeUndefined()
      await server.start()
      expect(server.port).toBe(port)
      expect(server.pid).not.toBe(pid)
      expect(await ask(server.superuserUrl(), 'select count(*) from kept')).toBe('1')
    } finally {
      await server.remove()
    }
  })
})
