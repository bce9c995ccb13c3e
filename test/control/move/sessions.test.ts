/** Sessions of a move: those of a runner that was stopped are ended, and once it wakes it gets no new ones. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { claimMove } from '../../../src/control/move/claim.ts'
import { fleetOfMove, sessionName } from '../../../src/control/move/sessions.ts'
import type { MoveRecord } from '../../../src/control/move/types.ts'
import { onDirectory, onShard, type ShardAccess } from '../../../src/control/reach.ts'
import { type Client, connect, withClient } from '../../../src/db/client.ts'
import { freshFleet, type TestFleet } from '../../kit/fleet.ts'
import { freshTenant, queuedMove } from '../../kit/moves.ts'

const RUNNER = join(import.meta.dirname, '../../fixtures/stopped-runner.ts')
const LONG = 600_000
let test: TestFleet
let directory: Client
const children: ReturnType<typeof spawn>[] = []

beforeAll(async () => {
  test = await freshFleet({ weights: { 'shard-a': 1, 'shard-b': 1 } })
  directory = await connect(test.directoryUrl)
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => {
  await directory.end()
  await test.drop()
})

async function queued(): Promise<MoveRecord> {
  return queuedMove(test.fleet, directory, await freshTenant(test.fleet))
}

const superuserOf = (key: string): string => test.shards.find((shard) => shard.key === key)!.superuserUrl

/** Names of the sessions of a move, over all servers; in our databases, as other tests have moves of that number too. */
async function sessionsOf({ id }: MoveRecord): Promise<string[]> {
  const urls = [test.directoryUrl, ...test.shards.map(({ superuserUrl }) => superuserUrl)]
  const names = urls.map((url) =>
    withClient(url, (client) =>
      client.query(
        `select distinct application_name as name from pg_stat_activity
         where datname = current_database() and application_name like 'shardgate move ${id} %'`,
      ),
    ),
  )
  return [...new Set((await Promise.all(names)).flat().map(({ name }) => name ?? ''))].sort()
}

async function stoppedRunner(record: MoveRecord) {
  const input = { fleet: test.fleet, move: record.id, leaseMs: 1 }
  const child = spawn(process.execPath, [RUNNER, JSON.stringify(input)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  expect((await lines.next()).value).toBe('open')
  child.kill('SIGSTOP')
  return {
    async wake(): Promise<Record<string, string>> {
      child.kill('SIGCONT')
      child.stdin.write('go on\n')
      const { value } = await lines.next()
      await once(child, 'exit')
      return JSON.parse(value as string) as Record<string, string>
    },
  }
}

describe('a runner that was stopped past its lease', () => {
  it('loses its sessions to whoever takes the move over, and can do nothing when it wakes', async () => {
    const move = await queued()
    const stopped = await stoppedRunner(move)
    const taken = await claimMove(directory, move.id, 'next', LONG)
    const own = fleetOfMove(test.fleet, taken)
    const at = (key: string): ShardAccess => own.shards.find((shard) => shard.key === key)!
    const fence = `select state from shardgate.tenant_fence where tenant_id = '${move.tenant}'`
    // Waits for no lock: the open transaction is gone before the session is given out.
    await onShard(at(move.source.shard), (client) => client.query(`${fence} for update nowait`))
    await onShard(at(move.target.shard), (client) => client.query('select 1'))
    await onDirectory(own.directoryUrl, (client) => client.query('select 1'), own.session)
    expect((await sessionsOf(move)).filter((name) => name !== sessionName(taken))).toEqual([])

    expect(await stopped.wake()).toEqual({
      'commit of the open freeze': 'session ended',
      'statement of the mover': 'session ended',
      'state of the move': 'session ended',
      'new session on the source': 'TENANT_BUSY',
      'new session of the mover': 'TENANT_BUSY',
      'new session on the directory': 'TENANT_BUSY',
    })
    const [row] = await withClient(superuserOf(move.source.shard), (client) => client.query(fence))
    expect(row?.state).toBe('active')
    expect(
      (await directory.query(`select state, token from directory.move where id = ${move.id}`))[0],
    ).toEqual({
      state: 'claimed',
      token: taken.token,
    })
  })

  it('cannot change the directory from a session that nobody has ended yet', async () => {
    const move = await queued()
    const stopped = await stoppedRunner(move)
    // A claim would end that session first.
    await directory.query(
      `update directory.move set token = nextval('directory.move_token') where id = ${move.id}`,
    )
    expect(await stopped.wake()).toMatchObject({
      'state of the move': 'TENANT_BUSY',
      'new session on the source': 'TENANT_BUSY',
      'new session of the mover': 'TENANT_BUSY',
      'new session on the directory': 'TENANT_BUSY',
    })
  })
})

describe('sessions of a move', () => {
  const onSource = (record: MoveRecord) =>
    fleetOfMove(test.fleet, record).shards.find(({ key }) => key === record.source.shard)!

  it('end no other session: not of the same runner, not of another move, not of a later runner', async () => {
    const [one, other] = [await queued(), await queued()]
    const first = await claimMove(directory, one.id, 'first', 0)
    const of = await claimMove(directory, other.id, 'first', LONG)
    await onShard(onSource(of), async (elsewhere) => {
      const second = await claimMove(directory, one.id, 'second', LONG)
      await onShard(onSource(second), async (client) => {
        await onShard(onSource(second), (beside) => beside.query('select 1'))
        await expect(onShard(onSource(first), async () => {})).rejects.toMatchObject({ code: 'TENANT_BUSY' })
        await client.query('select 1')
      })
      await elsewhere.query('select 1')
    })
  })

  it('end none of another fleet on the same server, which may have a move of the same number', async () => {
    const record = await queued()
    const earlier = await claimMove(directory, record.id, 'first', 0)
    const elsewhere = new URL(onSource(earlier).url)
    elsewhere.pathname = '/postgres'
    const other = await connect(elsewhere.href, { applicationName: sessionName(earlier) })
    await onShard(onSource(await claimMove(directory, record.id, 'second', LONG)), async () => {})
    await other.query('select 1')
    await other.end()
  })

  it('end by no timer, and keep what they have committed, whatever their database is set to', async () => {
    const record = await claimMove(directory, (await queued()).id, 'first', LONG)
    const shard = onSource(record)
    const name = new URL(shard.url).pathname.slice(1)
    const alter = (how: string): Promise<unknown> =>
      withClient(superuserOf(shard.key), (client) => client.query(`alter database ${name} ${how}`))
    await alter('set transaction_timeout = 1000')
    await alter('set synchronous_commit = off')
    const found = await onShard(shard, (client) =>
      client.query(`select name, setting from pg_settings
        where name in ('transaction_timeout', 'synchronous_commit', 'idle_session_timeout') order by 1`),
    )
    await alter('reset all')
    expect(found).toEqual([
      { name: 'idle_session_timeout', setting: '0' },
      { name: 'synchronous_commit', setting: 'local' },
      { name: 'transaction_timeout', setting: '0' },
    ])
  })

  it('are not given out when the directory cannot be asked', async () => {
    const record = await claimMove(directory, (await queued()).id, 'first', LONG)
    const away = new URL(test.directoryUrl)
    away.port = '1'
    const { shards } = fleetOfMove({ ...test.fleet, directoryUrl: away.href }, record)
    await expect(onShard(shards[0]!, async () => {})).rejects.toMatchObject({ code: 'DIRECTORY_UNAVAILABLE' })
  })

  it('go on where the session that asks for the token was ended', async () => {
    const record = await claimMove(directory, (await queued()).id, 'first', LONG)
    const shard = onSource(record)
    await onShard(shard, async () => {})
    await directory.query(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = '${sessionName(record)}'`,
    )
    await onShard(shard, (client) => client.query('select 1'))
  })

  it('leave no session behind', async () => {
    const record = await claimMove(directory, (await queued()).id, 'first', LONG)
    await Promise.all([1, 2, 3].map(() => onShard(onSource(record), (client) => client.query('select 1'))))
    await vi.waitFor(async () => expect(await sessionsOf(record)).toEqual([]), 10_000)
  })
})
