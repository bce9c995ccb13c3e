/**
 * A tenant beside one that wants twenty times its part of their shard: many short requests at once, a few heavy reads,
 * or transactions that hold their connections for as long as they may. It is served, and sees no error.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Client } from '../../src/db/client.ts'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { type Counts, sumOf } from '../kit/load.ts'
import { openProbe, type Probe } from '../kit/probe.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'

/** Milliseconds for one request: a transaction that waits for a lock holds its connection for so long. */
const REQUEST_MS = 5_000
/** Answers of the victim while the other one is at it. */
const ENOUGH = 30
/** Rows of the aggressor, of which a heavy read looks at all. */
const ROWS = 100_000

const SHORT = { query: '{ projects(first: 3) { totalCount nodes { id name } } }' }
const HEAVY = { query: '{ tasks(first: 1, filter: { title: { ilike: "%z%z%z%z%" } }) { totalCount } }' }

let world: World
let gateway: Gateway
let probe: Probe
let [victim, aggressor]: WorldTenant[] = []
let [victimToken, aggressorToken] = ['', '']

beforeAll(async () => {
  world = await startWorld(
    { tenants: 3, shards: 1, rows: 4, isolations: ['shared'] },
    { limits: { requestMs: REQUEST_MS } },
  )
  victim = world.tenants[0]!
  aggressor = world.tenants[1]!
  gateway = await startGateway(world)
  probe = openProbe(1_000)
  victimToken = await worldToken(world, victim)
  aggressorToken = await worldToken(world, aggressor)
})
afterAll(async () => {
  probe?.close()
  await gateway?.stop()
  await world?.stop()
})

type Body = { readonly query: string; readonly variables?: object }

/** Two writes, which need a transaction of several steps. */
async function twoWrites(token: string): Promise<Body> {
  const reply = await probe.send({
    ...{ url: gateway.url, token },
    body: { query: '{ tasks(first: 2) { nodes { id } } }' },
  })
  const [one, two] = JSON.parse(String(reply?.body)).data.tasks.nodes
  const update = (name: string, id: string): string =>
    `${name}: updateTask(id: "${id}", patch: { done: true }) { __typename }`
  return { query: `mutation { ${update('one', one.id)} ${update('two', two.id)} }` }
}

async function ask(token: string, body: Body): Promise<string> {
  const reply = await probe.send({ url: gateway.url, token, body })
  const { errors } = JSON.parse(String(reply?.body))
  return errors ? String(errors[0].extensions.code) : 'ok'
}

interface Callers {
  readonly counts: Counts
  stop(): Promise<void>
}

/** So many callers who ask one thing after the other. */
function callers(token: string, bodies: readonly Body[], count: number): Callers {
  const counts: Counts = {}
  let isOver = false
  const call = async (): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      const code = await ask(token, bodies[n % bodies.length]!)
      counts[code] = (counts[code] ?? 0) + 1
    }
  }
  const running = Array.from({ length: count }, call)
  return {
    counts,
    async stop() {
      isOver = true
      await Promise.all(running)
    },
  }
}

/** What the victim is answered while the other one is at it. */
async function beside(
  bodies: readonly Body[],
  count: number,
): Promise<{ victim: Counts; aggressor: Counts }> {
  const mine = [SHORT, await twoWrites(victimToken)]
  const theirs = callers(aggressorToken, bodies, count)
  try {
    const all: Counts[] = []
    await expect.poll(() => sumOf([theirs.counts]), { timeout: 20_000 }).not.toEqual({})
    for (let n = 0; n < ENOUGH; n++) all.push({ [await ask(victimToken, mine[n % mine.length]!)]: 1 })
    return { victim: sumOf(all), aggressor: { ...theirs.counts } }
  } finally {
    await theirs.stop()
  }
}

describe('a tenant is served without an error beside one that', () => {
  it('sends many short requests at once', async () => {
    const seen = await beside([SHORT], 120)
    expect(seen.victim).toEqual({ ok: ENOUGH })
    expect(seen.aggressor.ok).toBeGreaterThan(0)
    expect(['ok', 'OVERLOADED']).toEqual(expect.arrayContaining(Object.keys(seen.aggressor)))
  })

  it('asks for heavy reads', async () => {
    await world.sql(
      aggressor!.shard,
      `insert into app.tasks (tenant_id, id, project_id, title)
       select $1, n, (select min(id) from app.projects where tenant_id = $1), 'task ' || n || repeat('zy', 40)
       from generate_series(1000, ${1_000 + ROWS}) n`,
      [aggressor!.id],
    )
    const seen = await beside([HEAVY], 12)
    expect(seen.victim).toEqual({ ok: ENOUGH })
    expect(seen.aggressor.ok).toBeGreaterThan(0)
  })

  it('holds transactions open that wait for a lock', async () => {
    const bodies = [await twoWrites(aggressorToken)]
    const holder: Client = await world.connectTo(aggressor!)
    await holder.query('begin')
    await holder.query(`update app.tasks set done = done where tenant_id = '${aggressor!.id}' and id < 1000`)
    try {
      const seen = await beside(bodies, 24)
      expect(seen.victim).toEqual({ ok: ENOUGH })
      expect(Object.keys(seen.aggressor)).not.toContain('ok')
    } finally {
      await holder.query('rollback').catch(() => {})
      await holder.end()
    }
  })
})
