/**
 * The runner of a move is killed, stopped past its lease and woken again, cut off, and told to cancel, at every statement
 * of a move, of its way back and of its cleaning. Going on and undoing both end right: nothing that a client was
 * promised is lost, the tenant is in one place and writable at once, and nothing is left of the move.
 *
 * `npm run test:kills` strikes every statement with every blow; `KILLS=20` so many statements of each act. Without it
 * each act of one scene is struck once. `SEED=…` repeats the choice, `SCENE=…` takes the scenes whose names contain it.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Path } from '../../src/control/move/types.ts'
import { ISOLATIONS, type Isolation } from '../../src/directory/types.ts'
import { BLOWS, type Blow } from '../kit/move-blows.ts'
import type { Act } from '../kit/move-runners.ts'
import { type Ending, openMoveStage, type Trial } from '../kit/move-stage.ts'
import { runRandom } from '../kit/random.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

/** Statements of each act to be struck; all of them with 'all'. */
const KILLS = process.env.KILLS === 'all' ? Number.POSITIVE_INFINITY : Number(process.env.KILLS ?? 1)
const isSample = process.env.KILLS === undefined
const random = runRandom().fork('move-kills')
let world: World

interface Scene {
  readonly from: Isolation
  readonly to: Isolation
  readonly shard: 'shard-a' | 'shard-b'
  readonly path: Path
}

const SCENES: readonly Scene[] = [
  { path: 'live', from: 'shared', to: 'shared', shard: 'shard-b' },
  { path: 'still', from: 'shared', to: 'shared', shard: 'shard-b' },
  { path: 'live', from: 'shared', to: 'schema', shard: 'shard-a' },
  { path: 'still', from: 'shared', to: 'schema', shard: 'shard-a' },
  { path: 'live', from: 'schema', to: 'database', shard: 'shard-b' },
  { path: 'still', from: 'schema', to: 'database', shard: 'shard-b' },
  { path: 'live', from: 'database', to: 'shared', shard: 'shard-a' },
  { path: 'live', from: 'database', to: 'schema', shard: 'shard-b' },
]
const nameOf = ({ path, from, to, shard }: Scene): string =>
  `${path}, from ${from} on shard-a to ${to} on ${shard}`
const wanted = SCENES.filter((scene) => nameOf(scene).includes(process.env.SCENE ?? ''))

beforeAll(async () => {
  world = await startWorld({ tenants: 6, shards: 2, rows: 5, isolations: ISOLATIONS })
}, 180_000)
afterAll(() => world?.stop())

/** A way back is there on the live path alone. */
const actsOf = ({ path }: Scene): Act[] =>
  path === 'live' ? ['run', 'rollback', 'complete'] : ['run', 'complete']

function trialsOf(act: Act, count: number): Trial[] {
  const all = Array.from({ length: count }, (_, i) => i + 1)
  const blows: readonly Blow[] = act === 'complete' ? BLOWS.filter((blow) => blow !== 'cancel') : BLOWS
  const endings: readonly Ending[] = act === 'complete' ? ['resume'] : ['resume', 'abort']
  const struck = random.shuffle(all).slice(0, KILLS)
  return struck.flatMap((at) => {
    const trials = blows.flatMap((blow) => endings.map((ending) => ({ act, at, blow, ending })))
    return isSample ? [random.pick(trials)] : trials
  })
}

describe('struck at any statement,', () => {
  it.each(
    (isSample ? random.shuffle([...wanted]).slice(0, 1) : wanted).map(
      (scene) => [nameOf(scene), scene] as const,
    ),
  )(
    'a move %s ends right, whoever goes on or undoes it',
    async (name, scene) => {
      const tenant = world.tenants.find((one) => one.shard === 'shard-a' && one.isolation === scene.from)!
      const places = [
        { shard: 'shard-a', isolation: scene.from },
        { shard: scene.shard, isolation: scene.to },
      ] as const
      const stage = await openMoveStage(world, tenant, places, scene.path)
      const tally: Record<string, number> = {}
      try {
        // There and back, so that both places are known as they are when nothing has happened.
        for (const act of ['run', 'run'] as const) await stage.rehearse(act)
        for (const act of actsOf(scene)) {
          const count = await stage.rehearse(act)
          for (const trial of trialsOf(act, count)) {
            const end = await stage.play(trial)
            const key = `${trial.act}, ${trial.blow}, ${trial.ending}: ${end}`
            tally[key] = (tally[key] ?? 0) + 1
          }
          console.log(`${name}: ${act} has ${count} statements`)
        }
        if (scene.path === 'live') expect(Object.keys(tally).length).toBeGreaterThan(0)
      } finally {
        console.log(`${name}: ${JSON.stringify(tally, null, 1)}`)
        await stage.close()
      }
    },
    36_000_000,
  )
})
