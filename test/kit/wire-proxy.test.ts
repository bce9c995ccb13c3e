/** The wire proxy, between a real driver and a real server: each thing it can do, done. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type FreshDatabase, freshDatabase } from './servers.ts'
import { commandComplete, type WireProxy, wireProxy } from './wire-proxy.ts'

let database: FreshDatabase
let url: string
let proxy: WireProxy
const clients: pg.Client[] = []

beforeAll(async () => {
  database = await freshDatabase('a')
  url = database.url
})
afterAll(() => database.drop())
beforeEach(async () => {
  proxy = await wireProxy(Number(new URL(url).port))
})
afterEach(async () => {
  await proxy.close()
  await Promise.allSettled(clients.splice(0).map((client) => client.end()))
})

async function connected(options: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: proxy.url(url), ...options })
  client.on('error', () => {}) // a cut connection reports itself beside the query that fails
  clients.push(client)
  await client.connect()
  return client
}

const one = async (client: pg.Client, sql: string) => Object.values((await client.query(sql)).rows[0])[0]

describe('carrying', () => {
  it('is invisible, for small answers and large ones, text and COPY', async () => {
    const client = await connected()
    expect(await one(client, 'select 1 + 1')).toBe(2)
    expect(await one(client, `select repeat('x', 3000000)`)).toHaveLength(3_000_000)
    const { rows } = await client.query('select n from generate_series(1, 20000) n')
    expect(rows).toHaveLength(20_000)
  })

  it('carries pipelined batches in order', async () => {
    const client = await connected({ pipeline: true } as pg.ClientConfig)
    const answers = Array.from({ length: 200 }, (_, i) => client.query('select $1::int as n', [i]))
    expect((await Promise.all(answers)).map(({ rows }) => rows[0].n)).toEqual(Array.from(answers.keys()))
  })

  it('counts connections and messages, and lists the statements', async () => {
    const client = await connected()
    await client.query('select 1')
    await client.query({ name: 'twice', text: 'select $1::int', values: [2] })
    await client.query({ name: 'twice', text: 'select $1::int', values: [3] })
    expect(proxy.statements).toEqual(['select 1', 'select $1::int'])
    expect(proxy.executed).toEqual(['select 1', 'select $1::int', 'select $1::int'])
    expect(proxy.counts).toMatchObject({ connections: 1, open: 1, cuts: 0, cancels: 0 })
    expect(proxy.counts.toClient).toBeGreaterThan(proxy.counts.toServer)
  })

  it('passes a request for encryption and its answer', async () => {
    const socket = rawSocket()
    socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
    expect(String((await once(socket, 'data'))[0])).toBe('N')
    socket.destroy()
  })

  it('passes cancel requests', async () => {
    const client = (await connected()) as pg.Client & { processID: number; secretKey: number }
    const slow = client.query('select pg_sleep(600)')
    await seen(`pid = ${client.processID} and query like '%pg_sleep%'`, true) // a cancel too early is lost
    const cancel = Buffer.alloc(16)
    const fields = [16, 80877102, client.processID, client.secretKey]
    for (const [i, field] of fields.entries()) cancel.writeInt32BE(field, i * 4)
    rawSocket().end(cancel)
    await expect(slow).rejects.toMatchObject({ code: '57014' })
    expect(proxy.counts.cancels).toBe(1)
  })

  it('ends at the server when the client ends', async () => {
    const client = await connected()
    const pid = await one(client, 'select pg_backend_pid()')
    await client.end()
    await backendGone(pid)
    expect(proxy.counts.open).toBe(0)
  })
})

describe('modes', () => {
  it('slices into single bytes', async () => {
    const client = await connected()
    proxy.slice()
    const { rows } = await client.query('select n, md5(n::text) as m from generate_series(1, 50) n')
    expect(rows).toHaveLength(50)
  })

  it('delays: who goes straight to the server comes first', async () => {
    const client = await connected()
    proxy.delay(100)
    const order: string[] = []
    const late = one(client, 'select 1').then(() => order.push('by way of the proxy'))
    await withDirect((direct) => one(direct, 'select 1')).then(() => order.push('straight'))
    await late
    expect(order).toEqual(['straight', 'by way of the proxy'])
  })

  it('keeps the order under jitter', async () => {
    const client = await connected({ pipeline: true } as pg.ClientConfig)
    proxy.delay(20, 20)
    const answers = Array.from({ length: 20 }, (_, i) => client.query('select $1::int as n', [i]))
    expect((await Promise.all(answers)).map(({ rows }) => rows[0].n)).toEqual(Array.from(answers.keys()))
  })

  it('swallows in the black hole, and stays deaf to what lost bytes', async () => {
    const client = await connected()
    const pid = await one(client, 'select pg_backend_pid()')
    proxy.blackhole()
    const lost = outcome(client.query('select 1'))
    const refused = await outcome(connected({ connectionTimeoutMillis: 50 }))
    expect(refused).toMatch(/timeout/)
    proxy.pass()
    expect(await one(await connected(), `select count(*) from pg_stat_activity where pid = ${pid}`)).toBe('1')
    proxy.cut()
    expect(await lost).toMatch(/terminated|reset/i)
  })

  it('refuses, and is restored on the same port', async () => {
    const client = await connected()
    await proxy.refuse()
    expect(await outcome(connected())).toMatch(/ECONNREFUSED/)
    expect(await one(client, 'select 1')).toBe(1)
    await proxy.restore()
    expect(await one(await connected(), 'select 2')).toBe(2)
  })

  it.each(['reset', 'end'] as const)('cuts by %s', async (how) => {
    const client = await connected()
    const pid = await one(client, 'select pg_backend_pid()')
    const slow = outcome(client.query('select pg_sleep(600)'))
    proxy.cut(how)
    expect(await slow).toMatch(how === 'reset' ? /ECONNRESET/ : /terminated unexpectedly/)
    await withDirect((direct) => direct.query('select pg_terminate_backend($1)', [pid]))
    expect(proxy.counts.cuts).toBe(1)
  })

  it('cuts right after a number of bytes', async () => {
    const socket = rawSocket()
    const cut = proxy.cutAfterBytes(5, 'to-server')
    socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
    await cut
    await once(socket, 'close')
    expect(socket.bytesRead).toBe(0)
  })

  it('cuts an answer in the middle of its bytes', async () => {
    const client = await connected()
    const cut = proxy.cutAfterBytes(70_000, 'to-client')
    expect(await outcome(client.query(`select repeat('x', 100000)`))).toMatch(/terminated/)
    await cut
  })
})

describe('rules', () => {
  beforeEach(() => withDirect((direct) => direct.query('create table kit_wire (n int)')))
  afterEach(() => withDirect((direct) => direct.query('drop table kit_wire')))

  it('cuts between the commit and its acknowledgement: kept by the server, unknown to the client', async () => {
    const client = await connected()
    const lost = proxy.on(commandComplete('COMMIT'), 'cut', { times: 1 })
    await client.query('begin')
    await client.query('insert into kit_wire values (1)')
    expect(await outcome(client.query('commit'))).toMatch(/terminated/)
    expect(await lost.hit).toMatchObject({ type: 'CommandComplete', direction: 'to-client' })
    expect(await withDirect((direct) => one(direct, 'select count(*) from kit_wire'))).toBe('1')
  })

  it('cuts before the commit reaches the server: rolled back', async () => {
    const client = await connected()
    proxy.on(({ type, text }) => type === 'Query' && text === 'commit', 'cut')
    const pid = await one(client, 'select pg_backend_pid()')
    await client.query('begin')
    await client.query('insert into kit_wire values (1)')
    expect(await outcome(client.query('commit'))).toMatch(/terminated/)
    await backendGone(pid)
    expect(await withDirect((direct) => one(direct, 'select count(*) from kit_wire'))).toBe('0')
  })

  it('cuts in the middle of a row', async () => {
    const client = await connected()
    const rule = proxy.on(({ type }) => type === 'DataRow', 'cut-inside')
    expect(await outcome(client.query(`select 'a value of some length'`))).toMatch(/terminated/)
    expect(rule.hits).toBe(1)
  })

  it('drops, holds, releases, and waits for a function', async () => {
    const client = await connected()
    const held = proxy.on(({ type }) => type === 'ReadyForQuery', 'hold')
    let answered = false
    const answer = one(client, 'select 1').then((value) => {
      answered = true
      return value
    })
    await held.hit
    expect(answered).toBe(false)
    held.off()
    expect(await answer).toBe(1)
    const asked = proxy.on(
      ({ text }) => text === 'select 2',
      async () => undefined,
    )
    expect(await one(client, 'select 2')).toBe(2)
    expect(asked.hits).toBe(1)
    proxy.on(({ type }) => type === 'DataRow', 'drop')
    expect((await client.query('select 3')).rows).toEqual([])
  })

  it('sends other bytes instead', async () => {
    const client = await connected()
    proxy.on(
      ({ type, bytes }) => type === 'DataRow' && bytes.includes('seven'),
      ({ bytes }) => Buffer.from(bytes.toString('latin1').replace('seven', 'eight'), 'latin1'),
    )
    expect(await one(client, `select 'seven'`)).toBe('eight')
  })

  it('knows the statement of a prepared one that runs again', async () => {
    const client = await connected()
    const again = { name: 'again', text: 'select $1::int as again', values: [1] }
    await client.query(again)
    const rule = proxy.on(({ type, text }) => type === 'Bind' && /as again/.test(text ?? ''), 'cut')
    expect(await outcome(client.query(again))).toMatch(/terminated/)
    expect(rule.hits).toBe(1)
  })
})

describe('answers', () => {
  const ask = (client: pg.Client, n: number) =>
    client.query({ name: 'ask', text: 'select $1::int as n', values: [n] }).then(({ rows }) => rows[0].n)

  it('swaps the answers of two connections', async () => {
    const [left, right] = [await connected(), await connected()]
    expect(await Promise.all([ask(left, 0), ask(right, 0)])).toEqual([0, 0])
    const swapped = proxy.swapAnswers()
    expect(await Promise.all([ask(left, 1), ask(right, 2)])).toEqual([2, 1])
    await swapped
    expect(await Promise.all([ask(left, 3), ask(right, 4)])).toEqual([3, 4])
  })

  it('crosses the answers of two batches on one connection', async () => {
    const client = await connected({ pipeline: true } as pg.ClientConfig)
    await ask(client, 0)
    const crossed = proxy.crossAnswers()
    expect(await Promise.all([ask(client, 1), ask(client, 2), ask(client, 3)])).toEqual([2, 1, 3])
    await crossed
  })

  it('answers a batch with the bytes of an earlier one', async () => {
    const client = await connected()
    await ask(client, 0)
    const replayed = proxy.replayAnswer(
      ({ bytes }) => bytes.includes('11'),
      ({ statements }) => statements.includes('select $1::int as n'),
    )
    expect([await ask(client, 11), await ask(client, 12), await ask(client, 13)]).toEqual([11, 11, 13])
    await replayed
  })

  it('does so on a pipelined connection too', async () => {
    const client = await connected({ pipeline: true } as pg.ClientConfig)
    await ask(client, 0)
    const replayed = proxy.replayAnswer(
      ({ bytes }) => bytes.includes('21'),
      () => true,
    )
    expect(await Promise.all([20, 21, 22, 23].map((n) => ask(client, n)))).toEqual([20, 21, 21, 23])
    await replayed
  })
})

const outcome = (work: Promise<unknown>): Promise<string> => work.then(() => 'done', String)

function rawSocket(): Socket {
  return connect(proxy.port, '127.0.0.1').on('error', () => {}) // closing the proxy resets it
}

async function withDirect<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

const backendGone = (pid: unknown): Promise<void> => seen(`pid = ${pid}`, false)

// The server gives no event for what its backends do, so it is asked until it says so.
async function seen(where: string, wanted: boolean): Promise<void> {
  await withDirect(async (direct) => {
    const sql = `select exists (select from pg_stat_activity where pid <> pg_backend_pid() and ${where})`
    while ((await one(direct, sql)) !== wanted) await direct.query('select pg_sleep(0.01)')
  })
}
