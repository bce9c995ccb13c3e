/** Moves as rows: claimed by one at a time, brought along their states by their holder alone. */

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { TenantId } from '../../../src/base/ids.ts'
import { changeState } from '../../../src/control/life/state.ts'
import { claimMove, setWanted } from '../../../src/control/move/claim.ts'
import { type Halt, Halted, holdLease } from '../../../src/control/move/lease.ts'
import { ENDED, MOVE_STATES, type MoveState, TRANSITIONS } from '../../../src/control/move/states.ts'
import {
  enterState,
  findMove,
  keepMoveError,
  keepProgress,
  listMoves,
  openMoveOf,
  releaseMove,
} from '../../../src/control/move/store.ts'
import type { MoveRecord } from '../../../src/control/move/types.ts'
import { alone, runOperation } from '../../../src/control/operations/run.ts'
import { findRunning } from '../../../src/control/operations/store.ts'
import { abortOperation, resumeOperation } from '../../../src/control/operations/unfinished.ts'
import { type Client, connect } from '../../../src/db/client.ts'
import { readAudit, verifyAudit } from '../../../src/directory/audit.ts'
import { freshFleet, type TestFleet } from '../../kit/fleet.ts'
import { freshTenant, queuedMove } from '../../kit/moves.ts'
import { wireProxy } from '../../kit/wire-proxy.ts'

const LONG = 600_000
/** The way that a move takes which nothing disturbs. */
const WAY: readonly MoveState[] = ['prepared', 'copied', 'ready', 'frozen', 'relocated', 'settled']

let test: TestFleet
let directory: Client

beforeAll(async () => {
  test = await freshFleet({ weights: { 'shard-a': 1, 'shard-b': 1 } })
  directory = await connect(test.directoryUrl)
})
afterAll(async () => {
  await directory.end()
  await test.drop()
})

async function queued(): Promise<MoveRecord> {
  return queuedMove(test.fleet, directory, await freshTenant(test.fleet))
}

const claimed = async (leaseMs = LONG): Promise<MoveRecord> =>
  claimMove(directory, (await queued()).id, 'host 1', leaseMs)

async function broughtTo(state: MoveState, record: MoveRecord): Promise<MoveRecord> {
  let now = record
  while (now.state !== state) now = await enterState(directory, now, 'done')
  return now
}

/** Puts a move into any state, as no runner does. */
async function put(record: MoveRecord, state: MoveState, wanted = 'run'): Promise<void> {
  await directory.query(
    `update directory.move set state = '${state}', wanted = '${wanted}', lease_until = null where id = ${record.id}`,
  )
}

const rowsOf = async (tenant: TenantId): Promise<string> =>
  JSON.stringify([
    await directory.query(`select * from directory.move where tenant_id = '${tenant}'`),
    await directory.query(`select * from directory.operation where tenant_id = '${tenant}'`),
    await directory.query(`select no from directory.audit where tenant_id = '${tenant}'`),
  ])

describe('a move that nobody has begun', () => {
  it('is the only one of its tenant that has not ended', async () => {
    const move = await queued()
    expect(move).toMatchObject({
      state: 'queued',
      wanted: 'run',
      token: null,
      isHeld: false,
      operator: 'ann',
    })
    expect(await openMoveOf(directory, move.tenant)).toEqual(move)
    await expect(queuedMove(test.fleet, directory, move.tenant)).rejects.toMatchObject({
      code: 'TENANT_BUSY',
      message: expect.stringContaining(`has move ${move.id} already, queued since`),
    })
  })

  it('is one of its tenant also where two ask at the same moment', async () => {
    const tenant = await freshTenant(test.fleet)
    const other = await connect(test.directoryUrl)
    const asked = await Promise.allSettled([
      queuedMove(test.fleet, directory, tenant),
      queuedMove(test.fleet, other, tenant),
    ])
    await other.end()
    expect(asked.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(asked.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'TENANT_BUSY' },
    })
  })

  it('ends at once when it is cancelled, and leaves no operation', async () => {
    const { id, tenant } = await queued()
    const { move, changed } = await setWanted(directory, id, 'cancel', 'ben')
    expect([move.state, move.wanted, changed]).toEqual(['aborted', 'run', true])
    expect(await findRunning(directory, tenant, 'tenant.move')).toBeNull()
    const [entry] = (await readAudit(directory, { tenant, limit: 1 })).slice(-1)
    expect(entry).toMatchObject({ action: 'move aborted', operator: 'ben', details: { move: id } })
  })

  it('is not begun when its tenant is somewhere else by now', async () => {
    const move = await queued()
    await directory.query(`update directory.tenant set epoch = epoch + 1 where id = '${move.tenant}'`)
    const before = await rowsOf(move.tenant)
    await expect(claimMove(directory, move.id, 'host 1', LONG)).rejects.toMatchObject({
      code: 'REFUSED',
      hint: `Give it up: shardgate move cancel ${move.id}`,
    })
    expect(await rowsOf(move.tenant)).toBe(before)
  })
})

describe('a claim', () => {
  it('draws an epoch that the tenant never had, and holds the tenant', async () => {
    const move = await claimed()
    expect(move).toMatchObject({ state: 'claimed', runner: 'host 1', isHeld: true })
    expect(move.target.epoch).toBe(move.source.epoch + 1)
    const operation = await findRunning(directory, move.tenant, 'tenant.move')
    expect(operation).toMatchObject({ id: move.operation, kind: 'tenant.move', input: { move: move.id } })
    await expect(changeState(test.fleet, 'suspend', move.tenant, {})).rejects.toMatchObject({
      code: 'TENANT_BUSY',
      message: expect.stringContaining(`See "shardgate move show ${move.id}".`),
    })
  })

  it('never draws an epoch of an earlier move, also one that was undone', async () => {
    const first = await claimed()
    await enterState(directory, await enterState(directory, first, 'cancelled'), 'done')
    const next = await queuedMove(test.fleet, directory, first.tenant)
    const second = await claimMove(directory, next.id, 'host 1', LONG)
    expect(second.target.epoch).toBe(first.target.epoch + 1)
  })

  it('is refused while another runner lives, and names it', async () => {
    const { id } = await claimed()
    await expect(claimMove(directory, id, 'host 2', LONG)).rejects.toMatchObject({
      code: 'TENANT_BUSY',
      message: expect.stringContaining(`host 1 runs move ${id}`),
    })
  })

  it('is of one runner where many want it', async () => {
    const { id } = await queued()
    const clients = await Promise.all([1, 2, 3, 4].map(() => connect(test.directoryUrl)))
    const asked = await Promise.allSettled(
      clients.map((client, i) => claimMove(client, id, `host ${i}`, LONG)),
    )
    await Promise.all(clients.map((client) => client.end()))
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const one of asked)
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'TENANT_BUSY' })
  })

  it('takes a move over when the lease is over, and keeps its epoch and its operation', async () => {
    const lost = await claimed(0)
    const taken = await claimMove(directory, lost.id, 'host 2', LONG)
    expect(BigInt(taken.token!)).toBeGreaterThan(BigInt(lost.token!))
    expect([taken.target.epoch, taken.operation]).toEqual([lost.target.epoch, lost.operation])
    await expect(enterState(directory, lost, 'done')).rejects.toMatchObject({
      code: 'TENANT_BUSY',
      message: expect.stringMatching(/lease of move \d+ of .* is lost/),
    })
    await keepProgress(directory, lost, { rows: 99 })
    await keepMoveError(directory, lost, 'too late')
    await releaseMove(directory, lost)
    expect(await findMove(directory, lost.id)).toEqual(taken)
  })

  it('waits for an operation that runs, also in the moment before it is written down', async () => {
    const move = await queued()
    await alone(test.fleet, move.tenant, 'tenant.suspend', async () => {
      await expect(claimMove(directory, move.id, 'host 1', LONG)).rejects.toMatchObject({
        code: 'TENANT_BUSY',
      })
    })
    expect((await claimMove(directory, move.id, 'host 1', LONG)).state).toBe('claimed')
  })

  it('waits for an operation that was left unfinished, and names it', async () => {
    const move = await queued()
    const broken = {
      name: 'test.broken',
      steps: [{ name: 'one', run: () => Promise.reject(new Error('no')) }],
    }
    await runOperation(test.fleet, broken, { tenant: move.tenant, input: {} }).catch(() => {})
    const before = await rowsOf(move.tenant)
    await expect(claimMove(directory, move.id, 'host 1', LONG)).rejects.toMatchObject({
      code: 'TENANT_BUSY',
      message: expect.stringContaining('test.broken'),
    })
    expect(await rowsOf(move.tenant)).toBe(before)
  })

  it('cannot be resumed or aborted as an operation', async () => {
    const move = await claimed()
    for (const work of [resumeOperation, abortOperation])
      await expect(work(test.fleet, move.operation!)).rejects.toMatchObject({
        code: 'REFUSED',
        hint: `See "shardgate move show ${move.id}".`,
      })
  })
})

describe('the holder', () => {
  it('goes along the table alone', async () => {
    const move = await claimed()
    const before = await rowsOf(move.tenant)
    for (const event of ['rolled back', 'completed'] as const)
      await expect(enterState(directory, move, event)).rejects.toMatchObject({ code: 'REFUSED' })
    expect(await rowsOf(move.tenant)).toBe(before)
  })

  it('writes each state down with its time, and an entry in the audit log', async () => {
    const settled = await broughtTo('settled', await claimed())
    expect(Object.keys(settled.times).sort()).toEqual(['claimed', 'queued', ...WAY].sort())
    const entries = await readAudit(directory, { tenant: settled.tenant, limit: 100 })
    const told = entries.map(({ action }) => action).filter((action) => action.startsWith('move '))
    expect(told).toEqual(['move queued', 'move claimed', ...WAY.map((state) => `move ${state}`)])
    expect(await verifyAudit(directory)).toMatchObject({ kind: 'intact' })
  })

  it('leaves the tenant to others when the move has settled, and takes it again for the rest', async () => {
    const settled = await broughtTo('settled', await claimed())
    expect(settled.isHeld).toBe(false)
    expect(await findRunning(directory, settled.tenant, 'tenant.move')).toBeNull()
    const again = await claimMove(directory, settled.id, 'host 2', LONG)
    expect([again.state, again.target.epoch]).toEqual(['settled', settled.target.epoch])
    expect((await findRunning(directory, settled.tenant, 'tenant.move'))?.id).toBe(again.operation)
    await releaseMove(directory, again)
    expect(await findRunning(directory, settled.tenant, 'tenant.move')).toBeNull()
  })

  it('commits nothing that was cancelled before, and nothing of the same transaction', async () => {
    const frozen = await broughtTo('frozen', await claimed())
    await setWanted(directory, frozen.id, 'cancel', 'ben')
    const commit = directory.transaction(async () => {
      await directory.query(`update directory.tenant set epoch = 77 where id = '${frozen.tenant}'`)
      await enterState(directory, frozen, 'done')
    })
    await expect(commit).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('cancelled'),
    })
    const [row] = await directory.query(`select epoch from directory.tenant where id = '${frozen.tenant}'`)
    expect(row?.epoch).toBe(String(frozen.source.epoch))
  })

  it('counts what went wrong until the move gets on', async () => {
    const move = await claimed()
    await keepMoveError(directory, move, 'first')
    await keepMoveError(directory, move, 'second')
    const failed = await findMove(directory, move.id)
    expect([failed?.error, failed?.memory.failures]).toEqual(['second', 2])
    const on = await enterState(directory, move, 'done', { memory: { rows: 7 }, path: 'live' })
    expect([on.error, on.memory, on.path]).toEqual([null, { rows: 7 }, 'live'])
  })
})

describe('what is wanted of a move', () => {
  const table = MOVE_STATES.flatMap((state) =>
    (['pause', 'run', 'cancel'] as const).map((wanted) => ({ state, wanted })),
  )

  it('is written down or refused in every state, and never both', async () => {
    const move = await queued()
    for (const { state, wanted } of table) {
      await put(move, state)
      const before = await rowsOf(move.tenant)
      const answer = await setWanted(directory, move.id, wanted, 'ben').catch((error: unknown) => error)
      const isRefused = answer instanceof Error
      if (isRefused) {
        expect(answer, `${wanted} of ${state}`).toMatchObject({ code: 'REFUSED' })
        expect(await rowsOf(move.tenant), `${wanted} of ${state}`).toBe(before)
      }
      if (ENDED.includes(state)) expect(isRefused, `${wanted} of ${state}`).toBe(true)
      if (wanted === 'cancel')
        expect(isRefused, `${wanted} of ${state}`).toBe(TRANSITIONS[state].cancelled === null)
    }
    await put(move, 'aborted')
  })

  it('is not taken back from a move that is being cancelled', async () => {
    const move = await queued()
    await put(move, 'copied', 'cancel')
    await expect(setWanted(directory, move.id, 'run', 'ben')).rejects.toMatchObject({ code: 'REFUSED' })
    await put(move, 'aborted')
  })
})

describe('a lease', () => {
  const held = (record: MoveRecord, leaseMs: number) => {
    const halted = Promise.withResolvers<Halt>()
    return {
      halted: halted.promise,
      lease: holdLease(test.fleet, record, leaseMs, { onHalt: halted.resolve }),
    }
  }

  it('is renewed while its holder lives, and given back', async () => {
    const move = await claimed(1_000)
    const until = async () =>
      (await directory.query(`select lease_until from directory.move where id = ${move.id}`))[0]?.lease_until
    const first = await until()
    const { lease } = held(move, 1_000)
    await vi.waitFor(async () => expect(await until()).not.toBe(first), 5_000)
    expect(lease.signal.aborted).toBe(false)
    await lease.end()
    expect((await claimMove(directory, move.id, 'host 2', LONG)).runner).toBe('host 2')
  })

  it.each(['pause', 'cancel'] as const)('tells its holder to %s', async (wanted) => {
    const move = await claimed(1_000)
    const { halted, lease } = held(move, 1_000)
    await setWanted(directory, move.id, wanted, 'ben')
    expect(await halted).toBe(wanted)
    expect(lease.signal.reason).toBeInstanceOf(Halted)
    await lease.end()
    expect((await findMove(directory, move.id))?.isHeld).toBe(false)
  })

  it('lets a move behind its commit point go on', async () => {
    const move = await broughtTo('relocated', await claimed(1_000))
    await directory.query(`update directory.move set wanted = 'pause' where id = ${move.id}`)
    const { lease } = held(move, 60)
    const [before] = await directory.query('select clock_timestamp() as at')
    await vi.waitFor(async () => {
      const [row] = await directory.query(
        `select lease_until - interval '60 ms' > '${before?.at}'::timestamptz + interval '100 ms' as later
         from directory.move where id = ${move.id}`,
      )
      expect(row?.later).toBe('t')
    }, 5_000)
    expect(lease.signal.aborted).toBe(false)
    await lease.end()
  })

  it('is lost when somebody else has claimed the move', async () => {
    const move = await claimed(0)
    await claimMove(directory, move.id, 'host 2', LONG)
    const { halted, lease } = held(move, LONG)
    expect(await halted).toBe('lost')
    await lease.end()
    expect((await findMove(directory, move.id))?.runner).toBe('host 2')
  })

  it('is lost when the directory is away for longer than it', async () => {
    const proxy = await wireProxy(Number(new URL(test.directoryUrl).port))
    const move = await claimed(400)
    const halted = Promise.withResolvers<Halt>()
    const fleet = { ...test.fleet, directoryUrl: proxy.url(test.directoryUrl) }
    const lease = holdLease(fleet, move, 400, { onHalt: halted.resolve })
    proxy.blackhole()
    expect(await halted.promise).toBe('lost')
    await proxy.close()
    await lease.end()
  })
})

it('lists moves that have not ended, and all', async () => {
  const move = await queued()
  const ids = (list: readonly MoveRecord[]) => list.map(({ id }) => id)
  expect(ids(await listMoves(directory, { all: false }))).toContain(move.id)
  await setWanted(directory, move.id, 'cancel', 'ann')
  expect(ids(await listMoves(directory, { all: false }))).not.toContain(move.id)
  expect(ids(await listMoves(directory, { all: true, tenant: move.tenant }))).toEqual([move.id])
})
