/**
 * Whoever is killed when: each transaction is applied once. Sessions are ended at random while a tenant writes, answers
 * are lost behind a commit, and runners are replaced; `SEED=… ` repeats a run.
 */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { sleep } from '../../../src/base/time.ts'
import { type Follower, follow } from '../../../src/control/move/follow.ts'
import type { Moving } from '../../../src/control/move/types.ts'
import { connect } from '../../../src/db/client.ts'
import { type FollowedMove, type FollowStage, followStage } from '../../kit/follow-stage.ts'
import { type Random, runRandom } from '../../kit/random.ts'
import { commandComplete, type WireProxy, wireProxy } from '../../kit/wire-proxy.ts'

let stage: FollowStage
const proxies: WireProxy[] = []

beforeAll(async () => {
  stage = await followStage()
})
afterEach(async () => {
  await stage.clear()
  for (const proxy of proxies.splice(0)) await proxy.close()
})
afterAll(() => stage?.drop())

/** Writes of every kind, in transactions of all sizes. */
function anyWrite(random: Random, t: string): string {
  const n = random.int(40)
  const id = `(select id from things where tenant_id = ${t} order by id offset ${n} limit 1)`
  const word = `w${random.int(30)}`
  return random.pick([
    `insert into things (tenant_id, title, body) select ${t}, 'new', repeat('b', ${random.int(9000)}) from generate_series(1, ${1 + random.int(30)})`,
    `update things set title = title || '${n}', ratio = ratio * -1 where tenant_id = ${t} and id = ${id}`,
    `update things set body = repeat('${n}', 3000), tags = array['${n}', null] where tenant_id = ${t} and share > ${n / 2}`,
    `update things set id = default where tenant_id = ${t} and id = ${id}`,
    `delete from things where tenant_id = ${t} and id = ${id}`,
    `insert into words values (${t}, '${word}', '0') on conflict (tenant_id, word) do update set meaning = words.meaning || '1'`,
    `update words set word = '${word}x' where tenant_id = ${t} and word = '${word}' and not exists (select from words where tenant_id = ${t} and word = '${word}x')`,
    `insert into notes (tenant_id, word, n) select ${t}, 'note', i / 3 from generate_series(1, 9) i`,
    `delete from notes where ctid = (select ctid from notes where tenant_id = ${t} order by random() limit 1)`,
    `update notes set n = n + 1, body = repeat('n', 3000) where tenant_id = ${t} and n = ${random.int(3)}`,
    `update parts set id = id + 1700 where tenant_id = ${t} and id < 700 and not exists (select from parts p where p.tenant_id = ${t} and p.id = parts.id + 1700)`,
    `update parts set id = id - 1700 where tenant_id = ${t} and id > 2000 and not exists (select from parts p where p.tenant_id = ${t} and p.id = parts.id - 1700)`,
    `update chains set place = 100 - place where tenant_id = ${t}`,
    `begin; delete from words where tenant_id = ${t}; update parts set title = '${n}' where tenant_id = ${t}; ${random.pick(['commit', 'rollback'])}`,
  ])
}

/** Write until `isOver`, and 60 times at least; gives the number of writes. */
async function writer(move: FollowedMove, random: Random, isOver: () => boolean): Promise<number> {
  const client = await connect(stage.test.shards[0]!.superuserUrl)
  await client.query('set search_path = app')
  let written = 0
  while (!isOver() || written < 60) {
    await sleep(random.int(5))
    await client.query(anyWrite(random, `'${move.tenant}'`))
    written += 1
  }
  await client.end()
  return written
}

/** The same move with one end behind a proxy. */
async function behind(move: FollowedMove, end: 'source' | 'target'): Promise<[Moving, WireProxy]> {
  const { shard } = move.moving[end]
  const proxy = await wireProxy(Number(new URL(shard.url).port))
  proxies.push(proxy)
  const moverUrl = proxy.url(shard.moverUrl ?? '')
  return [{ ...move.moving, [end]: { ...move.moving[end], shard: { ...shard, moverUrl } } }, proxy]
}

const kill = (move: FollowedMove, end: 'source' | 'target', which: string) =>
  move[end].query(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name like 'shardgate move %' and (${which})`)

describe('exactly once', () => {
  it('holds whoever is ended while the tenant writes', async () => {
    const random = runRandom().fork('follow-kills')
    const move = await stage.begin({ isolation: 'schema' })
    let isOver = false
    const writing = writer(move, random.fork('writer'), () => isOver)
    let moving = move.moving
    const ends: Readonly<Record<string, (follower: Follower) => Promise<unknown>>> = {
      'the session that applies': () =>
        kill(move, 'target', `query like '%move_progress%' or query like '%words%'`),
      'all sessions on the target': () => kill(move, 'target', 'true'),
      'the session that sends': () => kill(move, 'source', `backend_type = 'walsender'`),
      'the follower, and nobody waits for it': async (follower) => void follower.end(),
      'the runner, by another that takes over': async () => {
        moving = await move.takenOver()
      },
    }
    for (let round = 0; round < 10; round++) {
      const follower = await follow(moving, 'forward').catch(() => null)
      // Sessions that were told to end may be those that the next one has just opened.
      if (!follower) continue
      await sleep(random.int(150))
      await random.pick(Object.values(ends))(follower)
      const failure = await Promise.race([follower.failed.catch((error: unknown) => error), follower.end()])
      expect([undefined, 'SHARD_UNAVAILABLE', 'TENANT_BUSY']).toContain(
        (failure as { code?: string } | undefined)?.code,
      )
    }
    isOver = true
    expect(await writing).toBeGreaterThan(50)
    await expectSame(move, moving)
  })

  it('holds when the answer to a commit is lost', async () => {
    const move = await stage.begin()
    const [moving, proxy] = await behind(move, 'target')
    const follower = await follow(moving, 'forward')
    const lost = proxy.on(commandComplete('COMMIT'), 'cut', { times: 1 })
    await move.source.query(`insert into notes (tenant_id, word) values ('${move.tenant}', 'once')`)
    await lost.hit
    await expect(follower.failed).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    await expectSame(move, move.moving)
  })

  it('holds wherever the connection to the target is cut in a transaction', async () => {
    const move = await stage.begin()
    const [moving, proxy] = await behind(move, 'target')
    let cuts = 0
    for (let k = 1; ; k++) {
      const follower = await follow(moving, 'forward')
      await stage.caughtUp(move, follower)
      let left = k
      const rule = proxy.on(({ direction }) => direction === 'to-server' && --left === 0, 'cut-inside', {
        times: 1,
      })
      await move.source.query(`begin;
        insert into notes (tenant_id, word) values ('${move.tenant}', 'k'), ('${move.tenant}', 'k');
        update words set meaning = meaning || '${k}' where tenant_id = '${move.tenant}' and word = 'word 2';
        commit`)
      const passed = await stage.caughtUp(move, follower).then(
        () => left > 0,
        () => false,
      )
      rule.off()
      await follower.end()
      if (passed) break
      cuts += 1
    }
    expect(cuts).toBeGreaterThan(5)
    await expectSame(move, move.moving)
  })
})

describe('what a source sends', () => {
  it('holds no row of another tenant', async () => {
    const move = await stage.begin()
    const [moving, proxy] = await behind(move, 'source')
    const sent: Buffer[] = []
    proxy.on(({ type, bytes }) => {
      if (type === 'CopyData') sent.push(Buffer.from(bytes))
      return false
    }, 'pass')
    const follower = await follow(moving, 'forward')
    await move.source.query(`
      insert into words values ('${move.tenant}', 'mine', 'to be seen'), ('bystander', 'foreign', 'foreign');
      update words set meaning = 'foreign still' where tenant_id = 'bystander';
      delete from words where tenant_id = 'bystander'`)
    await stage.caughtUp(move, follower)
    await follower.end()
    const text = Buffer.concat(sent).toString('latin1')
    expect(text).toContain('to be seen')
    expect(text).not.toMatch(/bystander|foreign/)
  })
})

async function expectSame(move: FollowedMove, moving: Moving): Promise<void> {
  const follower = await follow(moving, 'forward')
  await stage.caughtUp(move, follower)
  await follower.end()
  const [source, target] = await stage.hashes(move)
  expect(target).toBe(source)
}
