/**
 * D6 through the whole gateway, for both lanes: answers of two tenants' batches that were in flight on one connection
 * are handed to each other. The tenant that each carries gives it away; nothing of it reaches anybody.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sleep } from '../../src/base/time.ts'
import { type Gateway, logged, reconfigure, startGateway, worldToken } from '../kit/gateway.ts'
import { runsWith } from '../kit/isolation-model.ts'
import { openProbe, type Reply } from '../kit/probe.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import type { Answer } from '../kit/wire-answers.ts'
import type { WireProxy } from '../kit/wire-proxy.ts'

let world: World
let gateway: Gateway
let proxy: WireProxy
const tokens = new Map<WorldTenant, string>()
const probe = openProbe()

beforeAll(async () => {
  // Tenants with databases of their own share no connection with anybody.
  const shared = runsWith('database') && { isolations: ['shared'] as const }
  world = await startWorld({ tenants: 2, shards: 1, proxies: true, ...shared })
  const [shard] = world.shards
  proxy = shard!.proxy!
  gateway = await startGateway(world, { NODE_ENV: 'production' })
  // One connection for all that is short, so that two tenants are always on the same one.
  const { key, appUrl: url, ownerUrl } = shard!
  await reconfigure(world, gateway, { shards: { [key]: { url, ownerUrl, readConnections: 1 } } })
  for (const tenant of world.tenants) tokens.set(tenant, await worldToken(world, tenant))
})
afterAll(async () => {
  probe.close()
  await gateway?.stop()
  await world?.stop()
})

interface Asked {
  readonly tenant: WorldTenant
  readonly query: string
}

let asks = 0
async function ask({ tenant, query }: Asked): Promise<Reply> {
  asks++
  return (await probe.send({ url: gateway.url, token: tokens.get(tenant)!, body: { query } }))!
}
const textOf = ({ body }: Reply): string => String(body)

const isOfTable = (text: string): boolean => /"(?:app|tenant_[^"]+)"\."/.test(text)
/** Statements about tables that the shard has been sent so far. */
const sent = (): number => proxy.executed.filter(isOfTable).length
const alarms = () => logged(gateway, 'connection.mixup')
const destroyed = () => logged(gateway, 'connection.destroyed')

const lanes = () => logged(gateway, 'request.done').map(({ lane }) => lane)
/** What has been asked and logged so far; the log comes a moment after the answer. */
async function now() {
  await expect.poll(() => lanes().length).toBe(asks)
  const { connections } = proxy.counts
  const [told, gone] = [alarms().length, destroyed().length]
  return { sent: sent(), alarms: told, destroyed: gone, lanes: asks, connections }
}

/** Give the next answer for a tenant to another one, and that one's to him. */
function crossTenants(): Promise<void> {
  let held: string | undefined
  const owner = ({ statements, bytes }: Answer): string | undefined =>
    statements.some(isOfTable) ? world.tenants.find(({ id }) => bytes.includes(id))?.id : undefined
  return proxy.crossAnswers(
    (answer) => {
      held = owner(answer)
      return held !== undefined
    },
    (answer) => ![undefined, held].includes(owner(answer)),
  )
}

/**
 * What both say when their answers are crossed, which nobody may see anything of, and what there was before. Where the
 * machine stands still for 0.2 s between the two, the gateway takes another connection for the second, and no answer is
 * crossed: then they ask again.
 */
async function crossed(questions: () => readonly Asked[]) {
  for (let tries = 0; tries < 5; tries++) {
    const before = await now()
    const asked = questions()
    const done = crossTenants().then(() => true)
    const replies = await Promise.all(asked.map(ask))
    for (const [i, { headers, body }] of replies.entries()) {
      expect(world.scanner.scan(asked[i]!.tenant.id, headers)).toEqual([])
      expect(world.scanner.scan(asked[i]!.tenant.id, body)).toEqual([])
    }
    if (await Promise.race([done, sleep(1_000)])) return { before, replies }
    proxy.pass()
  }
  throw new Error('Five times the two were not on one connection.')
}

function expectMasked(reply: Reply): void {
  const { data, errors } = JSON.parse(textOf(reply))
  expect(data ?? null).toBe(null)
  for (const { message, extensions } of errors) {
    expect(message).toBe('Something failed inside the gateway.')
    expect(extensions).toMatchObject({ code: 'INTERNAL_SERVER_ERROR', requestId: expect.any(String) })
  }
}

const LIST = '{ tasks(first: 100) { nodes { title } } }'
const NESTED = `{ projects(first: 5) { nodes { name tasks(first: 3) { nodes { title labels { nodes { word } } } totalCount }
  invoices { aggregates { count max { reference } } } } } }`
const MANY = `{ ${Array.from({ length: 9 }, (_, i) => `p${i}: labels(first: ${i + 1}) { nodes { word } }`).join(' ')} }`
const OTHER = '{ invoices(first: 3) { nodes { reference project { name } } } a: projects { totalCount } }'

describe.each([false, true])(
  'answers of two tenants, crossed, with the compiled lane: %s',
  (compiledLane) => {
    beforeAll(() => reconfigure(world, gateway, { http: { compiledLane } }))

    it.each([
      ['to the same document, a list', LIST, LIST],
      ['to the same document, nested', NESTED, NESTED],
      ['to the same document, many statements in a batch', MANY, MANY],
      ['to one with more statements', MANY, LIST],
      ['to one with fewer statements', LIST, OTHER],
    ])('%s: the requests fail, the connection goes, an alarm comes', async (_, one, two) => {
      const asked = world.tenants.map((tenant, i) => ({ tenant, query: [one, two][i]! }))
      const right: string[] = []
      let own = 0
      // The second time everything is compiled, and prepared on the connection.
      for (let round = 0; round < 2; round++) {
        const before = sent()
        for (const [i, each] of asked.entries()) right[i] = textOf(await ask(each))
        own = sent() - before
      }

      const { before, replies } = await crossed(() => asked)

      const failed = replies.filter((reply, i) => textOf(reply) !== right[i])
      expect(failed.length).toBeGreaterThan(0)
      failed.forEach(expectMasked)
      await expect.poll(() => alarms().length).toBe(before.alarms + failed.length)
      const told = alarms().slice(before.alarms)
      const ids = world.tenants.map(({ id }) => id)
      for (const { asked, answered } of told) expect([asked, answered].sort()).toEqual(ids.toSorted())
      await expect.poll(() => destroyed().length).toBe(before.destroyed + 1)
      // Nobody who has failed was run again; whoever only lost the connection may have been.
      if (failed.length === replies.length) expect(sent() - before.sent).toBeLessThanOrEqual(own)

      const again = await Promise.all(asked.map(ask))
      expect(again.map(textOf)).toEqual(right)
      // One for the destroyed one, and one more where the machine stood still meanwhile.
      expect(proxy.counts.connections).toBeGreaterThan(before.connections)
      await expect.poll(() => lanes().length).toBe(asks)
      expect(new Set(lanes().slice(before.lanes))).toEqual(new Set([compiledLane ? 'compiled' : 'resolver']))
    })
  },
)

describe('writes of two tenants, crossed', () => {
  const write = (i: number, word: string): Asked => {
    const tenant = world.tenants[i]!
    const input = `{ taskId: 1, word: "${tenant.canary.text(word)}" }`
    return { tenant, query: `mutation { createLabel(input: ${input}) { ... on Label { word } } }` }
  }

  const labels = (word: string) =>
    world.sql('shard-a', 'select word from app.labels where word like $1 order by 1', [`%${word}`])

  it('fail and are not run again: what was written was written once, and by its own tenant', async () => {
    for (const word of ['warm', 'warmer'])
      for (const i of [0, 1]) expect(textOf(await ask(write(i, word)))).toContain(word)
    let word = 'crossed'

    const { before, replies } = await crossed(() => {
      word += ' once'
      return [0, 1].map((i) => write(i, word))
    })

    await expect.poll(() => lanes().length).toBe(asks)
    expect(lanes().slice(-2)).toEqual(['compiled', 'compiled'])
    const codes = replies.map((reply) => JSON.parse(textOf(reply)).errors[0].extensions.code)
    // Whose connection was destroyed under way cannot know either.
    for (const code of codes) expect(['INTERNAL_SERVER_ERROR', 'OUTCOME_UNKNOWN']).toContain(code)
    expect(codes).toContain('INTERNAL_SERVER_ERROR')
    expect(alarms().length).toBeGreaterThan(before.alarms)
    expect(sent() - before.sent).toBe(2)
    expect(await labels(word)).toHaveLength(2)
    for (const tenant of world.tenants)
      expect(world.scanner.scan(tenant.id, await world.contents(tenant))).toEqual([])
    const again = await Promise.all([0, 1].map((i) => ask(write(i, 'later'))))
    for (const reply of again) expect(textOf(reply)).toContain('later')
  })
})
