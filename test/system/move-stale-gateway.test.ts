/**
 * G4, fault 33: a gateway that is stopped across a cutover, or across a move there and back, and then goes on with
 * requests that wait in its sockets and in its own queue: nothing is written in the old place, nothing old is read.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { completeMove, rollbackMove } from '../../src/control/move/run.ts'
import { type Gateway, logged, reconfigure, startGateway, worldToken } from '../kit/gateway.ts'
import { fleetOfWorld, moveTo as moveByMover, placementOf } from '../kit/move-world.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { type Post, type SimulatedMove, simulateMove } from '../kit/simulated-move.ts'

let world: World
let tenant: WorldTenant
let awake: Gateway, stopped: Gateway
let token: string
let epoch = 1
let at: Post = { shard: 'shard-a', isolation: 'shared' }
const moves: SimulatedMove[] = []

beforeAll(async () => {
  // A request that waits while its gateway sleeps has not come in yet: its time begins when it is read.
  world = await startWorld({ tenants: 2, shards: 2, isolations: ['shared'] }, { moves: { holdMs: 20_000 } })
  tenant = world.tenants[0]!
  token = await worldToken(world, tenant)
  awake = await startGateway(world, { LOG_LEVEL: 'debug' })
  stopped = await startGateway(world, { LOG_LEVEL: 'debug' })
})
afterEach(async () => {
  process.kill(stopped.pid, 'SIGCONT')
  for (const move of moves.splice(0)) await move.end()
})
afterAll(async () => {
  if (stopped) process.kill(stopped.pid, 'SIGCONT')
  await Promise.all([awake?.stop(), stopped?.stop()])
  await world?.stop()
})

/** The data of an answer without errors. */
async function ask(gateway: Gateway, query: string, headers: Record<string, string> = {}) {
  const { data, errors } = await answer(gateway, query, headers)
  expect(errors).toBeUndefined()
  return data
}

async function answer(gateway: Gateway, query: string, headers: Record<string, string> = {}) {
  const response = await fetch(gateway.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
    body: JSON.stringify({ query }),
  })
  return response.json()
}

let written = 0
/** Both lanes in turn: an idempotency key is the resolver lane's. */
async function write(gateway: Gateway): Promise<string> {
  const word = `word-${++written}`
  const query = `mutation { createLabel(input: { taskId: 1, word: "${word}" }) { ... on Label { word } } }`
  const headers = written % 2 === 0 ? { 'idempotency-key': word } : {}
  const data = await ask(gateway, query, headers)
  expect(data.createLabel).toEqual({ word })
  return word
}

async function words(gateway: Gateway): Promise<string[]> {
  const { labels } = await ask(gateway, '{ labels(first: 100) { nodes { word } } }')
  return labels.nodes.map((label: { word: string }) => label.word)
}

async function moveTo(to: Post): Promise<SimulatedMove> {
  const move = await simulateMove(world, tenant, { from: at, to, epoch })
  moves.push(move)
  at = to
  epoch++
  return move
}

const other = (): Post => ({ shard: at.shard === 'shard-a' ? 'shard-b' : 'shard-a', isolation: 'shared' })

/** Reads and writes that nobody takes from the sockets yet. */
function waiting(gateway: Gateway): { reads: Promise<string[]>[]; writes: Promise<string>[] } {
  const each = Array.from({ length: 12 }, (_, i) => i)
  return { reads: each.map(() => words(gateway)), writes: each.map(() => write(gateway)) }
}

const stop = (): boolean => process.kill(stopped.pid, 'SIGSTOP')
const wake = (): boolean => process.kill(stopped.pid, 'SIGCONT')

describe('a client of a tenant that is being moved', () => {
  const CREATE = `mutation { createLabel(input: { taskId: 1, word: "never" }) { __typename } }`
  const post = (signal?: AbortSignal): Promise<Response> =>
    fetch(awake.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: CREATE }),
      ...(signal && { signal }),
    })
  const refused = (): number => logged(awake, 'statement.done').filter(({ mode }) => mode === 'write').length
  const outcomes = (): string[] => logged(awake, 'request.held').map(({ outcome }) => outcome)
  let move: SimulatedMove

  beforeEach(async () => {
    move = await simulateMove(world, tenant, { from: at, to: other(), epoch })
    moves.push(move)
    await move.freeze()
  })

  it('who hangs up is held no longer, and nothing of his is done', async () => {
    const [before, leaving] = [refused(), new AbortController()]
    const gone = expect(post(leaving.signal)).rejects.toMatchObject({ name: 'AbortError' })
    await expect.poll(refused).toBeGreaterThan(before)
    leaving.abort()
    await gone
    // Each lane finds him gone.
    await expect.poll(() => outcomes().filter((outcome) => outcome === 'gone')).toHaveLength(2)
    await move.thaw()
    expect(await words(awake)).not.toContain('never')
  })

  it('is told when to come again, once he has waited for as long as he may', async () => {
    await reconfigure(world, awake, { moves: { holdMs: 50 } })
    const response = await post()
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
    const { errors } = await response.json()
    expect(errors).toMatchObject([{ extensions: { code: 'TENANT_MOVING', retryable: true } }])
    await move.thaw()
    await reconfigure(world, awake, { moves: { holdMs: 20_000 } })
    expect(await words(awake)).not.toContain('never')
  })
})

it('a request that was planned for other tables than its tenant has by now is planned anew', async () => {
  const home = at
  await ask(stopped, LOGOS)
  stop()
  const { reads, writes } = waiting(stopped)
  const logos = [1, 2, 3].map(() => answer(stopped, LOGOS))
  const move = await moveTo({ shard: at.shard, isolation: 'database' })
  await move.prepare()
  await move.onTarget((schema) => `alter table ${schema}.projects drop column logo`)
  await move.onTarget((schema) => `alter table ${schema}.labels add column note text`)
  await world.sql('directory', 'delete from directory.target where tenant_id = $1', [tenant.id])
  for (const step of ['freeze', 'copy', 'relocate', 'close', 'open'] as const) await move[step]()
  wake()
  for (const read of await Promise.all(reads)) expect(read).not.toEqual([])
  const kept = await Promise.all(writes)
  expect(await words(awake)).toEqual(expect.arrayContaining(kept))
  for (const { errors } of await Promise.all(logos)) {
    expect(errors).toMatchObject([{ extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }])
  }
  await ask(stopped, '{ labels(first: 1) { nodes { note } } }')
  await (await moveTo(home)).run()
  // A document that the old tables refuse is refused until the gateway has heard of the new ones: within a second.
  await expect.poll(() => answer(stopped, LOGOS)).not.toHaveProperty('errors')
})

const LOGOS = '{ projects { nodes { logo } } }'

describe('a gateway that is stopped across', () => {
  it.each<[string, () => Post]>([
    ['a cutover', other],
    ['a cutover into a schema of the tenant’s own', () => ({ ...other(), isolation: 'schema' })],
    ['a cutover into a database of the tenant’s own', () => ({ ...other(), isolation: 'database' })],
    ['a cutover back into shared tables', other],
  ])('%s', async (_, to) => {
    await words(stopped)
    stop()
    const { reads, writes } = waiting(stopped)
    const move = await moveTo(to())
    await move.run()
    const old = await move.contents('source')
    const news = await write(awake)
    wake()
    for (const read of await Promise.all(reads)) expect(read).toContain(news)
    const kept = await Promise.all(writes)
    expect(await words(awake)).toEqual(expect.arrayContaining(kept))
    expect(await words(stopped)).toEqual(expect.arrayContaining([news, ...kept]))
    expect(await move.contents('source')).toBe(old)
  })

  it('a move there and back', async () => {
    const home = at
    await words(stopped)
    stop()
    const { reads, writes } = waiting(stopped)
    const there = await moveTo(other())
    await there.run()
    const between = await write(awake)
    const back = await moveTo(home)
    await back.run()
    const old = await back.contents('source')
    const news = await write(awake)
    wake()
    for (const read of await Promise.all(reads)) expect(read).toEqual(expect.arrayContaining([between, news]))
    const kept = await Promise.all(writes)
    expect(await words(awake)).toEqual(expect.arrayContaining(kept))
    expect(await back.contents('source')).toBe(old)
  })

  it('a cutover, with writes that it holds', async () => {
    const move = await moveTo(other())
    await move.prepare()
    await move.freeze()
    const refused = (): number =>
      logged(stopped, 'statement.done').filter(({ mode }) => mode === 'write').length
    const before = refused()
    const writing = [write(stopped)]
    await expect.poll(refused).toBeGreaterThan(before)
    writing.push(write(stopped))
    expect(await words(stopped)).not.toEqual([])
    stop()
    await move.copy()
    const old = await move.contents('source')
    await move.relocate()
    await move.close()
    await move.open()
    const news = await write(awake)
    wake()
    const kept = await Promise.all(writing)
    expect(await words(stopped)).toEqual(expect.arrayContaining([news, ...kept]))
    expect(await move.contents('source')).toBe(old)
    expect(logged(stopped, 'request.held').map(({ outcome }) => outcome)).not.toContain('late')
  })
})

describe('by the mover itself, a gateway that is stopped across', () => {
  const old = async (post: Post): Promise<string> => {
    const reader = await simulateMove(world, tenant, { from: post, to: post, epoch: 1 })
    moves.push(reader)
    return reader.contents('source')
  }

  beforeAll(async () => {
    tenant = world.tenants[1]!
    token = await worldToken(world, tenant)
  })

  it('a move there and back', async () => {
    const fleet = fleetOfWorld(world, { stillMs: 1 })
    await words(stopped)
    stop()
    const { reads, writes } = waiting(stopped)
    const there: Post = { shard: 'shard-a', isolation: 'shared' }
    const { id, state } = await moveByMover(fleet, tenant.id, there)
    expect(state).toBe('settled')
    const between = await write(awake)
    expect(await rollbackMove(fleet, id)).toMatchObject({ state: 'rolled-back' })
    const news = await write(awake)
    wake()
    for (const read of await Promise.all(reads)) expect(read).toEqual(expect.arrayContaining([between, news]))
    const kept = await Promise.all(writes)
    expect(await words(awake)).toEqual(expect.arrayContaining(kept))
    expect(await old(there)).toBe('')
  })

  it.each<[string, Post]>([
    ['a cutover into a schema on the same shard', { shard: 'shard-b', isolation: 'schema' }],
    ['a cutover into a database on another shard', { shard: 'shard-a', isolation: 'database' }],
    ['a cutover into shared tables', { shard: 'shard-b', isolation: 'shared' }],
  ])('%s', async (_, to) => {
    const fleet = fleetOfWorld(world, { stillMs: 10_000 })
    const { shard, isolation } = await placementOf(fleet, tenant.id)
    await words(stopped)
    stop()
    const { reads, writes } = waiting(stopped)
    const { id } = await moveByMover(fleet, tenant.id, to)
    const before = await old({ shard, isolation })
    const news = await write(awake)
    wake()
    for (const read of await Promise.all(reads)) expect(read).toContain(news)
    const kept = await Promise.all(writes)
    expect(await words(awake)).toEqual(expect.arrayContaining([news, ...kept]))
    expect(await old({ shard, isolation })).toBe(before)
    for (const move of moves.splice(0)) await move.end()
    expect(await completeMove(fleet, id)).toMatchObject({ state: 'done' })
    expect(await words(stopped)).toEqual(expect.arrayContaining([news, ...kept]))
  })
})
