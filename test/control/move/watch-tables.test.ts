/** Tables that somebody changes by hand at the worst moment: after all rows were compared, and before the freeze. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { rollbackMove, runMove } from '../../../src/control/move/run.ts'
import { type Client, connect } from '../../../src/db/client.ts'
import { fleetOfWorld, placementOf, queueMove, remainsOf } from '../../kit/move-world.ts'
import { startWorld, type World } from '../../kit/shard-fixture.ts'

let world: World
let directory: Client
let [a, b] = [] as unknown as [Client, Client]
const fleetFor = () => fleetOfWorld(world, { stillMs: 1, pauseMs: 20_000 })

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 2, rows: 4, isolations: ['shared'] })
  directory = await connect(world.directoryUrl)
  ;[a, b] = (await Promise.all(world.shards.map(({ superuserUrl }) => connect(superuserUrl)))) as [
    Client,
    Client,
  ]
  // Whoever is about to freeze waits for a lock of ours.
  await directory.query(`
    create function public.stop() returns trigger language plpgsql as $$
    begin perform pg_advisory_xact_lock(5349, 77); return new; end $$;
    create trigger stop before update on directory.move for each row
      when (new.state in ('frozen', 'return-frozen') and old.state <> new.state) execute function public.stop()`)
})
afterAll(async () => {
  await Promise.all([directory, a, b].map((client) => client?.end()))
  await world?.stop()
})
afterEach(async () => {
  expect(await remainsOf(world, fleetFor())).toEqual([])
})

/** Do something while `running` is about to freeze. */
async function beforeFreeze<T>(running: () => Promise<T>, work: () => Promise<unknown>): Promise<T> {
  await directory.query('select pg_advisory_lock(5349, 77)')
  const run = running()
  run.catch(() => {})
  const waiting = `select from pg_locks where locktype = 'advisory' and (classid, objid) = (5349, 77) and not granted`
  try {
    while ((await directory.query(waiting)).length === 0) await directory.query('select pg_sleep(0.02)')
    await work()
  } finally {
    await directory.query('select pg_advisory_unlock(5349, 77)')
  }
  return run
}

const wanted = () => queueMove(fleetFor(), world.tenants[0]!.id, { shard: 'shard-b', isolation: 'shared' })

/** Labels in a new table under the old name; a row is written to it. */
const anew = (client: Client, word: string): Promise<unknown> =>
  client.query(`
    begin;
    alter table app.labels rename to labels_old;
    create table app.labels (like app.labels_old including all);
    insert into app.labels select * from app.labels_old;
    drop table app.labels_old;
    alter table app.labels owner to shardgate_owner;
    grant select, insert, update, delete on app.labels to shardgate_app, shardgate_mover;
    insert into app.labels values ('${world.tenants[0]!.id}', 1, '${word}');
    commit`)

const words = async (client: Client): Promise<unknown[]> =>
  (await client.query(`select word from app.labels where tenant_id = '${world.tenants[0]!.id}'`)).map(
    ({ word }) => word,
  )

describe('between the comparison of all rows and the freeze', () => {
  it('a table that is emptied stays so, and its rows do not come to life again on the other side', async () => {
    const { id } = await wanted()
    const refused = beforeFreeze(
      () => runMove(fleetFor(), id),
      () => a.query('truncate app.invoices'),
    )
    await expect(refused).rejects.toMatchObject({ code: 'REFUSED' })
    expect(await placementOf(fleetFor(), world.tenants[0]!.id)).toMatchObject({ shard: 'shard-a' })
  })

  it('a table that is only rewritten has the rows compared again', async () => {
    const { id } = await wanted()
    const moved = await beforeFreeze(
      () => runMove(fleetFor(), id),
      () => a.query('vacuum full app.labels'),
    )
    expect(moved.state).toBe('settled')
    const back = beforeFreeze(
      () => rollbackMove(fleetFor(), id),
      () => b.query('vacuum full app.labels'),
    )
    expect((await back).state).toBe('rolled-back')
  })

  it('a table that is made anew loses nothing that is written to it', async () => {
    const { id } = await wanted()
    const refused = beforeFreeze(
      () => runMove(fleetFor(), id),
      () => anew(a, 'written late'),
    )
    await expect(refused).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringMatching(/some were made during the move/),
    })
    expect(await placementOf(fleetFor(), world.tenants[0]!.id)).toMatchObject({ shard: 'shard-a' })
    expect(await words(a)).toContain('written late')
    expect(await words(b)).toEqual([])
  })
})
