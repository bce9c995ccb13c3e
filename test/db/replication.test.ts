/** Slots and their streams: who is waited for, what is forgotten when, and what is left when a session ends. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type ChangeStream, openStream } from '../../src/db/change-stream.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { type Change, PgOutput } from '../../src/db/pgoutput.ts'
import { createSlot, dropSlot, lsnOf, lsnText } from '../../src/db/replication.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

let database: FreshDatabase
let client: Client
let slot: string
const streams: ChangeStream[] = []

beforeAll(async () => {
  database = await freshDatabase('a')
  slot = `${database.name.slice(0, 40)}_slot`
  client = await connect(database.url)
  await client.query(`create table things (id int primary key, title text);
    alter table things alter title set storage external;
    create publication p for table things`)
})
afterEach(async () => {
  for (const stream of streams.splice(0)) await stream.end()
  await dropSlot(client, slot)
})
afterAll(async () => {
  await client.end()
  await database.drop()
})

async function streamed(from = 0n): Promise<ChangeStream> {
  const stream = await openStream(database.url, { slot, publication: 'p', from })
  streams.push(stream)
  return stream
}

/** Take changes until one is as wanted; gives all of them. */
async function until(stream: ChangeStream, wanted: (change: Change) => boolean): Promise<Change[]> {
  const taken: Change[] = []
  for (;;) {
    const change = stream.take()
    if (!change) await stream.arrival()
    else if (change.kind !== 'idle') taken.push(change)
    if (change && change.kind !== 'idle' && wanted(change)) return taken
  }
}

const slots = () =>
  client.query(`select slot_name, active from pg_replication_slots where slot_name = '${slot}'`)
const confirmed = async (): Promise<bigint> => {
  const [row] = await client.query(
    `select confirmed_flush_lsn as lsn from pg_replication_slots where slot_name = '${slot}'`,
  )
  return lsnOf(row?.lsn ?? '0/0')
}

describe('a slot', () => {
  it('names whoever it waits for when that takes too long, and is not left behind', async () => {
    const writer = await connect(database.url, { applicationName: 'a long writer' })
    await writer.query(`begin; insert into things values (-1, 'open')`)
    await expect(createSlot(database.url, slot, { waitMs: 300 })).rejects.toMatchObject({
      code: 'TENANT_BUSY',
      message: expect.stringMatching(
        `a long writer of postgres in ${database.name} \\(process \\d+\\), since 20`,
      ),
    })
    await expect.poll(slots).toEqual([])
    await writer.query('rollback')
    await writer.end()
    await (await createSlot(database.url, slot)).end()
  })

  it('comes with a snapshot of the moment from which it keeps changes', async () => {
    await client.query(`insert into things values (1, 'before')`)
    const made = await createSlot(database.url, slot)
    await client.query(`insert into things values (2, 'after')`)
    const reader = await connect(database.url)
    await reader.query(`begin isolation level repeatable read; set transaction snapshot '${made.snapshot}'`)
    expect(await reader.query('select id from things where id > 0')).toEqual([{ id: '1' }])
    await reader.end()
    await made.end()
    const changes = await until(await streamed(), ({ kind }) => kind === 'insert')
    expect(changes.at(-1)).toMatchObject({ row: ['2', 'after'] })
  })

  it('is not made on a session that is not admitted', async () => {
    const admit = () => Promise.reject(new Error('not you'))
    await expect(createSlot(database.url, slot, { admit, applicationName: 'refused' })).rejects.toThrow(
      'not you',
    )
    await expect
      .poll(() => client.query(`select from pg_stat_activity where application_name = 'refused'`))
      .toEqual([])
    expect(await slots()).toEqual([])
  })

  it('is dropped with the session that uses it, and once more', async () => {
    await (await createSlot(database.url, slot)).end()
    const stream = await streamed()
    const lost = new Promise<Error>((resolve) => {
      stream.onLost(resolve)
    })
    await dropSlot(client, slot)
    await dropSlot(client, slot)
    expect((await lost).message).toContain('terminating connection')
    expect(await slots()).toEqual([])
  })

  it('goes to whoever comes last', async () => {
    await (await createSlot(database.url, slot)).end()
    const first = await streamed()
    const lost = new Promise((resolve) => {
      first.onLost(resolve)
    })
    const second = await streamed()
    await lost
    await client.query(`insert into things values (3, 'seen')`)
    expect((await until(second, ({ kind }) => kind === 'insert')).at(-1)).toMatchObject({
      row: ['3', 'seen'],
    })
  })
})

describe('a stream', () => {
  it('is forgotten by the server as far as it was acknowledged, and no further', async () => {
    await (await createSlot(database.url, slot)).end()
    const stream = await streamed()
    const begun = await confirmed()
    await client.query(`insert into things values (10, 'first')`)
    await client.query(`insert into things values (11, 'second')`)
    const changes = await until(stream, (change) => change.kind === 'commit')
    const { end } = changes.at(-1) as Extract<Change, { kind: 'commit' }>
    expect(await confirmed()).toBe(begun)
    stream.acknowledge(end)
    await expect.poll(confirmed, { timeout: 5_000 }).toBe(end)
    await stream.end()
    const again = await until(await streamed(end), ({ kind }) => kind === 'insert')
    expect(again.at(-1)).toMatchObject({ row: ['11', 'second'] })
  })

  it('says how far it is where there is nothing to say', async () => {
    await (await createSlot(database.url, slot)).end()
    const stream = await streamed()
    await client.query(`create table elsewhere as select generate_series(1, 1000); drop table elsewhere`)
    const [now] = await client.query('select pg_current_wal_lsn() as lsn')
    let heard = 0n
    while (heard < lsnOf(now?.lsn ?? '')) {
      const change = stream.take()
      if (!change) await stream.arrival()
      if (change?.kind === 'idle') {
        stream.acknowledge(change.lsn)
        heard = change.lsn
      }
    }
    await expect.poll(confirmed, { timeout: 5_000 }).toBeGreaterThanOrEqual(lsnOf(now?.lsn ?? ''))
  })

  it('waits for a slow reader, and says no more than it can hold', async () => {
    await (await createSlot(database.url, slot)).end()
    const stream = await streamed()
    const rows = 300
    await client.query(
      `insert into things select 1000 + i, repeat('x', 200000) from generate_series(1, ${rows}) i`,
    )
    await stream.arrival()
    // 60 MB are on the way; what nobody has taken stays with the server.
    expect(stream.commits).toBe(0)
    const changes = await until(stream, ({ kind }) => kind === 'commit')
    expect(changes.filter(({ kind }) => kind === 'insert')).toHaveLength(rows)
  })
})

describe('what pgoutput says', () => {
  it('is refused where it is cut short or not known', () => {
    const message = (...parts: readonly (string | number)[]): Buffer =>
      Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))))
    const read = (bytes: Buffer) => () => new PgOutput().read(bytes)
    expect(read(message('Z'))).toThrow('not known')
    expect(read(message('I', 0, 0, 0, 7, 'N'))).toThrow('has not described')
    expect(read(message('B', 0, 0))).toThrow()
    const relation = message(
      'R',
      0,
      0,
      0,
      7,
      's',
      0,
      't',
      0,
      'd',
      0,
      1,
      1,
      'c',
      0,
      0,
      0,
      0,
      25,
      255,
      255,
      255,
      255,
    )
    const rows = new PgOutput()
    rows.read(relation)
    expect(() => rows.read(message('I', 0, 0, 0, 7, 'N', 0, 1, 't', 0, 0, 0, 9, 'short'))).toThrow(
      'longer than its message',
    )
    expect(() => rows.read(message('I', 0, 0, 0, 7, 'N', 0, 1, 'b', 0, 0, 0, 0))).toThrow(
      'text was asked for',
    )
    expect(rows.read(message('I', 0, 0, 0, 7, 'N', 0, 1, 't', 0, 0, 0, 0))).toMatchObject({ row: [''] })
  })

  it('has positions that can be compared', () => {
    expect(lsnOf('1/0') > lsnOf('0/FFFFFFFF')).toBe(true)
    expect(lsnText(lsnOf('1A/2B'))).toBe('1A/2B')
  })
})
