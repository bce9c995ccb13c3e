/** The pool: who shares, who waits, and which connections never come back. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { deadlineIn } from '../../src/base/time.ts'
import type { Pool, PoolOptions } from '../../src/db/pool.ts'
import { prepared } from '../../src/db/sql.ts'
import { smallPool } from '../kit/pool.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

let database: FreshDatabase
let pool: Pool
const destroyed: string[] = []

beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())
afterEach(() => {
  pool.end()
  destroyed.length = 0
})

function open(options: Partial<PoolOptions> = {}): Pool {
  pool = smallPool({ url: database.url, onDestroyed: (reason) => destroyed.push(reason), ...options })
  return pool
}
const soon = () => deadlineIn(5_000)
const PID = prepared('select pg_backend_pid()')
const pidOf = async () => (await pool.batch([PID], soon()))[0]?.rows[0]?.[0]

describe('shared connections', () => {
  it('are opened as they are needed, and no more than allowed', async () => {
    open({ depth: 1, waiting: 100 })
    const answers = await Promise.all(Array.from({ length: 40 }, pidOf))
    expect(new Set(answers).size).toBeLessThanOrEqual(2)
    expect(pool.stats).toMatchObject({ waiting: 0 })
  })

  it('are all used by batches of one turn, where one of them is full', async () => {
    open({ depth: 1 })
    await Promise.all([pidOf(), pidOf()])
    expect(pool.stats.shared).toBe(2)
    for (let round = 0; round < 3; round++) {
      const asked = [pidOf(), pidOf()]
      expect(pool.stats.waiting).toBe(0)
      expect(new Set(await Promise.all(asked)).size).toBe(2)
    }
  })

  it('refuse who would wait too long a line, and serve who waits', async () => {
    open({ shared: 1, depth: 1, waiting: 2 })
    await pidOf()
    const asked = Array.from({ length: 5 }, () =>
      pool.batch([prepared('select pg_sleep(0.05)')], soon()).then(
        () => 'served',
        ({ code }) => code,
      ),
    )
    expect((await Promise.all(asked)).sort()).toEqual([
      'OVERLOADED',
      'OVERLOADED',
      'served',
      'served',
      'served',
    ])
  })

  it('that a slow batch holds up are passed over: short ones go by', async () => {
    open({ shared: 1, depth: 16 })
    await pidOf()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const { promise: locked, resolve: hasLock } = Promise.withResolvers<void>()
    const holder = pool.exclusive(soon(), async (connection) => {
      await connection.batch([prepared('begin'), prepared('select pg_advisory_xact_lock(77)')], soon())
      hasLock()
      await released
      await connection.batch([prepared('commit')], soon())
    })
    await locked
    const slow = pool.batch([prepared('select pg_advisory_xact_lock_shared(77)')], soon())
    // Who comes before the slow one counts as slow waits behind it; who comes later does not.
    const asked: Promise<unknown>[] = []
    let served = 0
    const ask = () => {
      asked.push(pidOf().then(() => served++))
      return served
    }
    await expect.poll(ask).toBeGreaterThan(0)
    release()
    await Promise.all([slow, holder, ...asked])
    await pidOf()
    expect(pool.stats.shared).toBe(1)
  })

  it('are destroyed when their answers are distrusted', async () => {
    open({ shared: 1 })
    const first = await pidOf()
    const distrust = pool.batch([PID], soon(), () => {
      throw new Error('not my answer')
    })
    await expect(distrust).rejects.toThrow('not my answer')
    expect(await pidOf()).not.toBe(first)
    expect(destroyed).toEqual(['it answered another question'])
  })
})

describe('exclusive connections', () => {
  const pid = () =>
    pool.exclusive(soon(), async (connection) => (await connection.batch([PID], soon()))[0]?.rows[0]?.[0])

  it('are used again after clean work', async () => {
    open()
    expect(await pid()).toBe(await pid())
  })

  it('D1: are never used again when a transaction was left open', async () => {
    open()
    const leave = async () =>
      pool.exclusive(soon(), async (connection) => {
        await connection.batch([prepared('begin'), prepared('create temporary table mine ()')], soon())
        return (await connection.batch([PID], soon()))[0]?.rows[0]?.[0]
      })
    const left = await leave()
    expect(await pid()).not.toBe(left)
    expect(destroyed).toEqual(['a transaction did not end cleanly'])
  })

  it('D1: are never used again when a transaction failed in the batch that began it', async () => {
    open({ exclusive: 1 })
    const begun = [prepared('begin'), prepared('select 1 / $1::int', [0])]
    // The refusal and what becomes of the transaction are two messages, and often two reads of the socket.
    for (let round = 0; round < 50; round++) {
      const refused = pool.exclusive(soon(), (connection) => connection.batch(begun, soon()))
      await expect(refused).rejects.toMatchObject({ code: '22012' })
      expect(await pid()).toBeDefined()
    }
  })

  it('are held by one caller each; the next waits for its turn, until its deadline', async () => {
    open({ exclusive: 1 })
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    const holder = pool.exclusive(soon(), () => held)
    await expect(pool.exclusive(deadlineIn(20), async () => 'never')).rejects.toMatchObject({
      code: 'OVERLOADED',
    })
    const next = pool.exclusive(soon(), async () => 'my turn')
    release()
    await holder
    expect(await next).toBe('my turn')
  })
})

describe('a new connection', () => {
  it('that the check refuses is closed, and the reason reaches the caller', async () => {
    open({ onConnect: () => Promise.reject(new Error('not the right shard')) })
    await expect(pidOf()).rejects.toThrow('not the right shard')
    await expect(pool.exclusive(soon(), async () => 1)).rejects.toThrow('not the right shard')
    expect(pool.stats).toEqual({ shared: 0, exclusiveInUse: 0, exclusiveIdle: 0, waiting: 0 })
  })

  it('that cannot be made fails every caller that waits for it', async () => {
    open({ url: 'postgres://nobody:wrong@127.0.0.1:1/none', depth: 1 })
    const failures = await Promise.all(
      [pidOf(), pidOf(), pidOf()].map((asked) => asked.catch(({ code }) => code)),
    )
    expect(failures).toEqual(['ECONNREFUSED', 'ECONNREFUSED', 'ECONNREFUSED'])
  })
})

describe('a pool', () => {
  it('follows new numbers at run time', async () => {
    open({ exclusive: 1 })
    pool.resize({ shared: 2, depth: 4, exclusive: 2, connectMs: 1_000 })
    const both = await Promise.all(
      [1, 2].map(() => pool.exclusive(soon(), async () => pool.stats.exclusiveInUse)),
    )
    expect(Math.max(...both)).toBe(2)
  })

  it('that has ended fails at once', async () => {
    open().end()
    await expect(pidOf()).rejects.toMatchObject({ name: 'ConnectionLost', reason: 'unsent' })
  })
})
