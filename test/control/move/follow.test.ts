/** What a tenant writes while it is moved is at the other end as it is here, however it was written. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Follower, follow } from '../../../src/control/move/follow.ts'
import type { Moving } from '../../../src/control/move/types.ts'
import { type FollowedMove, type FollowStage, followStage } from '../../kit/follow-stage.ts'

let stage: FollowStage
const followers: Follower[] = []

beforeAll(async () => {
  stage = await followStage()
})
afterEach(async () => {
  for (const follower of followers.splice(0)) await follower.end()
  await stage.clear()
})
afterAll(() => stage?.drop())

async function followed(
  moving: Moving,
  ...rest: [direction?: 'forward' | 'back', options?: object]
): Promise<Follower> {
  const follower = await follow(moving, rest[0] ?? 'forward', rest[1])
  followers.push(follower)
  return follower
}

async function expectSame(move: FollowedMove, follower: Follower): Promise<void> {
  await stage.caughtUp(move, follower)
  const [source, target] = await stage.hashes(move)
  expect(target).toBe(source)
}

describe('reliability fault 35', () => {
  const CHANGES: Readonly<Record<string, string>> = {
    'nothing at all': 'select 1',
    inserts: `insert into things (tenant_id, title, body) select $t, 'new', repeat('long', 5000) from generate_series(1, 700)`,
    deletes: 'delete from things where tenant_id = $t and id % 2 = 0',
    'all rows deleted': `delete from things where tenant_id = $t; delete from notes where tenant_id = $t`,
    'keys changed': `
      update words set word = word || '!' where tenant_id = $t;
      update parts set id = id + 5 where tenant_id = $t`,
    'a key changed about with another': `
      update words set word = 'between' where tenant_id = $t and word = 'word 2';
      update words set word = 'word 2' where tenant_id = $t and word = 'word 4';
      update words set word = 'word 4' where tenant_id = $t and word = 'between'`,
    'a row moved to another partition': 'update parts set id = id + 2000 where tenant_id = $t and id < 1000',
    'a number drawn anew for the key': 'update things set id = default where tenant_id = $t and share < 5',
    'a number drawn anew outside of the key': `
      update audits set line = default where tenant_id = $t and what like 'insert %1'`,
    'one row changed again and again': `
      do $do$ begin for i in 1..300 loop
        update things set title = i, ratio = i where tenant_id = $t and share = 7;
      end loop; end $do$`,
    'rows made, changed and gone in one transaction': `
      begin;
      insert into words values ($t, 'brief', '1'), ($t, 'brief too', '1');
      update words set meaning = '2' where tenant_id = $t;
      delete from words where tenant_id = $t and word = 'brief';
      insert into words values ($t, 'brief', '3');
      commit`,
    'what was rolled back, to a savepoint and whole': `
      begin;
      insert into words values ($t, 'kept', '');
      savepoint s; insert into words values ($t, 'lost', ''); rollback to s;
      commit;
      begin; delete from words where tenant_id = $t; rollback`,
    'long values left as they are': 'update things set title = title || 1 where tenant_id = $t',
    'long values left as they are, of a row without a key': `
      insert into notes values ($t, 'long', true, 'b', '[]', 1, repeat('z', 50000));
      update notes set n = 2 where tenant_id = $t and word = 'long'`,
    'a long key left as it is': `update words set meaning = 'other' where tenant_id = $t`,
    'a row renumbered, its long value left': `
      update things set id = default where tenant_id = $t;
      update audits set times = times + 1 where tenant_id = $t`,
    'null and the empty text': `
      update things set title = case when title = '' then null when title is null then '' else '' end where tenant_id = $t;
      update notes set word = case when word is null then '' else null end where tenant_id = $t`,
    'one of two rows that nothing tells apart': `
      delete from notes where ctid = (select min(ctid) from notes where tenant_id = $t and word = 'twin');
      update notes set ok = null where ctid = (select max(ctid) from notes where tenant_id = $t and word is null)`,
    'rows without a key': `
      update notes set code = 'bcd', raw = '{"b":2}' where tenant_id = $t and ok;
      delete from notes where tenant_id = $t and n is null`,
    'odd values': `
      update things set ratio = '-0', amount = 'NaN', tags = '{}', mood = 'it''s "odd"', span = '-1 mon +1 day -00:00:00.000001'
        where tenant_id = $t and share < 6;
      update things set ratio = 1e-300, amount = 1e40 + 0.10, tags = array[array['1', null], array['', 'NULL']],
        at = '0044-03-15 12:00:00 BC', bytes = '' where tenant_id = $t and share between 6 and 10;
      update things set at = 'infinity', ratio = 0.1::float8 + 0.2, data = 'null', share = null, title = E'\\t\\n\\\\N "ß" 🙂 \\u0001'
        where tenant_id = $t and share between 11 and 15`,
    'keys that are looked at late': `
      begin;
      update chains set place = 7 - place where tenant_id = $t;
      delete from chains where tenant_id = $t and id = 6;
      update chains set next = 1 where tenant_id = $t and id = 5;
      insert into chains values ($t, 20, 21, 20), ($t, 21, 20, 21);
      commit`,
    'rows that were removed by a foreign key': `
      insert into chains values ($t, 30, 30, 30);
      delete from chains where tenant_id = $t and id = 30`,
    'what a key includes': `
      update seats set who = 'other' where tenant_id = $t and id < 3;
      update seats set id = id + 10 where tenant_id = $t and id > 2`,
    'keys exchanged that are looked at late': 'update turns set id = 5 - id where tenant_id = $t',
    'a huge value': `update things set bytes = decode(repeat('00ff17', 8000000), 'hex') where tenant_id = $t and share = 3`,
  }

  it('applies each kind of change as it was made, through triggers of neither end', async () => {
    const move = await stage.begin()
    const follower = await followed(move.moving)
    for (const [name, statements] of Object.entries(CHANGES)) {
      await move.source.query(statements.replaceAll('$t', `'${move.tenant}'`))
      await stage.caughtUp(move, follower)
      const [source, target] = await stage.hashes(move)
      expect(target, name).toBe(source)
    }
  })
})

describe('where it goes', () => {
  it.each([
    { isolation: 'schema', shard: 'shard-b' },
    { isolation: 'database', shard: 'shard-b' },
    { isolation: 'schema', shard: 'shard-a' },
  ] as const)('follows from shared tables into a $isolation on $shard', async (to) => {
    const move = await stage.begin(to)
    const follower = await followed(move.moving)
    await move.source.query(`
      update things set title = 'followed' where tenant_id = '${move.tenant}';
      delete from notes where tenant_id = '${move.tenant}' and word is null;
      update shardgate.idempotency set answer = '{"a": 1}' where tenant_id = '${move.tenant}';
      insert into shardgate.idempotency (tenant_id, key, request_hash) values ('${move.tenant}', 'k1', 'h')`)
    await expectSame(move, follower)
    const answers = `select key, answer from shardgate.idempotency where tenant_id = '${move.tenant}' order by 1`
    expect(await move.target.query(answers)).toEqual(await move.source.query(answers))
  })
})
