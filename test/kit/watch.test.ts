/** The watch: it sees what is left behind, and lets go what is only slow to leave. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FreshDatabase, freshDatabase } from './servers.ts'
import { watchBackends } from './watch.ts'

let database: FreshDatabase

beforeAll(async () => {
  database = await freshDatabase('a')
})
afterAll(() => database.drop())

async function connected(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url, application_name: 'leaky' })
  await client.connect()
  return client
}

describe('watchBackends', () => {
  it('names a connection that is still there, and one in a transaction', async () => {
    const watch = await watchBackends([database.url])
    const [idle, open] = [await connected(), await connected()]
    await open.query('begin')
    const left = await watch.check(0).catch(String)
    expect(left).toMatch(/leaky on \w+, idle, last/)
    expect(left).toMatch(/leaky on \w+, idle in transaction, last: begin/)
    await Promise.all([idle.end(), open.end()])
    await watch.check()
  })

  it('does not mind what was there before', async () => {
    const client = await connected()
    await (await watchBackends([database.url])).check(0)
    await client.end()
  })
})

describe('watchProcess', () => {
  const run = (code: string) => {
    const file = JSON.stringify(fileURLToPath(new URL('watch.ts', import.meta.url)))
    const script = `import { watchProcess } from ${file}; const watch = watchProcess(); ${code}
      setImmediate(() => { try { watch.check(); console.log('clean') } catch (error) { console.error(error) } })`
    return spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  }

  it.each([
    ['Promise.reject(new Error("nobody waits"))', 'unhandled rejection: Error: nobody waits'],
    [
      'queueMicrotask(() => { throw new Error("nobody catches") })',
      'uncaught exception: Error: nobody catches',
    ],
  ])('notes %s', (code, fault) => {
    const { stderr, status } = run(code)
    expect(status).toBe(1)
    expect(stderr).toContain(fault)
  })

  it('stays silent where nothing happens', () => {
    expect(run('').stdout).toBe('clean\n')
  })
})
