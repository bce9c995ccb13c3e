/**
 * Random changes that are made on both sides, written in other ways that mean the same: never a difference. Then one
 * of another value on the target: always one, in the right column.
 *
 * `COUNT=1000` compares as often; `SEED` repeats a run.
 */

import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { rowDifferencesOf } from '../../../src/control/move/drill-down.ts'
import { withSides } from '../../../src/control/move/sides.ts'
import { compareTouched } from '../../../src/control/move/touched.ts'
import { verifyFrozen } from '../../../src/control/move/verify.ts'
import { type MovePair, movePair, TENANT } from '../../kit/move-pair.ts'
import { type Random, runRandom } from '../../kit/random.ts'

const COUNT = Number(process.env.COUNT ?? 60)

/** One value as it is written on the source, and as it is written on the target. */
type Written = readonly [source: string, target: string]

const same = (sql: string): Written => [sql, sql]
const text = (value: string): Written => same(pg.escapeLiteral(value))
const orNull = (random: Random, value: Written): Written => (random.chance(0.15) ? same('null') : value)

const VALUES: Readonly<Record<string, (random: Random) => Written>> = {
  title: (random) => text(random.text(random.int(20))),
  note: (random) => text(random.pick(['', ' ', 'null', 'NULL', random.text(3)])),
  code: (random) => {
    const code = `c${random.int(9)}`
    return [`'${code}'`, `'${code}   '`]
  },
  bytes: (random) => text(`\\x${random.bytes(random.int(40)).toString('hex')}`),
  at: (random) => {
    const ms = random.int(2 ** 31) * 1000
    const micros = String(random.int(1e6)).padStart(6, '0')
    const at = (hours: number) => new Date(ms + hours * 3_600_000).toISOString().slice(0, 19)
    return [`'${at(0)}.${micros}Z'`, `'${at(5)}.${micros}+05'`]
  },
  ratio: (random) =>
    same(`'${random.pick(['-0', '0', 'NaN', 'Infinity', String(random.unit()), '1e-320'])}'`),
  amount: (random) => text(random.pick(['1.0', '1.00', 'NaN', '-0.000', String(random.int(1e6))])),
  data: (random) => {
    const fields = Object.entries({
      a: random.int(9),
      bb: random.text(4),
      c: [null, true],
      '': { x: 1, y: 2 },
    })
    const written = (list: typeof fields) => pg.escapeLiteral(JSON.stringify(Object.fromEntries(list)))
    return [written(fields), written(random.shuffle(fields))]
  },
  raw: (random) => text(JSON.stringify({ b: random.int(9), a: random.text(3) })),
  mood: (random) => same(`'${random.pick(['glad', 'sad'])}'`),
  tags: (random) => same(`array[${random.pick([`'x', null`, `'NULL'`, `'', ' '`, `'{a}', 'b,c'`])}]::text[]`),
  body: (random) => same(`repeat(${pg.escapeLiteral(random.text(4))}, ${random.int(3000)})`),
}

/** Another value than the one that is there, whatever that is. */
const OTHERS: Readonly<Record<string, string>> = {
  title: `coalesce(title || ' ', '')`,
  note: `case when note is null then '' end`,
  code: `case when code = 'x' then 'y' else 'x' end`,
  bytes: `coalesce(bytes || '\\x00', '')`,
  at: `coalesce(at + interval '1 microsecond', 'infinity')`,
  ratio: `case when ratio::text = '-0' then 0 else '-0'::float8 end`,
  amount: `case when amount::text = '0.0' then 0.00 else 0.0 end`,
  data: `coalesce(data || '{"z": null}', '{}')`,
  raw: `coalesce(raw::text || ' ', 'null')::json`,
  mood: `case when mood = 'sad' then 'glad' else 'sad' end::mood`,
  tags: `case when tags is null then '{}' else tags || null::text end`,
  body: `coalesce(body || 'x', '')`,
}

interface Change {
  readonly written: Written
  readonly table: string
  readonly key: readonly string[]
}

const COLUMNS = Object.keys(VALUES)

function randomChange(random: Random, ids: Set<number>): Change {
  const id = random.int(200)
  const of = (sql: (side: 0 | 1) => string, table = 'app.things', key: readonly string[] = [String(id)]) => ({
    written: [sql(0), sql(1)] as const,
    table,
    key,
  })
  if (random.chance(0.2)) {
    const [order, line] = [random.text(3), random.int(5)]
    const values = `('${TENANT}', ${pg.escapeLiteral(order)}, ${line}, ${pg.escapeLiteral(random.text(5))})`
    const sql = `insert into lines (tenant_id, order_no, line, item) values ${values}
      on conflict (tenant_id, order_no, line) do update set item = excluded.item`
    return of(() => sql, 'app.lines', [order, String(line)])
  }
  if (random.chance(0.15)) {
    const n = random.int(3)
    return of(
      () => `insert into notes (tenant_id, body, n) values ('${TENANT}', 'twice', ${n})`,
      'app.notes',
      [],
    )
  }
  if (ids.has(id) && random.chance(0.3)) {
    ids.delete(id)
    return of(() => `delete from things where tenant_id = '${TENANT}' and id = ${id}`)
  }
  if (ids.has(id)) {
    const column = random.pick(COLUMNS)
    const value = orNull(random, VALUES[column]!(random))
    return of(
      (side) => `update things set ${column} = ${value[side]} where tenant_id = '${TENANT}' and id = ${id}`,
    )
  }
  ids.add(id)
  const values = COLUMNS.map((column) => orNull(random, VALUES[column]!(random)))
  return of(
    (side) =>
      `insert into things (tenant_id, id, ${COLUMNS}) values ('${TENANT}', ${id}, ${values.map((it) => it[side])})`,
  )
}

let pair: MovePair

beforeAll(async () => {
  pair = await movePair()
})
afterAll(() => pair?.drop())

it(
  `G22: ${COUNT} random comparisons accuse nobody, and find each value that is another one`,
  async () => {
    const random = runRandom().fork('verify')
    const ids = new Set(Array.from({ length: 40 }, (_, i) => i + 1))
    await withSides(pair.moving, async (sides) => {
      for (let round = 0; round < COUNT; round++) {
        const changes = Array.from({ length: 1 + random.int(6) }, () => randomChange(random, ids))
        const keys = new Map<string, (readonly string[])[]>()
        for (const { table, key } of changes) keys.set(table, [...(keys.get(table) ?? []), key])
        const [source, target] = [0, 1].map((side) => changes.map(({ written }) => written[side]).join(';\n'))
        await pair.source.query(source!)
        await pair.target.query(
          `set timezone = '${random.pick(['UTC', 'Asia/Kathmandu', 'America/New_York'])}'; ${target}`,
        )
        await verifyFrozen(pair.moving, sides)
        await compareTouched(pair.moving, sides, keys)
        if (ids.size === 0) continue

        const [column, id] = [random.pick(COLUMNS), random.pick([...ids])]
        const own = `where tenant_id = '${TENANT}' and id = ${id}`
        await pair.target.query(`update things set ${column} = ${OTHERS[column]} ${own}`)
        const touched = new Map([['app.things', [[String(id)], [String(random.int(200))]]]])
        const ways = [
          () => verifyFrozen(pair.moving, sides),
          () => compareTouched(pair.moving, sides, touched),
        ]
        for (const compare of ways) {
          const error = await compare().then(
            () => {},
            (error: unknown) => error,
          )
          const wanted = { table: 'app.things', missing: 0, extra: 0, different: 1, columns: [column] }
          expect(rowDifferencesOf(error), `${column} of ${id}`).toMatchObject([wanted])
        }
        for (const client of [pair.source, pair.target]) {
          await client.query(`update things set ${column} = default ${own}`)
        }
      }
    })
  },
  30_000 + COUNT * 300,
)
