/**
 * Bombs against a gateway in production: requests that are short to write and dear to answer. Each of them is refused,
 * and costs little to refuse.
 *
 * `npm run bench:bombs` sends each of them many times and prints what a refusal takes of the process, how late its event
 * loop was meanwhile, and what stayed in its memory. Here nothing is held against a clock.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BOMBS } from '../kit/bombs.ts'
import { askCop, COP_CHECKS } from '../kit/cop-checks.ts'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { openProbe, type Probe } from '../kit/probe.ts'
import { cpuMs, residentMb } from '../kit/process-cpu.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

/** How often each is sent to be measured; left out, nothing is. */
const ROUNDS = Number(process.env.BOMBS ?? 0)
const GOAL_CPU_MS = 10
const GOAL_LAG_MS = 50
const GOAL_RSS_MB = 50

let world: World
let gateway: Gateway
let probe: Probe
let token: string

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1 })
  gateway = await startGateway(world, { NODE_ENV: 'production' })
  token = await worldToken(world, world.tenants[0]!)
  probe = openProbe(4)
})
afterAll(async () => {
  probe?.close()
  await gateway?.stop()
  await world?.stop()
})

const REFUSALS: readonly string[] = [
  'BAD_REQUEST',
  'BAD_USER_INPUT',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'PAYLOAD_TOO_LARGE',
  'PERSISTED_QUERY_NOT_FOUND',
  'QUERY_TOO_COMPLEX',
]

async function codesOf(body: string): Promise<readonly string[]> {
  const reply = await probe.send({ url: gateway.url, token, body })
  const { data, errors = [] } = JSON.parse(String(reply!.body))
  const given = Object.values(data ?? {}).filter((value) => value !== null)
  if (given.length > 0) return ['answered']
  return errors.map(({ extensions }: { extensions: { code: string } }) => extensions.code)
}

describe('a bomb', () => {
  it(`is refused, each of ${BOMBS.length}`, async () => {
    const before = await world.contents(world.tenants[0]!)
    const taken: string[] = []
    for (const { name, body } of BOMBS) {
      const codes = await codesOf(body)
      const isRefused = codes.length > 0 && codes.every((code) => REFUSALS.includes(code))
      if (!isRefused) taken.push(`${name}: ${codes.join()}`)
    }
    expect(taken).toEqual([])
    expect(BOMBS.length).toBeGreaterThanOrEqual(200)
    expect(new Set(BOMBS.map(({ name }) => name)).size).toBe(BOMBS.length)
    expect(await world.contents(world.tenants[0]!)).toBe(before)
  })
})

interface Figure {
  readonly name: string
  readonly cpuMs: number
}

describe.runIf(ROUNDS > 0)('what a refusal takes', () => {
  it('is printed', { timeout: 3_600_000 }, async () => {
    const bombs = BOMBS.map(({ name, body }) => ({ name, send: () => codesOf(body) }))
    const checks = COP_CHECKS.map((check) => ({
      name: `graphql-cop: ${check.name}`,
      send: () => askCop(gateway.url, `Bearer ${token}`, check),
    }))
    const all = [...bombs, ...checks]
    for (let round = 0; round < 3; round++) for (const { send } of all) await send()
    const before = residentMb(gateway.pid)
    await lagMs() // It counts from one look to the next.
    const figures: Figure[] = []
    for (const { name, send } of all) figures.push({ name, cpuMs: await cpuOf(send) })
    print(figures, await lagMs(), residentMb(gateway.pid) - before)
  })
})

/** The median: what collects garbage or compiles meanwhile has nothing to do with this refusal. */
async function cpuOf(send: () => Promise<unknown>): Promise<number> {
  const used: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const before = cpuMs(gateway.pid)
    await send()
    used.push(cpuMs(gateway.pid) - before)
  }
  return used.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)]!
}

/** Of the event loop, p99 since it was last asked. */
async function lagMs(): Promise<number> {
  const text = await (await fetch(new URL('/metrics', gateway.adminUrl))).text()
  return Number(/^nodejs_eventloop_lag_p99_seconds (\S+)/m.exec(text)?.[1]) * 1_000
}

function print(figures: readonly Figure[], lag: number, grown: number): void {
  const sorted = figures.toSorted((a, b) => b.cpuMs - a.cpuMs)
  const median = sorted[Math.floor(sorted.length / 2)]!
  const over = sorted.filter((figure) => figure.cpuMs > GOAL_CPU_MS)
  const line = (name: string, figure: string, goal = ''): string =>
    `${name.padEnd(60)}${figure.padStart(10)}  ${goal}`
  console.log(
    [
      `${figures.length} refusals, ${ROUNDS} times each; milliseconds of CPU of the gateway, all threads, medians\n`,
      ...sorted.slice(0, 20).map(({ name, cpuMs: ms }) => line(name, ms.toFixed(2))),
      line('median', median.cpuMs.toFixed(2)),
      line(`above ${GOAL_CPU_MS} ms`, String(over.length), 'goal 0'),
      line('event loop lag p99, ms', lag.toFixed(1), `goal < ${GOAL_LAG_MS}`),
      line('resident memory, MB more', grown.toFixed(1), `goal ≤ ${GOAL_RSS_MB}`),
    ].join('\n'),
  )
}
