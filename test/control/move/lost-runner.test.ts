/** A runner that was stopped within a transaction of the directory keeps nobody from its move. */

import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { claimMove, setWanted } from '../../../src/control/move/claim.ts'
import { sessionName } from '../../../src/control/move/sessions.ts'
import { releaseMove } from '../../../src/control/move/store.ts'
import { type Client, connect } from '../../../src/db/client.ts'
import { freshFleet, type TestFleet } from '../../kit/fleet.ts'
import { freshTenant, queuedMove } from '../../kit/moves.ts'
import { wireProxy } from '../../kit/wire-proxy.ts'

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

it.each([
  ['claimed', (id: string) => claimMove(directory, id, 'next', 600_000)],
  ['cancelled', (id: string) => setWanted(directory, id, 'cancel', 'ann')],
])('its move can be %s as soon as its lease is over, although it has the row locked', async (_, work) => {
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
  await work(move.id)
  expect(await ended).toMatchObject({ code: '57P01' })
})

it('its move can be claimed although it was stopped with half a statement of its claim on the way', async () => {
  const move = await queuedMove(test.fleet, directory, await freshTenant(test.fleet))
  const proxy = await wireProxy(Number(new URL(test.directoryUrl).port))
  let isClaim = false
  // Parse and Bind come, Execute does not: to the server that is no idle session.
  const rule = proxy.on(({ type, text }) => {
    isClaim ||= type === 'Parse' && text?.includes('nextval') === true
    return isClaim && type === 'Execute'
  }, 'hold')
  try {
    const stopped = await connect(proxy.url(test.directoryUrl))
    const claiming = claimMove(stopped, move.id, 'stopped', 600_000).catch((error: unknown) => error)
    await rule.hit
    expect(await claimMove(directory, move.id, 'next', 600_000)).toMatchObject({ runner: 'next' })
    expect(await claiming).toBeInstanceOf(Error)
  } finally {
    await proxy.close()
  }
}, 60_000)
