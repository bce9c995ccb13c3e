/** Rows from connection to connection: however the bytes are cut into pieces, whoever fails, at whatever pace. */

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, connect } from '../../src/db/client.ts'
import { pipeCopies } from '../../src/db/copy-pipe.ts'
import { type SQL, sql } from '../../src/db/sql.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'
import { type WireProxy, wireProxy } from '../kit/wire-proxy.ts'

let databases: FreshDatabase[]
let proxy: WireProxy
let proxyOfTarget: WireProxy
let from: Client
let to: Client

beforeAll(async () => {
  databases = [await freshDatabase('a'), await freshDatabase('b')]
  ;[proxy, proxyOfTarget] = (await Promise.all(
    databases.map(({ url }) => wireProxy(Number(new URL(url).port))),
  )) as [WireProxy, WireProxy]
  await anew()
  for (const client of [from, to]) {
    await client.query(
      'create table few (n int, body text); create table many (n int primary key, body text)',
    )
  }
  await from.query(`insert into few values (1, E'tab\\t'), (2, null), (3, ''), (4, repeat('é', 70000));
    insert into many select i, repeat(md5(i::text), 20) from generate_series(1, 30000) i`)
})
afterAll(async () => {
  await from?.end()
  await to?.end()
  await proxy?.close()
  await proxyOfTarget?.close()
  for (const database of databases ?? []) await database.drop()
})

async function anew(): Promise<void> {
  await from?.end()
  await to?.end()
  from = await connect(proxy.url(databases[0]!.url))
  to = await connect(proxyOfTarget.url(databases[1]!.url))
}

const OUT = (table: string): SQL =>
  sql`copy (select * from ${sql.identifier(table)} order by n) to stdout (format binary)`
const IN = (table: string): SQL => sql`copy ${sql.identifier(table)} from stdin (format binary)`

const ROWS = `select 'few' as name, count(*) as rows, md5(string_agg(f::text, '|' order by n)) as hash from few f
  union all select 'many', count(*), md5(string_agg(m::text, '|' order by n)) from many m order by 1`

async function same(): Promise<void> {
  expect(await to.query(ROWS)).toEqual(await from.query(ROWS))
  await to.query('truncate few, many')
}

describe('a pipe', () => {
  it('carries several tables, one of them empty, among other statements, and leaves both connections as they were', async () => {
    const piped = await pipeCopies(from, to, {
      read: [
        sql`begin`,
        sql`select 1`,
        OUT('few'),
        sql`copy (select 1 where false) to stdout`,
        OUT('many'),
        sql`commit`,
      ],
      write: [sql`begin`, IN('few'), sql`copy few (n) from stdin`, sql`select 1`, IN('many'), sql`commit`],
    })
    expect(piped).toMatchObject({ read: [4, 0, 30_000], written: [4, 0, 30_000] })
    await same()
  })

  it('carries messages that come byte by byte', async () => {
    proxy.slice()
    await from.query('create temp table parts as select * from few where n < 4')
    const read = [sql`copy parts to stdout`, sql`copy parts to stdout`]
    const write = [sql`copy few from stdin`, sql`copy few from stdin`]
    expect(await pipeCopies(from, to, { read, write })).toMatchObject({ read: [3, 3], written: [3, 3] })
    proxy.pass()
    expect(await to.query('select distinct body from few order by 1')).toEqual([
      { body: '' },
      { body: 'tab\t' },
      { body: null },
    ])
    await to.query('truncate few')
  })

  it('stops reading while it is held', async () => {
    const pieces: number[] = []
    let [seen, isHeld, early] = [0, false, 0]
    const pace = (bytes: number, rows: number): Promise<void> | undefined => {
      pieces.push(bytes)
      seen += rows
      if (isHeld) early++
      if (pieces.length % 20 > 0) return
      isHeld = true
      return sleep(5).then(() => {
        isHeld = false
      })
    }
    const { bytes } = await pipeCopies(from, to, { read: [OUT('many')], write: [IN('many')] }, { pace })
    expect(pieces.reduce((sum, more) => sum + more, 0)).toBe(bytes)
    expect(early).toBe(0)
    // The end of the binary format is a message of its own.
    expect(seen).toBe(30_001)
    expect((await to.query(ROWS))[1]).toEqual((await from.query(ROWS))[1])
    await to.query('truncate many')
  })

  const faults = {
    'the source refuses a statement': {
      read: [OUT('many'), sql`select 1 / 0`, OUT('few')],
      write: [IN('many'), IN('few')],
    },
    'the source fails among its rows': {
      read: [sql`copy (select n / (n - 20000), body from many) to stdout (format binary)`],
      write: [IN('many')],
    },
    'the target refuses a table': { read: [OUT('many'), OUT('few')], write: [IN('none'), IN('few')] },
    'the target refuses a row': { read: [OUT('many'), OUT('many')], write: [IN('many'), IN('many')] },
  }
  it.each(Object.entries(faults))('fails when %s, and nothing is kept', async (_, { read, write }) => {
    const whole = { read: [sql`begin`, ...read, sql`commit`], write: [sql`begin`, ...write, sql`commit`] }
    await expect(pipeCopies(from, to, whole)).rejects.toThrow(/division by zero|does not exist|duplicate key/)
    await anew()
    expect(await to.query('select from many union all select from few')).toEqual([])
  })

  const ends: Record<string, (stop: AbortController) => void> = {
    'is aborted': (stop) => stop.abort(new Error('enough')),
    'loses its source': () => proxy.cut(),
    'loses its target': () => proxyOfTarget.cut(),
  }
  it.each(Object.entries(ends))('fails when it %s, and nothing is kept', async (_, end) => {
    const stop = new AbortController()
    const script = { read: [OUT('many')], write: [sql`begin`, IN('many'), sql`commit`] }
    const pace = (): undefined => end(stop) as undefined
    await expect(pipeCopies(from, to, script, { signal: stop.signal, pace })).rejects.toThrow(
      /enough|terminated|ECONNRESET|EPIPE/,
    )
    // Neither says anything any more, and nobody waits for it.
    for (const client of [from, to]) await expect(client.query('select 1')).rejects.toThrow()
    await anew()
    expect(await to.query('select from many')).toEqual([])
  })
})
