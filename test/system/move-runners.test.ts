/** Runners as processes: they share what is queued, one is stopped and one is killed, and every tenant arrives whole. */

import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { startMove } from '../../src/control/move/start.ts'
import { findTenant } from '../../src/directory/tenants.ts'
import { endCommands, type RunningCommand, shardgate } from '../kit/command.ts'
import { WORLD_FOLDER } from '../kit/homes.ts'
import { type LifeWorld, lifeWorld } from '../kit/life.ts'

const MOVES = { leaseMs: 1_000, atOnce: 2, perShard: 2, stillMs: 1, windows: 20 }
const TENANTS = ['one', 'two', 'three', 'four'].map(tenantId)
let world: LifeWorld

beforeAll(async () => {
  world = await lifeWorld()
  const config = JSON.parse(readFileSync(world.configFile, 'utf8')) as object
  writeFileSync(world.configFile, JSON.stringify({ ...config, migrations: WORLD_FOLDER, moves: MOVES }))
  for (const [i, id] of TENANTS.entries()) await world.add(id, i % 2 === 0 ? 'shared' : 'schema', 100)
})
afterAll(async () => {
  await endCommands()
  await world?.drop()
})

const run = (...args: string[]): RunningCommand =>
  shardgate([...args, '-c', world.configFile], { USER: 'ann' })

const serve = (): RunningCommand => run('move', 'run', '--forever', '-o', 'json')

const hashesOf = (): Promise<string[]> => Promise.all(TENANTS.map((id: TenantId) => world.hashOf(id)))

describe('runners of moves', () => {
  it('share the work, past one that is stopped and one that is killed', async () => {
    const before = await hashesOf()
    for (const tenant of TENANTS) await startMove(world.fleet, { tenant, shard: 'shard-b' })
    const both = [serve(), serve()]
    // Whichever comes first may take all that may go on at once.
    const stopped = await Promise.race(
      both.map((runner) => runner.prints(/"state":"prepared"/).then(() => runner)),
    )
    const killed = both.find((runner) => runner !== stopped)!
    stopped.signal('SIGINT')
    expect(await stopped.ended).toMatchObject({ status: 0, err: '' })
    await killed.prints(/"state":"copied"/)
    killed.signal('SIGKILL')
    await killed.ended

    const left = await world.directory.query(`select id from directory.move where state <> 'settled'`)
    expect(left.length).toBeGreaterThan(0)
    const last = await run('move', 'run').ended
    expect([last.status, last.out]).toEqual([0, `Moves: ${left.length} arrived.\n`])
    for (const id of TENANTS) expect((await findTenant(world.directory, id))?.shard).toBe('shard-b')
    expect(await hashesOf()).toEqual(before)
    const completed = await run('move', 'complete', '--all').ended
    expect(completed.status).toBe(0)
    expect(await run('move', 'doctor').ended).toMatchObject({
      status: 0,
      out: 'Moves have left nothing behind.\n',
    })
  })

  it('logs what happens where nobody looks, and says that it was told to stop', async () => {
    const runner = serve()
    await startMove(world.fleet, { tenant: TENANTS[0]!, shard: 'shard-a' })
    await runner.prints(/"state":"settled"/)
    runner.signal('SIGTERM')
    const { status, out } = await runner.ended
    expect(status).toBe(0)
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; tenant?: string })
    expect(lines.filter(({ kind }) => kind === 'move.state').every(({ tenant }) => tenant === 'one')).toBe(
      true,
    )
    expect(lines.at(-1)?.kind).toBe('gateway.draining')
  })
})
