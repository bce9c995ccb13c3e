/** Connections and batches: one Sync each, statements prepared once and not for ever, no doubt survived. */

import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { parse } from 'postgres-array'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deadlineIn } from '../../src/base/time.ts'
import { ONE_SNAPSHOT } from '../../src/db/batch.ts'
import { Connection } from '../../src/db/connection.ts'
import { compile, prepared, type Statement, sql, type Value } from '../../src/db/sql.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'
import { type WireProxy, wireProxy } from '../kit/wire-proxy.ts'

let database: FreshDatabase
let proxy: WireProxy
let connection: Connection

const open = (url = database.url) => Connection.open({ url, connectMs: 2_000, applicationName: 'test' })
const soon = () => deadlineIn(5_000)
const ask = async (text: string, values: Value[] = [], on = connection) =>
  (await on.batch([prepared(text, values)], soon()))[0]?.rows

beforeAll(async () => {
  database = await freshDatabase()
  proxy = await wireProxy(Number(new URL(database.url).port))
  connection = await open()
  await ask('create table kept (n int unique)')
})
afterAll(async () => {
  connection.destroy('the test is over')
  await proxy.close()
  await database.drop()
})

describe('a batch', () => {
  it('is one transaction: all of its statements have an effect, or none', async () => {
    const insert = (n: number) => prepared('insert into kept values ($1)', [n])
    await expect(connection.batch([insert(1), insert(2), insert(1)], soon())).rejects.toMatchObject({
      code: '23505',
    })
    expect(await ask('select count(*) from kept')).toEqual([['0']])
    const results = await connection.batch(
      [insert(1), insert(2), prepared('select n from kept order by n')],
      soon(),
    )
    expect(results.map(({ tag, rows }) => [tag, rows])).toEqual([
      ['INSERT 0 1', []],
      ['INSERT 0 1', []],
      ['SELECT 2', [['1'], ['2']]],
    ])
  })

  it('sees the tables at one moment where it is asked to, and otherwise as each statement finds them', async () => {
    const other = await open()
    const count = prepared('select count(*) from kept')
    const turn = prepared('select pg_advisory_xact_lock(7)')
    const counts = async (first: readonly Statement[]): Promise<unknown[]> => {
      await ask('select pg_advisory_lock(7)', [], other)
      const reading = connection.batch([...first, count, turn, count], soon())
      const isWaiting = 'select count(*) from pg_locks where not granted and locktype = $1'
      while ((await ask(isWaiting, ['advisory'], other))?.[0]?.[0] === '0') await setImmediate()
      await ask('insert into kept select max(n) + 1 from kept', [], other)
      await ask('select pg_advisory_unlock(7)', [], other)
      const results = await reading
      return [results.at(-3), results.at(-1)].map((result) => Number(result?.rows[0]?.[0]))
    }
    // Twice: the first time the statements are prepared in the same batch.
    for (const _ of [1, 2]) {
      const [before = 0, after] = (await counts([ONE_SNAPSHOT])) as number[]
      expect(after).toBe(before)
    }
    const [before = 0, after] = (await counts([])) as number[]
    expect(after).toBe(before + 1)
    other.destroy('done')
  })

  it('gives values as Postgres text, to the microsecond and the last digit', async () => {
    const [row] =
      (await ask(`select timestamptz '2026-03-29 01:59:59.999999+02', 9007199254740993::int8,
      1.10::numeric, 'NaN'::float8, true, null::text, '\\x00ff'::bytea, interval '1 day 2 hours', '{1,null}'::int[]`)) ??
      []
    expect(row).toEqual([
      '2026-03-28 23:59:59.999999+00',
      '9007199254740993',
      '1.10',
      'NaN',
      't',
      null,
      '\\x00ff',
      'P1DT2H',
      '{1,NULL}',
    ])
  })

  it('sent while others are under way is answered in its turn', async () => {
    const numbers = Array.from({ length: 100 }, (_, n) => n)
    const answers = await Promise.all(numbers.map((n) => ask('select $1::int', [n])))
    expect(answers).toEqual(numbers.map((n) => [[String(n)]]))
  })

  it('that fails fails alone', async () => {
    const mixed = [1, 0, 2, 0, 3].map((n) => ask('select 6 / $1::int', [n]).catch((error) => error.code))
    expect(await Promise.all(mixed)).toEqual([[['6']], '22012', [['3']], '22012', [['2']]])
  })

  it('whose statement cannot be parsed does not keep it from being right later', async () => {
    const later = 'select * from made_later'
    await expect(ask(later)).rejects.toMatchObject({ code: '42P01' })
    await ask('create table made_later as select 7 as n')
    expect(await ask(later)).toEqual([['7']])
  })
})

describe('prepared statements', () => {
  it('are known for what they are when the batch in front of them could not be parsed', async () => {
    const own = await open()
    const one = 'select $1::int + 1'
    const two = 'select $1::int + 2'
    const broken = own.batch([prepared('select no_such_column'), prepared(one, [1])], soon())
    const behind = own.batch([prepared(two, [1])], soon())
    // Away until both answers have come, so that they are read in one go.
    await setImmediate()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    await expect(broken).rejects.toMatchObject({ code: '42703' })
    expect((await behind)[0]?.rows).toEqual([['3']])
    expect(await ask(two, [2], own)).toEqual([['4']])
    expect(await ask(one, [2], own)).toEqual([['3']])
    expect(own.usable).toBe(true)
    own.destroy('done')
  })

  it('are parsed once a connection', async () => {
    const own = await open(proxy.url(database.url))
    for (let n = 0; n < 5; n++) await ask('select $1::int + 40', [n], own)
    expect(proxy.statements.filter((text) => text === 'select $1::int + 40')).toHaveLength(1)
    own.destroy('done')
  })

  it('are bounded: the least recently used are closed in Postgres too', async () => {
    const own = await open()
    for (let n = 0; n < 620; n++) await ask(`select ${n} + $1::int`, [1], own)
    const [[held] = []] = (await ask('select count(*) from pg_prepared_statements', [], own)) ?? []
    expect(Number(held)).toBeGreaterThan(400)
    expect(Number(held)).toBeLessThanOrEqual(500)
    expect(await ask('select 0 + $1::int', [5], own)).toEqual([['5']])
    own.destroy('done')
  })

  it.each([
    ['as long', Array.from({ length: 10 }, (_, n) => prepared(`select ${n} /* ${'x'.repeat(60_000)} */`))],
    ['as many', Array.from({ length: 501 }, (_, n) => prepared(`select ${n}`))],
  ])('are not pushed out by others of their batch: %s', async (_, others) => {
    const first = prepared("select 'first'")
    const many = [first, ...others]
    for (const before of [[], [first], others.slice(-2)]) {
      const own = await open()
      await own.batch(before, soon())
      for (let round = 0; round < 2; round++) {
        expect(await own.batch(many, soon())).toHaveLength(many.length)
        expect(await own.batch([first], soon())).toMatchObject([{ rows: [['first']] }])
        expect(await own.batch(others.slice(0, 2), soon())).toHaveLength(2)
      }
      own.destroy('done')
    }
  })
})

describe('a connection', () => {
  it('that is killed fails what is under way, and the process lives', async () => {
    const own = await open()
    const [[pid] = []] = (await ask('select pg_backend_pid()', [], own)) ?? []
    const waiting = ask('select pg_sleep(60)', [], own)
    const lost = expect(waiting).rejects.toMatchObject({
      name: expect.stringMatching(/ConnectionLost|error/),
    })
    await ask('select pg_terminate_backend($1)', [pid ?? null])
    await lost
    await expect(ask('select 1', [], own)).rejects.toMatchObject({ name: 'ConnectionLost', reason: 'unsent' })
  })

  it('that is lost already tells who asks to be told', async () => {
    const own = await open()
    own.destroy('for a reason')
    const told: string[] = []
    own.onLost((reason) => told.push(reason))
    expect(told).toEqual(['for a reason'])
  })

  it('that does not answer is given up at the deadline; who shared it learns that it was lost', async () => {
    const own = await open(proxy.url(database.url))
    proxy.blackhole()
    const late = own.batch([prepared('select 1')], deadlineIn(50))
    const patient = own.batch([prepared('select 2')], soon())
    await expect(late).rejects.toMatchObject({ name: 'ConnectionLost', reason: 'deadline' })
    await expect(patient).rejects.toMatchObject({ name: 'ConnectionLost', reason: 'lost' })
    expect(own.usable).toBe(false)
    proxy.pass()
  })

  it('answers rightly when bytes come one by one', async () => {
    proxy.slice()
    const own = await open(proxy.url(database.url))
    expect(await ask("select n, repeat('é', 50) from generate_series(1, 3) n", [], own)).toHaveLength(3)
    own.destroy('done')
    proxy.pass()
  })

  it('that is cut in the middle of a row gives an error, never a shorter list', async () => {
    const own = await open(proxy.url(database.url))
    const cut = proxy.on(
      ({ type, direction }) => type === 'DataRow' && direction === 'to-client',
      'cut-inside',
      { times: 1 },
    )
    await expect(ask('select n from generate_series(1, 10) n', [], own)).rejects.toMatchObject({
      name: 'ConnectionLost',
    })
    cut.off()
  })
})

describe('SQL as data', () => {
  it('has a name that its text alone decides', () => {
    const of = (n: number) => compile(sql`select ${sql.value(n)}::int`)
    expect([of(1).name, of(1).values]).toEqual([of(2).name, [1]])
    expect(compile(sql`select 1`).name).not.toBe(of(1).name)
  })

  it('refuses a value that is not marked as one', () => {
    expect(() => sql`select ${'1; drop table kept' as never}`).toThrow()
  })

  it('carries arrays of any text as they are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.option(fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')))),
        async (items) => {
          const [[text] = []] = (await ask('select $1::text[]', [items])) ?? []
          expect(parse(text ?? '')).toEqual(items)
        },
      ),
      { numRuns: 200 },
    )
  })
})
