/** A file that waits for its locks holds up nobody: it gives up after a moment, lets the others through, comes again. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { migrateFleet } from '../../src/control/migrate/up.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { type TargetWorld, targetWorld } from '../kit/migration-folder.ts'

let world: TargetWorld
let reader: Client

beforeAll(async () => {
  world = await targetWorld({}, { weights: { 'shard-a': 1 } })
  reader = await connect(world.made.shards[0]!.superuserUrl)
})
afterAll(async () => {
  await reader?.end()
  await world?.stop()
})

const columns = () =>
  world.sql('shard-a', `select 1 from information_schema.columns where column_name = 'waited'`)

it('while a long reader holds a table, others go on reading it, and the file is applied when it ends', async () => {
  world.folder.add('waited', 'alter table notes add waited int')
  await reader.query('begin; select count(*) from app.notes')
  const waiting = Promise.withResolvers<void>()
  let tries = 0
  const report = {
    tells(sentence: string) {
      tries++
      expect(sentence).toMatch(/^shared schema of shard-a waits for locks, \d+_waited\.sql, try \d+$/)
      if (tries === 2) waiting.resolve()
    },
  }
  const running = migrateFleet(world.fleet, { report, ways: { lockMs: 100 } })
  // Another reader would wait behind an ALTER that waits: this one is answered while the first still holds on.
  const other = await world.sql(
    'shard-a',
    `set statement_timeout = '20s'; select count(*) as n from app.notes`,
  )
  expect(other).toEqual([{ n: '0' }])
  await waiting.promise
  expect(await columns()).toEqual([])
  await reader.query('commit')
  expect((await running).results).toMatchObject([{ error: null }])
  expect(await columns()).toHaveLength(1)
})

it('that never gets them fails in words, with nothing of it kept', async () => {
  world.folder.add('never', 'create table never (id int); alter table notes add never int')
  await reader.query('begin; select count(*) from app.notes')
  const { results } = await migrateFleet(world.fleet, { ways: { lockMs: 50, patienceMs: 600 } })
  expect(results[0]?.error).toMatch(
    /_never\.sql did not get its locks in \d+ tries: .*Nothing of it was kept\./,
  )
  expect(await world.sql('shard-a', `select to_regclass('app.never') as it`)).toEqual([{ it: null }])
  await reader.query('commit')
  expect((await migrateFleet(world.fleet)).results).toMatchObject([{ error: null }])
})
