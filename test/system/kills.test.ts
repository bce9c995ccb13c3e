/**
 * kill -9 at every statement of what operators run: the same command again ends right, an abort leaves nothing, and no
 * router ever sees anything half made.
 *
 * `npm run test:kills` takes every statement; the short form takes a few by chance. `SEED=…` repeats its choice.
 */

import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrate } from '../../src/control/migrate/migrate.ts'
import { canary } from '../kit/canary.ts'
import { openStage, type Scene, type Setting, STAGE_SCHEMA, type Stage } from '../kit/kills.ts'
import { runRandom } from '../kit/random.ts'
import { insertWorld } from '../kit/world-rows.ts'

const LONG = process.env.KILLS === 'all'

let stage: Stage
const random = runRandom().fork('kills')

const SCENES: Readonly<Record<string, Scene>> = {
  'tenant create': { args: ['tenant', 'create', 'fresh', '--shard', 'shard-b'] },
}

async function prepare({ fleet, folder, run }: Setting): Promise<void> {
  for (const { key, url } of fleet.shards) {
    await migrate({ shard: { key, url: url('owner') }, folder: `${folder}/migrations`, schema: STAGE_SCHEMA })
  }
  await run('tenant', 'create', 'acme', '--shard', 'shard-a')
  await run('tenant', 'create', 'acme-2', '--shard', 'shard-a')
  const db = new pg.Client(fleet.shards[0]!.superuserUrl)
  await db.connect()
  for (const id of ['acme', 'acme-2']) await insertWorld(db, canary(id), 3, STAGE_SCHEMA)
  await db.end()
}

beforeAll(async () => {
  stage = await openStage(prepare)
})
afterAll(() => stage?.close())

describe('killed at any statement,', () => {
  it.each(Object.entries(SCENES))(
    '%s ends right when it is given again or aborted',
    async (name, scene) => {
      const play = await stage.rehearse(scene)
      const all = Array.from({ length: play.count }, (_, i) => i + 1)
      const chosen = LONG ? all : random.shuffle(all).slice(0, 1)
      const abortions: Record<string, number> = {}
      for (const k of chosen) {
        await play.resume(k)
        const how = await play.abort(k)
        abortions[how] = (abortions[how] ?? 0) + 1
      }
      console.log(
        `${name}: ${play.count} statements, killed at ${chosen.join()}; aborted: ${JSON.stringify(abortions)}`,
      )
      expect(chosen.length).toBeGreaterThan(0)
    },
    3_600_000,
  )
})
