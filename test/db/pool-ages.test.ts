/** Connections that are replaced: old ones, those that have fallen deaf, and those that were opened for a burst. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Deadline, deadlineIn } from '../../src/base/time.ts'
import type { Pool, PoolOptions } from '../../src/db/pool.ts'
import { prepared } from '../../src/db/sql.ts'
import { smallPool } from '../kit/pool.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'
import { type WireProxy, wireProxy } from '../kit/wire-proxy.ts'

let database: FreshDatabase
let proxy: WireProxy
let pool: Pool
const destroyed: string[] = []

beforeAll(async () => {
  database = await freshDatabase()
  proxy = await wireProxy(Number(new URL(database.url).port))
})
afterAll(async () => {
  await proxy.close()
  await database.drop()
})
afterEach(() => {
  pool.end()
  destroyed.length = 0
})

function open(options: Partial<PoolOptions> = {}): Pool {
  pool = smallPool({
    url: proxy.url(database.url),
    onDestroyed: (reason) => destroyed.push(reason),
    shared: 1,
    ...options,
  })
  return pool
}

const soon = () => deadlineIn(5_000)
const PID = prepared('select pg_backend_pid()')
const sharedPid = async () => (await pool.batch([PID], soon()))[0]?.rows[0]?.[0]
const heldPid = () =>
  pool.exclusive(soon(), async (held) => (await held.batch([PID], soon()))[0]?.rows[0]?.[0])

describe('a connection that is old', () => {
  it('is replaced by another while it is shared, and no batch fails', async () => {
    open({ maxAgeMs: 100 })
    const first = await sharedPid()
    const slow = pool.batch([prepared('select pg_sleep(0.3)')], soon())
    await expect.poll(sharedPid).not.toBe(first)
    await slow
    await expect.poll(() => proxy.counts.open).toBe(1)
    expect(destroyed).toEqual([])
  })

  it('is replaced where nobody uses it', async () => {
    open({ maxAgeMs: 50 })
    const opened = proxy.counts.connections
    await sharedPid()
    await expect.poll(() => proxy.counts.connections - opened).toBeGreaterThan(2)
    expect(pool.stats.shared).toBe(1)
  })

  it('is not lent again, and not taken away from who holds it', async () => {
    open({ maxAgeMs: 50 })
    const [first, last] = await pool.exclusive(soon(), async (held) => {
      const before = await held.batch([PID], soon())
      await expect.poll(() => held.isAged).toBe(true)
      return [before, await held.batch([PID], soon())]
    })
    expect(last).toEqual(first)
    expect(await heldPid()).not.toBe(first?.[0]?.rows[0]?.[0])
    expect(destroyed).toEqual([])
  })
})

describe('a connection that has fallen deaf while nobody used it', () => {
  it.each([
    ['shared', sharedPid],
    ['held', heldPid],
  ])('F6: is found by a trial before it is used (%s)', async (_, ask) => {
    open({ pingAfterMs: 1 })
    const first = await ask()
    const answeredAt = performance.now()
    await expect.poll(() => performance.now() - answeredAt).toBeGreaterThan(2)
    process.kill(Number(first), 'SIGSTOP')
    try {
      const answers = await Promise.all([ask(), ask(), ask()])
      expect(answers).not.toContain(first)
      expect(answers).not.toContain(undefined)
      expect(destroyed).toEqual(['Postgres did not answer in time'])
    } finally {
      process.kill(Number(first), 'SIGCONT')
    }
  })

  it('is not tried while it answers', async () => {
    open({ pingAfterMs: 60_000 })
    await sharedPid()
    const statements = proxy.executed.length
    await sharedPid()
    await heldPid()
    expect(proxy.executed.slice(statements)).toEqual([PID.text, PID.text])
  })
})

describe('connections that were opened for a burst', () => {
  it('are closed when they have been idle for a while, and the others stay', async () => {
    open({ exclusive: 4, kept: 1, overflowIdleMs: 50 })
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const held = Array.from({ length: 4 }, () => pool.exclusive(soon(), () => released))
    await expect.poll(() => proxy.counts.open).toBe(4)
    release()
    await Promise.all(held)
    await expect.poll(() => pool.stats.exclusiveIdle).toBe(1)
    await heldPid()
    expect(pool.stats.exclusiveIdle).toBe(1)
    expect(destroyed).toEqual([])
  })
})

describe('a batch that ends with its client', () => {
  it('F15: frees its server when the client hangs up, and nobody else’s batch with it', async () => {
    open({ depth: 1 })
    let hangUp = (): void => {}
    const deadline: Deadline = {
      ...soon(),
      whenGone(tell) {
        hangUp = tell
        return () => {}
      },
    }
    const asked = pool.batch([prepared('select pg_sleep(60)')], deadline, undefined, undefined, true)
    const lost = expect(asked).rejects.toMatchObject({ reason: 'lost' })
    await expect.poll(() => proxy.counts.open).toBe(1)
    await expect.poll(running).toBe(1)
    hangUp()
    await lost
    expect(await sharedPid()).toBeDefined()
    await expect.poll(running, { timeout: 5_000 }).toBe(0)
    expect(destroyed).toEqual([])
  })

  /** Statements that sleep on the server. */
  async function running(): Promise<number> {
    const text = `select count(*)::int from pg_stat_activity where query like 'select pg_sleep(60)%' and state = 'active'`
    const answer = await pool.exclusive(soon(), (held) => held.batch([prepared(text)], soon()))
    return Number(answer[0]?.rows[0]?.[0])
  }
})
