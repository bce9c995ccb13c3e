/** Moves on the command line: what is printed, what is refused with which status, and that a refusal changes nothing. */

import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { runCommand } from '../../src/commands/program.ts'
import { claimMove } from '../../src/control/move/claim.ts'
import { insertMove } from '../../src/control/move/store.ts'
import type { MoveRecord } from '../../src/control/move/types.ts'
import { findTenant } from '../../src/directory/tenants.ts'
import { WORLD_FOLDER } from '../kit/homes.ts'
import { type LifeWorld, lifeWorld } from '../kit/life.ts'
import { printing } from '../kit/terminal.ts'

let world: LifeWorld
/** Moves in states in which verbs are refused, by name. */
const moves = {} as Record<
  'held' | 'settled' | 'cleaning' | 'done' | 'aborted' | 'relocated' | 'aborting' | 'queued',
  string
>

async function cli(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const { terminal, printed } = printing()
  const run = () => Promise.reject(new Error('no gateway'))
  const status = await runCommand([...args, '-c', world.configFile], run, terminal)
  return { status, ...printed }
}

async function moveOf(tenant: TenantId): Promise<MoveRecord> {
  const { shard, isolation, namespace, epoch } = (await findTenant(world.directory, tenant))!
  const source = { shard, isolation, namespace, epoch }
  return insertMove(world.directory, {
    tenant,
    source,
    target: { ...source, shard: 'shard-b' },
    operator: 'ann',
  })
}

beforeAll(async () => {
  world = await lifeWorld()
  const config = JSON.parse(readFileSync(world.configFile, 'utf8')) as object
  writeFileSync(world.configFile, JSON.stringify({ ...config, migrations: WORLD_FOLDER }))
  await world.add('acme', 'shared', 20)
  await world.add('globex', 'schema')
  for (const name of [
    'held',
    'settled',
    'cleaning',
    'done',
    'aborted',
    'relocated',
    'aborting',
    'queued',
  ] as const) {
    const { id } = await moveOf(await world.add(`t-${name}`, 'shared', 1))
    moves[name] = id
    if (name === 'queued') continue
    const leaseMs = name === 'held' ? 600_000 : 0
    await claimMove(world.directory, id, 'elsewhere 1', leaseMs)
    if (name === 'held') continue
    await world.directory.query(
      `update directory.move set state = '${name}', times = times || '{"${name}": "2026-01-01 00:00:00+00"}' where id = ${id}`,
    )
    if (['settled', 'done', 'aborted'].includes(name))
      await world.directory.query(
        `update directory.operation set state = 'done' where input->>'move' = '${id}'`,
      )
  }
})
afterAll(() => world?.drop())

/** Everything in the directory that a refused command could have changed. */
async function written(): Promise<string> {
  const rows = await world.directory.query(`
    select (select json_agg(t order by id) from directory.tenant t) as tenants,
      (select json_agg(p order by tenant_id) from directory.placement p) as placements,
      (select json_agg(m order by id) from directory.move m) as moves,
      (select json_agg(o order by id) from directory.operation o) as operations,
      (select json_agg(l) from directory.leftover l) as leftovers,
      (select last_value from directory.move_token) as token,
      (select count(*) from directory.audit) as audit, (select count(*) from directory.receipt) as receipts`)
  return JSON.stringify(rows)
}

type Name = keyof typeof moves
const at = (name: Name): string => `#${name}`

describe('what is refused', () => {
  it.each<[number, RegExp, string[]]>([
    [2, /Missing required argument 'tenant'/, ['start', '--to', 'shard-b']],
    [2, /Required option '--to <shard>' not specified/, ['start', 'acme']],
    [2, /argument missing/, ['start', 'acme', '--to']],
    [2, /A tenant id is 1 to 40 characters/, ['start', 'Acme', '--to', 'shard-b']],
    [
      2,
      /Allowed choices are shared, schema, database/,
      ['start', 'acme', '--to', 'shard-b', '--isolation', 'own'],
    ],
    [2, /Too many arguments/, ['start', 'acme', 'globex', '--to', 'shard-b']],
    [2, /Unknown option '--fast'/, ['start', 'acme', '--to', 'shard-b', '--fast']],
    [3, /There is no tenant "nobody"/, ['start', 'nobody', '--to', 'shard-b']],
    [3, /There is no shard "shard-z"/, ['start', 'acme', '--to', 'shard-z']],
    [3, /acme is on shard-a \(shared\) already/, ['start', 'acme', '--to', 'shard-a']],
    [
      3,
      /globex is on shard-a \(schema\) already/,
      ['start', 'globex', '--to', 'shard-a', '--isolation', 'schema'],
    ],
    [3, /acme is on shard-a \(shared\) already/, ['start', 'acme', '--to', 'shard-a', '--dry-run']],
    [3, /Move \d+ of t-held is claimed/, ['start', 't-held', '--to', 'shard-b']],
    [3, /Move \d+ of t-settled is settled/, ['start', 't-settled', '--to', 'shard-b', '--no-wait']],
    [3, /There is no move "99"/, ['show', '99']],
    [3, /There is no move "acme"/, ['show', 'acme']],
    [2, /Missing required argument 'number'/, ['show']],
    [3, /There is no move "-1"/, ['watch', '-1']],
    [3, /There is no move "1;drop"/, ['watch', '1;drop']],
    [2, /Wanted a whole number from 1 to 10000/, ['list', '--limit', '0']],
    [3, /There is no move "99"/, ['pause', '99']],
    [3, /is done since/, ['pause', at('done')]],
    [3, /is settled; from there it cannot be paused/, ['pause', at('settled')]],
    [3, /is relocated; from there it cannot be paused/, ['pause', at('relocated')]],
    [3, /is aborting; from there it cannot be paused/, ['pause', at('aborting')]],
    [3, /There is no move "99"/, ['resume', '99']],
    [3, /is aborted since/, ['resume', at('aborted')]],
    [3, /has settled; nothing of it is paused/, ['resume', at('settled')]],
    [3, /is being cancelled/, ['resume', at('aborting')]],
    [3, /There is no move "99"/, ['cancel', '99']],
    [3, /is done since/, ['cancel', at('done')]],
    [3, /is settled, behind the point where it can be cancelled/, ['cancel', at('settled')]],
    [3, /is relocated, behind the point where it can be cancelled/, ['cancel', at('relocated')]],
    [3, /is cleaning, behind the point where it can be cancelled/, ['cancel', at('cleaning')]],
    [3, /There is no move "99"/, ['rollback', '99']],
    [3, /is queued since .*there is no way back to take/, ['rollback', at('queued')]],
    [3, /is claimed since .*there is no way back to take/, ['rollback', at('held')]],
    [3, /is cleaning since .*there is no way back to take/, ['rollback', at('cleaning')]],
    [3, /is done since .*there is no way back to take/, ['rollback', at('done')]],
    [3, /is aborted since .*there is no way back to take/, ['rollback', at('aborted')]],
    [2, /the number of a move, or --all/, ['complete']],
    [2, /the number of a move, or --all/, ['complete', at('settled'), '--all']],
    [3, /is queued since .*and has not settled/, ['complete', at('queued')]],
    [3, /is relocated since .*and has not settled/, ['complete', at('relocated')]],
    [3, /is done since/, ['complete', at('done')]],
    [3, /and has no receipt/, ['receipt', at('queued')]],
    [3, /and has no receipt/, ['receipt', at('settled'), '--check']],
    [3, /There is no move "99"/, ['receipt', '99']],
    [2, /Unknown command/, ['begin', 'acme']],
  ])('with %i and %s: move %j', async (status, sentence, args) => {
    const words = args.map((word) => (word.startsWith('#') ? moves[word.slice(1) as Name] : word))
    const before = await written()
    const answer = await cli('move', ...words)
    expect(answer.err).toMatch(sentence)
    expect([answer.status, answer.out]).toEqual([status, ''])
    expect(await written()).toBe(before)
    const json = await cli('move', ...words, '-o', 'json')
    expect(JSON.parse(json.err).error.hint).not.toBe('')
    expect(await written()).toBe(before)
  })

  it('says where to go from there', async () => {
    const hints = [
      [['cancel', moves.settled], `shardgate move rollback ${moves.settled}`],
      [['rollback', moves.done], 'shardgate move start t-done --to shard-a'],
      [['rollback', moves.queued], `shardgate move cancel ${moves.queued}`],
      [['resume', moves.aborting], 'shardgate move start t-aborting'],
    ] as const
    for (const [args, hint] of hints) expect((await cli('move', ...args)).err).toContain(hint)
  })

  it('sends operations of moves to the verbs of moves', async () => {
    const [row] = await world.directory.query(`select operation from directory.move where id = ${moves.held}`)
    for (const verb of ['resume', 'abort']) {
      const answer = await cli('operation', verb, row!.operation!)
      expect([answer.status, answer.err]).toEqual([
        3,
        expect.stringContaining(`shardgate move show ${moves.held}`),
      ])
    }
    expect((await cli('operation', 'list')).out).toContain('see "shardgate move list"')
  })
})

describe('what is asked of moves that there are', () => {
  it('is written down and told, and again it changes nothing', async () => {
    const id = moves.held
    expect((await cli('move', 'pause', id)).out).toContain(
      `Move ${id} of t-held pauses as soon as that is safe.`,
    )
    const before = await written()
    expect((await cli('move', 'pause', id)).out).toContain('already; nothing was changed')
    expect(await written()).toBe(before)
    expect((await cli('move', 'resume', id, '--no-wait')).status).toBe(0)
    expect((await cli('move', 'list')).out).toMatch(/t-held .*is run/)
  })

  it('ends a move at once that nobody has begun', async () => {
    const { id } = await moveOf(await world.add('t-gone', 'shared', 1))
    expect((await cli('move', 'cancel', id)).out).toBe(`Move ${id} of t-gone is aborted.\n`)
  })

  it('is seen at the tenant', async () => {
    const shown = await cli('tenant', 'show', 't-settled')
    expect(shown.out).toMatch(new RegExp(`^move +${moves.settled}, settled: shard-a → shard-b$`, 'm'))
    const json = JSON.parse((await cli('tenant', 'show', 't-settled', '-o', 'json')).out)
    expect(json.move).toMatchObject({ id: moves.settled, state: 'settled' })
  })

  it('is shown as a list and one by one, as text and as JSON', async () => {
    const list = JSON.parse((await cli('move', 'list', '--all', '-o', 'json')).out) as MoveRecord[]
    expect(list.map(({ id }) => id)).toEqual(expect.arrayContaining(Object.values(moves)))
    for (const id of Object.values(moves)) {
      const { status, out } = await cli('move', 'show', id)
      expect([status, out]).toEqual([0, expect.stringMatching(new RegExp(`^move +${id}$`, 'm'))])
    }
  })
})

describe('a move from the command line', () => {
  // Those of the other tests are in states that no runner has brought them to, and take its place.
  beforeAll(async () => {
    await world.directory.query(`update directory.move set state = 'aborted', lease_until = null`)
    await world.directory.query(`update directory.operation set state = 'done'`)
  })

  it('is foreseen, made, proven and taken back', async () => {
    const before = await written()
    const foreseen = await cli('move', 'start', 'acme', '--to', 'shard-b', '--dry-run')
    expect(foreseen.out).toMatch(/^path +(still|live): /m)
    expect(foreseen.out).toContain('Nothing was changed.')
    expect(await written()).toBe(before)

    const hash = await world.hashOf(tenantId('acme'))
    const made = JSON.parse(
      (await cli('move', 'start', 'acme', '--to', 'shard-b', '-o', 'json')).out,
    ) as MoveRecord
    expect(['settled', 'done']).toContain(made.state)
    expect((await findTenant(world.directory, tenantId('acme')))?.shard).toBe('shard-b')
    expect(await world.hashOf(tenantId('acme'))).toBe(hash)
    expect((await cli('move', 'receipt', made.id, '--check')).out).toContain('is as it was written')
    const receipt = JSON.parse((await cli('move', 'receipt', made.id)).out)
    expect(receipt).toMatchObject({ move: made.id, tenant: 'acme' })
  })

  it('is left to a runner, which makes what is queued', async () => {
    const queued = await cli(
      'move',
      'start',
      'globex',
      '--to',
      'shard-b',
      '--isolation',
      'shared',
      '--no-wait',
    )
    expect(queued.out).toContain('Nobody runs it. Type: shardgate move run')
    const ran = await cli('move', 'run')
    expect([ran.status, ran.out]).toEqual([0, expect.stringContaining('arrived')])
    expect((await findTenant(world.directory, tenantId('globex')))?.shard).toBe('shard-b')
    expect((await cli('move', 'run')).out).not.toContain('left with an error')
  })
})
