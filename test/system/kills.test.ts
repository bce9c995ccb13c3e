/**
 * kill -9 at every statement of what operators run: the same command again ends right, an abort leaves nothing, and no
 * router ever sees anything half made.
 *
 * `npm run test:kills` takes every statement, `KILLS=20` so many of each command; without it one statement of three
 * commands is taken by chance. `SEED=…` repeats the choice.
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canary } from '../kit/canary.ts'
import { openStage, type Scene, type Setting, STAGE_SCHEMA, type Stage } from '../kit/kills.ts'
import { runRandom } from '../kit/random.ts'
import { withPg } from '../kit/server-copies.ts'
import { insertWorld } from '../kit/world-rows.ts'

/** Statements of each command to be killed at; all of them with 'all'. */
const KILLS = process.env.KILLS === 'all' ? Number.POSITIVE_INFINITY : Number(process.env.KILLS ?? 1)
const random = runRandom().fork('kills')
let stage: Stage

const ADDED_COLUMN = `-- migrate:up
alter table tasks add column note text not null default '';
create index on tasks (tenant_id, note, id);
`

const SCENES: Readonly<Record<string, Scene>> = {
  'tenant create': { args: ['tenant', 'create', 'fresh', '--shard', 'shard-b', '--plan', 'gold'] },
  'tenant create --isolation schema': {
    args: ['tenant', 'create', 'fresh', '--shard', 'shard-b', '--isolation', 'schema'],
  },
  'tenant create --isolation database': {
    args: ['tenant', 'create', 'fresh', '--shard', 'shard-b', '--isolation', 'database'],
  },
  'tenant export': { args: ['tenant', 'export', 'beta', '--to', 'FOLDER/beta'], varying: /manifest/ },
  'tenant import': {
    args: ['tenant', 'import', 'FOLDER/kept', '--as', 'fresh', '--shard', 'shard-b', '--isolation', 'schema'],
  },
  'tenant clone': { args: ['tenant', 'clone', 'acme', '--as', 'fresh', '--isolation', 'shared'] },
  'tenant purge': { args: ['tenant', 'purge', 'over', '--name', 'over'] },
  'tenant purge of a schema': { args: ['tenant', 'purge', 'over-schema', '--name', 'over-schema'] },
  'tenant purge of a database': { args: ['tenant', 'purge', 'over-database', '--name', 'over-database'] },
  'migrate up': {
    args: ['migrate', 'up', '--parallel', '1'],
    piecemeal: true,
    arrange: (folder) => writeFileSync(join(folder, 'migrations', '20991231235959_note.sql'), ADDED_COLUMN),
  },
}

const scenes = Object.entries(SCENES)

/** Neighbours in all three models, each with rows in every table. */
const TENANTS = [
  { id: 'acme', isolation: 'shared', shard: 'shard-a' },
  { id: 'acme-2', isolation: 'shared', shard: 'shard-b' },
  { id: 'beta', isolation: 'schema', shard: 'shard-a' },
  { id: 'gamma', isolation: 'database', shard: 'shard-b' },
  { id: 'over', isolation: 'shared', shard: 'shard-a' },
  { id: 'over-schema', isolation: 'schema', shard: 'shard-a' },
  { id: 'over-database', isolation: 'database', shard: 'shard-b' },
] as const

async function prepare({ fleet, folder, run }: Setting): Promise<void> {
  await run('migrate', 'up')
  for (const { id, isolation, shard } of TENANTS) {
    await run('tenant', 'create', id, '--shard', shard, '--isolation', isolation)
    const { namespace } = JSON.parse(await run('tenant', 'show', id, '-o', 'json'))
    const { superuserUrl } = fleet.shards.find(({ key }) => key === shard)!
    const own = Object.assign(new URL(superuserUrl), { pathname: `/${namespace}` }).href
    await withPg(isolation === 'database' ? own : superuserUrl, (db) =>
      insertWorld(db, canary(id), 3, isolation === 'schema' ? namespace : STAGE_SCHEMA),
    )
  }
  await run('tenant', 'export', 'acme', '--to', join(folder, 'kept'))
  for (const id of ['over', 'over-schema', 'over-database'])
    await run('tenant', 'offboard', id, '--days', '0')
}

beforeAll(async () => {
  stage = await openStage(prepare)
})
afterAll(() => stage?.close())

describe('killed at any statement,', () => {
  it.each(process.env.KILLS ? scenes : random.shuffle(scenes).slice(0, 3))(
    '%s ends right when it is given again or aborted',
    async (name, scene) => {
      const play = await stage.rehearse(scene)
      const all = Array.from({ length: play.count }, (_, i) => i + 1)
      const chosen = random.shuffle(all).slice(0, KILLS)
      const abortions: Record<string, number> = {}
      for (const k of chosen) {
        if (KILLS > 1 || random.chance(0.5)) await play.resume(k)
        const how = await play.abort(k)
        abortions[how] = (abortions[how] ?? 0) + 1
      }
      const told = chosen.length === all.length ? 'each of them' : chosen.join()
      console.log(
        `${name}: ${play.count} statements, killed at ${told}; aborted: ${JSON.stringify(abortions)}`,
      )
      expect(chosen.length).toBeGreaterThan(0)
    },
    3_600_000,
  )
})
