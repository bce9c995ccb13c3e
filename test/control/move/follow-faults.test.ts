/** A follower that meets what cannot be, or loses an end, fails with a sentence: nothing is skipped, nothing guessed. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Follower, follow } from '../../../src/control/move/follow.ts'
import { slotName, wayName } from '../../../src/control/move/names.ts'
import { freshSlot } from '../../../src/control/move/slots.ts'
import { dropSlot } from '../../../src/db/replication.ts'
import { type FollowedMove, type FollowStage, followStage } from '../../kit/follow-stage.ts'

let stage: FollowStage
let move: FollowedMove
let follower: Follower | undefined

beforeAll(async () => {
  stage = await followStage()
})
afterEach(async () => {
  await follower?.end()
  follower = undefined
})
afterAll(() => stage?.drop())

function oneMove(): void {
  beforeAll(async () => {
    move = await stage.begin()
  })
  afterAll(() => stage.clear())
}

function aMoveEach(): void {
  beforeEach(async () => {
    move = await stage.begin()
  })
  afterEach(() => stage.clear())
}

const about = (statement: string): string => statement.replaceAll('$t', `'${move.tenant}'`)

describe('a difference between both ends', () => {
  oneMove()
  // What could not be applied is passed over, for the next test.
  afterEach(async () => (await freshSlot(move.moving, 'forward')).end())

  it.each([
    [
      'an update that meets no row',
      `delete from words where tenant_id = $t and word = 'word 2'`,
      `update words set meaning = 'x' where tenant_id = $t and word = 'word 2'`,
      'update of app.words',
    ],
    [
      'a delete that meets no row',
      `delete from parts where tenant_id = $t and id = 300`,
      `delete from parts where tenant_id = $t and id = 300`,
      'delete of app.parts',
    ],
    [
      'an insert that meets a row',
      `insert into words values ($t, 'both', 'there')`,
      `insert into words values ($t, 'both', 'here')`,
      'insert of app.words',
    ],
    [
      'an update of a row without a key that is not as it was',
      `update notes set n = 2 where tenant_id = $t and word = ''`,
      `update notes set ok = null where tenant_id = $t and word = ''`,
      'update of app.notes',
    ],
    [
      'a delete of one of two twins that are not there',
      `delete from notes where tenant_id = $t and word = 'twin'`,
      `delete from notes where tenant_id = $t and word = 'twin'`,
      'delete of app.notes',
    ],
    [
      'a value that the other end refuses',
      `alter table parts_low add constraint refused check (title <> 'refused')`,
      `update parts set title = 'refused' where tenant_id = $t and id = 600`,
      'update of app.parts',
    ],
  ])('%s', async (_, there, here, what) => {
    await move.target.query(about(there))
    follower = await follow(move.moving, 'forward')
    await move.source.query(about(here))
    await expect(follower.failed).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining(what),
    })
    await expect(follower.reached('never')).rejects.toMatchObject({ code: 'REFUSED' })
    await move.target.query('alter table parts_low drop constraint if exists refused')
  })

  it('keeps nothing of the transaction in which it is found', async () => {
    await move.target.query(about(`delete from words where tenant_id = $t and word = 'word 2'`))
    follower = await follow(move.moving, 'forward')
    await move.source.query(
      about(`begin; update parts set title = 'kept?' where tenant_id = $t;
      update words set meaning = 'x' where tenant_id = $t; commit`),
    )
    await expect(follower.failed).rejects.toMatchObject({ code: 'REFUSED' })
    expect(
      await move.target.query(about(`select from parts where tenant_id = $t and title = 'kept?'`)),
    ).toHaveLength(0)
  })
})

describe('what was not there when the move began', () => {
  aMoveEach()

  it('fails on a table that is truncated', async () => {
    const name = wayName(move.moving.record.id, 'forward')
    await move.source.query(`alter publication ${name} set (publish = 'insert, update, delete, truncate')`)
    follower = await follow(move.moving, 'forward')
    await move.source.query('truncate words')
    await expect(follower.failed).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('app.words was truncated'),
    })
  })

  it('fails on a table whose columns change', async () => {
    follower = await follow(move.moving, 'forward')
    await move.source.query(
      about(`alter table words add column later text; update words set meaning = 'x' where tenant_id = $t`),
    )
    await expect(follower.failed).rejects.toMatchObject({
      code: 'REFUSED',
      message: 'The columns of app.words changed during the move.',
    })
    await expect(follow(move.moving, 'forward')).rejects.toMatchObject({
      code: 'REFUSED',
      message: 'app.words has not the same columns at both ends of the move.',
    })
    await move.source.query('alter table words drop column later')
  })

  it('fails on a table that nobody said would be moved', async () => {
    const name = wayName(move.moving.record.id, 'forward')
    follower = await follow(move.moving, 'forward')
    await move.source.query(
      `create table strange (id int primary key); alter publication ${name} add table strange`,
    )
    await move.source.query('insert into strange values (1)')
    await expect(follower.failed).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('app.strange'),
    })
    await move.source.query('drop table strange')
  })

  it('refuses a trigger that fires for rows that are moved', async () => {
    await move.target.query('alter table things enable always trigger audit')
    await expect(follow(move.moving, 'forward')).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('the trigger audit'),
    })
    await move.target.query('alter table things enable trigger audit')
  })
})

describe('rows of other tenants', () => {
  aMoveEach()

  it('do not come from shared tables, and go from them when they change hands', async () => {
    const other = await stage.begin()
    follower = await follow(move.moving, 'forward')
    await move.source.query(`update words set meaning = 'foreign' where tenant_id = '${other.tenant}'`)
    await move.source.query(
      about(
        `update words set tenant_id = 'nobody', meaning = 'foreign' where tenant_id = $t and word = 'word 2'`,
      ),
    )
    await stage.caughtUp(move, follower)
    expect(await move.target.query(`select from words where meaning = 'foreign'`)).toHaveLength(0)
    expect(await move.target.query(about(`select from words where tenant_id = $t`))).toHaveLength(5)
    await move.source.query(`delete from words where tenant_id = 'nobody'`)
  })

  it('are refused where no filter keeps them back', async () => {
    const own = await stage.begin({ isolation: 'schema' })
    await stage.wayBack(own)
    follower = await follow(own.moving, 'back')
    await own.target.query(`insert into words values ('somebody-else', 'word', '')`)
    await expect(follower.failed).rejects.toMatchObject({
      code: 'REFUSED',
      message: 'A change of app.words is about a row of another tenant.',
    })
    expect(await own.source.query(`select from words where tenant_id = 'somebody-else'`)).toHaveLength(0)
  })
})

describe('an end that is lost', () => {
  oneMove()

  const killed = (statement: string): string =>
    `select pg_terminate_backend(pid) from pg_stat_activity where ${statement}`

  it.each([
    ['the session that applies', 'target', `query like '%move_progress%' and pid <> pg_backend_pid()`],
    ['the session that sends', 'source', `backend_type = 'walsender'`],
  ] as const)('fails when %s is ended', async (_, end, which) => {
    follower = await follow(move.moving, 'forward')
    await stage.caughtUp(move, follower)
    await move[end].query(
      killed(`datname = current_database() and application_name like 'shardgate move %' and ${which}`),
    )
    await expect(follower.failed).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    expect(await follow(move.moving, 'forward').then((again) => again.end())).toBeUndefined()
  })

  it('fails when the slot is gone, and says that the move has to be made anew', async () => {
    await dropSlot(move.source, slotName(move.moving.record.id, 'forward', move.moving.source))
    await expect(follow(move.moving, 'forward')).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('has not kept the changes'),
    })
    await (await freshSlot(move.moving, 'forward')).end()
  })

  it('fails when the move is to stop, with what it was told', async () => {
    const stop = new AbortController()
    follower = await follow({ ...move.moving, signal: stop.signal }, 'forward')
    stop.abort(new Error('to pause'))
    await expect(follower.failed).rejects.toThrow('to pause')
  })

  it('rejects whoever waits for a mark, and nobody has to listen', async () => {
    const ended = await follow(move.moving, 'forward')
    const waiting = [ended.reached('never'), ended.stopAt('never', async () => {})]
    await ended.end()
    for (const each of waiting) await expect(each).rejects.toThrow()
  })
})
