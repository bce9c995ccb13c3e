/** A runner that was stopped within a transaction of the directory keeps nobody from its move. */

import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { claimMove, setWanted } from '../../../src/control/move/claim.ts'
import { sessionName } from '../../../src/control/move/sessions.ts'
import { releaseMove } from '../../../src/control/move/store.ts'
import { type Client, connect } from '../../../src/db/client.ts'
import { freshFleet, type TestFleet } from '../../kit/fleet.ts'
import { freshTenant, queuedMove } from '../../kit/moves.ts'

let test: TestFleet
let directory: Client

beforeAll(async () => {
  test = await freshFleet({ weights: { 'shard-a': 1, 'shard-b': 1 } })
  directory = await connect(test.directoryUrl)
})
afterAll(async () => {
  await directory?.end()
  await test?.drop()
})

it('its move can be claimed as soon as its lease is over, although it has the row locked', async () => {
  const move = await queuedMove(test.fleet, directory, await freshTenant(test.fleet))
  const record = await claimMove(directory, move.id, 'stopped', 600_000)
  const stopped = new pg.Client({
    connectionString: test.directoryUrl,
    application_name: sessionName(record),
  })
  const ended = new Promise<Error>((resolve) => stopped.on('error', resolve))
  await stopped.connect()
  await stopped.query(`begin; set local idle_in_transaction_session_timeout = 0`)
  await releaseMove(directory, record)
  await stopped.query(`select from directory.move where id = ${move.id} for update`)
  const claimed = await claimMove(directory, move.id, 'next', 600_000)
  expect(Number(claimed.token)).toBeGreaterThan(Number(record.token))
  expect(await ended).toMatchObject({ code: '57P01' })
})

it('one that was stopped while it claimed keeps nobody from the move for more than some seconds', async () => {
  const move = await queuedMove(test.fleet, directory, await freshTenant(test.fleet))
  const stopped = await connect(test.directoryUrl)
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  // From the statement on that draws its token it says nothing more.
  const stops = (statement: unknown): boolean => JSON.stringify(statement).includes('move_token')
  const query = stopped.query.bind(stopped)
  Object.assign(stopped, {
    query: async (statement: string) => {
      const rows = await query(statement)
      if (!stops(statement)) return rows
      reach()
      return new Promise(() => {})
    },
  })
  void claimMove(stopped, move.id, 'stopped', 600_000)
  await reached

  await setWanted(directory, move.id, 'pause', 'ann')
  await setWanted(directory, move.id, 'run', 'ann')
  expect(await claimMove(directory, move.id, 'next', 600_000)).toMatchObject({ runner: 'next' })
  await stopped.end().catch(() => {})
})
