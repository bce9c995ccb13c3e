/** Marks: what is at the other end when one has come, what was touched after it, and from which one on changes return. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { emitMark, type Follower, type FollowOptions, follow } from '../../../src/control/move/follow.ts'
import { type Direction, slotName } from '../../../src/control/move/names.ts'
import { type FollowedMove, type FollowStage, followStage } from '../../kit/follow-stage.ts'

let stage: FollowStage
const followers: Follower[] = []

beforeAll(async () => {
  stage = await followStage()
})
afterEach(async () => {
  for (const follower of followers.splice(0)) await follower.end()
})
afterAll(() => stage?.drop())

let move: FollowedMove
function oneMove(): void {
  beforeAll(async () => {
    move = await stage.begin()
  })
  afterAll(() => stage.clear())
}

async function followed(move: FollowedMove, direction: Direction = 'forward', options: FollowOptions = {}) {
  const follower = await follow(move.moving, direction, options)
  followers.push(follower)
  return follower
}

const meanings = async (move: FollowedMove, end: 'source' | 'target'): Promise<string[]> => {
  const rows = await move[end].query(
    `select meaning from words where tenant_id = '${move.tenant}' order by 1`,
  )
  return [...new Set(rows.map(({ meaning }) => meaning ?? ''))]
}
const mean = (move: FollowedMove, end: 'source' | 'target', meaning: string) =>
  move[end].query(`update words set meaning = '${meaning}' where tenant_id = '${move.tenant}'`)

/** Wait until the source has sent what it holds by now. */
async function isSent({ moving, source }: FollowedMove): Promise<void> {
  const [now] = await source.query('select pg_current_wal_lsn() as lsn')
  const slot = slotName(moving.record.id, 'forward', moving.source)
  const sent = () =>
    source.query(`select from pg_stat_replication join pg_replication_slots on active_pid = pid
      where slot_name = '${slot}' and sent_lsn >= '${now?.lsn}'`)
  await expect.poll(sent).toHaveLength(1)
}

describe('a mark', () => {
  oneMove()

  it('stands behind what its own transaction has written, and before what comes after', async () => {
    const follower = await followed(move)
    const seen = follower.stopAt('here', async () => {
      await mean(move, 'source', 'after')
      await move.source.query(`select pg_logical_emit_message(true, 'shardgate.move', '999999 here')`)
      await isSent(move)
      const seen = new Set<string>()
      for (let look = 0; look < 20; look++)
        for (const found of await meanings(move, 'target')) seen.add(found)
      return [...seen]
    })
    await move.source.query('begin')
    await mean(move, 'source', 'before')
    await emitMark(move.source, move.moving.record.id, 'here')
    await move.source.query('commit')
    expect(await seen).toEqual(['before'])
    await stage.caughtUp(move, follower)
    expect(await meanings(move, 'target')).toEqual(['after'])
  })

  it('does not come out of a transaction that is rolled back', async () => {
    const follower = await followed(move)
    let isReached = false
    follower.reached('lost').then(
      () => (isReached = true),
      () => {},
    )
    await move.source.query('begin')
    await emitMark(move.source, move.moving.record.id, 'lost')
    await move.source.query('rollback')
    await stage.caughtUp(move, follower)
    expect(isReached).toBe(false)
  })

  it('goes on after work that has failed', async () => {
    const follower = await followed(move)
    const work = follower.stopAt('bad', () => Promise.reject(new Error('no')))
    await emitMark(move.source, move.moving.record.id, 'bad')
    await expect(work).rejects.toThrow('no')
    await mean(move, 'source', 'later')
    await stage.caughtUp(move, follower)
    expect(await meanings(move, 'target')).toEqual(['later'])
    await expect(follower.stopAt('bad', async () => {})).rejects.toThrow('has come already')
  })

  it('measures how far behind the other end is', async () => {
    const follower = await followed(move)
    const held = Promise.withResolvers<void>()
    const stopped = Promise.withResolvers<void>()
    const work = follower.stopAt('held', () => {
      stopped.resolve()
      return held.promise
    })
    await emitMark(move.source, move.moving.record.id, 'held')
    await stopped.promise
    await move.source.query(
      `insert into words select '${move.tenant}', md5(i::text), md5(i::text) from generate_series(1, 2000) i`,
    )
    await expect.poll(() => follower.lag().bytes).toBeGreaterThan(100_000)
    held.resolve()
    await work
    await expect.poll(() => follower.lag().bytes).toBeLessThan(100_000)
  })
})

describe('rows that were touched after a mark', () => {
  oneMove()

  it('are named by the key that they had and the one that they have', async () => {
    const t = `'${move.tenant}'`
    const follower = await followed(move)
    await mean(move, 'source', 'early')
    await emitMark(move.source, move.moving.record.id, 'from here')
    await move.source.query(`
      update words set word = 'new 2' where tenant_id = ${t} and word = 'word 2';
      update words set meaning = 'late' where tenant_id = ${t} and word = 'word 4';
      delete from parts where tenant_id = ${t} and id = 600;
      insert into parts values (${t}, 7, '');
      delete from notes where tenant_id = ${t} and word is null`)
    await stage.caughtUp(move, follower)
    const touched = follower.touchedSince('from here')
    expect(touched).toEqual(
      new Map([
        ['app.words', [['word 2'], ['new 2'], ['word 4']]],
        ['app.parts', [['600'], ['7']]],
        ['app.notes', [[]]],
      ]),
    )
    expect(follower.touchedSince('never made')).toBe('too many')
  })

  it('are too many when there are more than can be kept, and none of those after a later mark', async () => {
    const follower = await followed(move)
    await emitMark(move.source, move.moving.record.id, 'early')
    await move.source.query(
      `insert into words select '${move.tenant}', 'many ' || i, '' from generate_series(1, 6000) i`,
    )
    await emitMark(move.source, move.moving.record.id, 'late')
    await stage.caughtUp(move, follower)
    expect(follower.touchedSince('early')).toBe('too many')
    expect(follower.touchedSince('late')).toEqual(new Map())
  })
})

describe('the way back', () => {
  afterEach(() => stage.clear())

  it.each([
    { isolation: 'shared', shard: 'shard-b' },
    { isolation: 'schema', shard: 'shard-a' },
    { isolation: 'database', shard: 'shard-a' },
  ] as const)(
    'brings what is written behind its mark, from $isolation on $shard, and nothing that came before',
    async (to) => {
      const move = await stage.begin(to)
      await stage.wayBack(move)
      const forward = await followed(move)
      const proven = await followed(move, 'back', { ignoreBefore: 'back' })
      await mean(move, 'source', 'forward')
      await stage.caughtUp(move, forward)
      await emitMark(move.target, move.moving.record.id, 'proof')
      await proven.reached('proof')
      await proven.end()
      await mean(move, 'source', 'last')
      await stage.caughtUp(move, forward)
      await forward.end()

      await emitMark(move.target, move.moving.record.id, 'back')
      await mean(move, 'target', 'returned')
      for (const meaning of ['returned', 'again', 'and again']) {
        await mean(move, 'target', meaning)
        const back = await followed(move, 'back', { ignoreBefore: 'back' })
        await stage.caughtBack(move, back)
        await back.end()
        expect(await meanings(move, 'source')).toEqual([meaning])
      }
      const [source, target] = await stage.hashes(move)
      expect(source).toBe(target)
    },
  )
})
