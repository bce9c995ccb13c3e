/**
 * What is metered, beside what a client has written down itself: over two kills of the gateway, and over a clean stop.
 *
 * `npm run test:usage` has 100,000 requests; here they are 2,000.
 */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

const REQUESTS = Number(process.env.COUNT ?? 2_000)
const WORKERS = 8
const FLUSH_MS = 100

let world: World
let gateway: Gateway
const tokens: string[] = []

beforeAll(async () => {
  world = await startWorld({ tenants: 3, shards: 1, rows: 4 }, { usage: { flushMs: FLUSH_MS } })
  for (const tenant of world.tenants) tokens.push(await worldToken(world, tenant))
})
afterAll(async () => {
  await gateway?.stop()
  await world?.stop()
})

const GOOD = JSON.stringify({ query: '{ tasks(first: 2) { nodes { id } } }' })
const BAD = JSON.stringify({ query: '{ noSuchField }' })

/** What one client knows of one tenant. */
interface Account {
  answered: number
  errors: number
  /** Sent, and nobody knows whether it was counted. */
  unknown: number
  bytesIn: number
  bytesOut: number
}

const account = (): Account => ({ answered: 0, errors: 0, unknown: 0, bytesIn: 0, bytesOut: 0 })

async function ask(tenant: number, body: string, own: Account): Promise<void> {
  const headers = { authorization: `Bearer ${tokens[tenant]}`, 'content-type': 'application/json' }
  try {
    const answer = await fetch(gateway.url, { method: 'POST', headers, body })
    const text = await answer.text()
    own.answered += 1
    own.bytesIn += Buffer.byteLength(body)
    own.bytesOut += Buffer.byteLength(text)
    if ('errors' in JSON.parse(text)) own.errors += 1
  } catch {
    own.unknown += 1
  }
}

interface Metered {
  readonly requests: number
  readonly operations: number
  readonly errors: number
  readonly rows: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly users: number
}

async function metered(tenant: number): Promise<Metered> {
  const [row] = await world.sql(
    'directory',
    `select coalesce(sum(requests), 0)::int as requests, coalesce(sum(operations), 0)::int as operations,
       coalesce(sum(errors), 0)::int as errors, coalesce(sum(rows), 0)::int as rows,
       coalesce(sum(bytes_in), 0)::int as "bytesIn", coalesce(sum(bytes_out), 0)::int as "bytesOut",
       directory.users_in(directory.all_users(users))::int as users
     from directory.usage_hour where tenant_id = $1`,
    [world.tenants[tenant]!.id],
  )
  return row as unknown as Metered
}

/** Flushes that have been written, of all gateways. */
async function flushes(): Promise<number> {
  const [row] = await world.sql('directory', 'select sum(flush)::int as flushes from directory.usage_flush')
  return Number(row?.flushes ?? 0)
}

/** Until two more are written: whatever was counted before is written then. */
async function twoFlushes(): Promise<void> {
  const wanted = (await flushes()) + 2
  while ((await flushes()) < wanted);
}

/** Clients that ask until `until` says that it is enough, each of all tenants in turn. */
function clients(accounts: readonly Account[], until: () => boolean): Promise<unknown> {
  let sent = 0
  const work = async (): Promise<void> => {
    while (!until()) {
      const tenant = sent++ % accounts.length
      await ask(tenant, sent % 10 === 0 ? BAD : GOOD, accounts[tenant]!)
    }
  }
  return Promise.all(Array.from({ length: WORKERS }, work))
}

it('figures differ by what was not written when a gateway was killed, and by nothing else', async () => {
  const accounts = world.tenants.map(account)
  const answered = () => accounts.reduce((sum, own) => sum + own.answered, 0)
  const atRisk = world.tenants.map(() => 0)
  for (const part of [1, 2, 3]) {
    gateway = await startGateway(world)
    await clients(accounts, () => answered() >= (REQUESTS * part) / 3)
    if (part === 3) break
    const known = accounts.map((own) => own.answered)
    let isOver = false
    const working = clients(accounts, () => isOver)
    await twoFlushes()
    process.kill(gateway.pid, 'SIGKILL')
    isOver = true
    await working
    for (const [i, own] of accounts.entries()) atRisk[i]! += own.answered - known[i]!
  }
  await gateway.stop()
  const rows = await Promise.all(
    accounts.map(async (own, i) => ({ ...own, atRisk: atRisk[i]!, ...(await metered(i)) })),
  )
  for (const { requests, answered: own, unknown, atRisk: bound, errors } of rows) {
    expect(requests).toBeLessThanOrEqual(own + unknown)
    expect(requests).toBeGreaterThanOrEqual(own - bound)
    expect(errors).toBeGreaterThan(0)
  }
  const sum = (key: 'requests' | 'answered' | 'unknown' | 'atRisk') =>
    rows.reduce((all, row) => all + row[key], 0)
  console.log(
    `answered ${sum('answered')}, unanswered at the kills ${sum('unknown')}, metered ${sum('requests')}: ` +
      `${sum('answered') - sum('requests')} lost, of ${sum('atRisk')} that could be`,
  )
}, 3_600_000)

it('a gateway that is stopped has written everything, to the byte', async () => {
  const before = await Promise.all(world.tenants.map((_, i) => metered(i)))
  gateway = await startGateway(world)
  const accounts = world.tenants.map(account)
  await clients(accounts, () => accounts.reduce((sum, own) => sum + own.answered, 0) >= 300)
  await gateway.stop()
  for (const [i, own] of accounts.entries()) {
    const after = await metered(i)
    const more = (key: keyof Metered): number => after[key] - before[i]![key]
    expect(own.unknown).toBe(0)
    expect({
      ...{ answered: more('requests'), errors: more('errors'), unknown: 0 },
      ...{ bytesIn: more('bytesIn'), bytesOut: more('bytesOut') },
    }).toEqual(own)
    expect(more('operations')).toBe(own.answered - own.errors)
    expect(more('rows')).toBeGreaterThanOrEqual(2 * more('operations'))
    expect(after.users).toBe(1)
  }
})
