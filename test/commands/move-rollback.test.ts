/** `move rollback` where its cutover is cut off: nobody else may be there to open the tenant again. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { runCommand } from '../../src/commands/program.ts'
import { findMove } from '../../src/control/move/store.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { fleetOfWorld, moveTo, remainsOf } from '../kit/move-world.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

let world: World
let directory: Client
beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 2, rows: 4, isolations: ['shared'] })
  directory = await connect(world.directoryUrl)
})
afterAll(async () => {
  await directory?.end()
  await world?.stop()
})

it('goes on until the tenant takes writes again', async () => {
  const fleet = fleetOfWorld(world, { stillMs: 1, pauseMs: 10_000 })
  const { id } = await moveTo(fleet, world.tenants[0]!.id, { shard: 'shard-b', isolation: 'shared' })
  await directory.query(`
    create sequence public.cuts;
    create function public.cut() returns trigger language plpgsql as $$
    begin
      if nextval('public.cuts') = 1 then perform pg_terminate_backend(pg_backend_pid()); end if;
      return new;
    end $$;
    create trigger cut before update on directory.move for each row
      when (new.state = 'returned' and old.state <> new.state) execute function public.cut()`)
  const said: string[] = []
  const terminal = { out: () => {}, err: (text: string) => void said.push(text), colour: false }
  const run = () => Promise.reject(new Error('no gateway'))
  const status = await runCommand(['move', 'rollback', id, '-c', world.configFile], run, terminal)
  expect({ status, said, state: (await findMove(directory, id))?.state }).toMatchObject({
    status: 0,
    state: 'rolled-back',
  })
  expect(await remainsOf(world, fleet)).toEqual([])
})
