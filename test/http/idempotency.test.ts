/** Idempotency keys on a running gateway: done once, answered the same, whatever comes between the two. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Role } from '../../src/tenant/types.ts'
import type { Data } from '../kit/api.ts'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { startWorld, type World, type WorldTenant } from '../kit/shard-fixture.ts'
import { commandComplete } from '../kit/wire-proxy.ts'

let world: World
let gateway: Gateway
let tenant: WorldTenant
let other: WorldTenant

beforeAll(async () => {
  world = await startWorld({ tenants: 2, shards: 1, proxies: true })
  tenant = world.tenants[0]!
  other = world.tenants[1]!
  gateway = await startGateway(world)
})
afterAll(async () => {
  await gateway?.stop()
  await world?.stop()
})

interface Ask {
  readonly key?: string
  readonly as?: WorldTenant
  readonly roles?: Role[]
  readonly subject?: string
}

const CREATE = `mutation Create($name: String!, $rowId: BigInt!) {
  createProject(input: { name: $name, rowId: $rowId, notes: { b: 1, a: [1.50, null] } }) {
    __typename ... on Project { id name notes createdAt tasks { totalCount } } ... on ConstraintError { kind } } }`

async function send(query: string, variables: object, { key, as = tenant, roles, subject }: Ask = {}) {
  const response = await fetch(gateway.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await worldToken(world, as, roles, subject)}`,
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
      ...(key !== undefined && { 'idempotency-key': key }),
    },
    body: JSON.stringify({ query, variables }),
  })
  const text = await response.text()
  const { errors }: Data = JSON.parse(text)
  return {
    text,
    status: response.status,
    replayed: response.headers.get('idempotency-replayed'),
    code: errors?.[0].extensions.code as string | undefined,
  }
}

let next = 10_000
const fresh = () => ({ name: `made ${++next}`, rowId: `${next}` })
const kept = async ({ name }: { name: string }, owner = tenant) =>
  (
    await world.sql(owner.shard, 'select from app.projects where tenant_id = $1 and name = $2', [
      owner.id,
      name,
    ])
  ).length
const keys = async () =>
  (await world.sql(tenant.shard, 'select key from shardgate.idempotency order by key')).map(({ key }) => key)

describe('an operation that comes twice with one key', () => {
  it('is done once and answers the same bytes both times, the second time saying so', async () => {
    const made = fresh()
    const first = await send(CREATE, made, { key: 'twice' })
    const second = await send(CREATE, made, { key: 'twice' })
    expect([first.status, first.replayed, second.replayed]).toEqual([200, null, 'true'])
    expect(second.text).toBe(first.text)
    expect(await kept(made)).toBe(1)
  })

  it('waits for its twin: of twenty at once one writes, and all answer the same', async () => {
    const made = fresh()
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(CREATE, made, { key: 'twenty' })))
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
    expect(answers.filter(({ replayed }) => replayed === null)).toHaveLength(1)
    expect(await kept(made)).toBe(1)
  })

  it('answers what was kept when the answer to the first was lost after its COMMIT', async () => {
    const made = fresh()
    const lost = world.shards[0]!.proxy!.on(commandComplete('COMMIT'), 'cut', { times: 1 })
    expect((await send(CREATE, made, { key: 'lost' })).code).toBe('OUTCOME_UNKNOWN')
    expect(lost.hits).toBe(1)
    const again = await send(CREATE, made, { key: 'lost' })
    expect([again.status, again.replayed]).toEqual([200, 'true'])
    expect(again.text).toContain(made.name)
    expect(await kept(made)).toBe(1)
  })

  it('is done when the first was rolled back, which leaves no key', async () => {
    const made = fresh()
    const taken = { ...made, name: tenant.values.texts[0]! }
    for (let i = 0; i < 2; i++) {
      const { text, replayed } = await send(CREATE, taken, { key: 'failed' })
      expect([JSON.parse(text).data.createProject.kind, replayed]).toEqual(['UNIQUE', null])
    }
    expect(await keys()).not.toContain('failed')
    const done = await send(CREATE, made, { key: 'failed' })
    expect([done.replayed, await kept(made)]).toEqual([null, 1])
  })
})

describe('a key', () => {
  it('with another document, other variables or another caller is refused', async () => {
    const made = fresh()
    await send(CREATE, made, { key: 'reused' })
    const others = [
      send(CREATE, { ...made, name: 'other' }, { key: 'reused' }),
      send(CREATE.replace('totalCount', '__typename'), made, { key: 'reused' }),
      send(CREATE, made, { key: 'reused', roles: ['member'] }),
      send(CREATE, made, { key: 'reused', subject: 'somebody else' }),
    ]
    for (const { code, status } of await Promise.all(others)) {
      expect([code, status]).toEqual(['IDEMPOTENCY_KEY_REUSED', 422])
    }
    // A refusal that anybody can repeat must not cost a connection each time.
    expect(gateway.output()).not.toContain('did not end cleanly')
  })

  it("is the tenant's own: another tenant's answers as a fresh one", async () => {
    const made = fresh()
    const mine = await send(CREATE, made, { key: 'same key' })
    const theirs = await send(CREATE, made, { key: 'same key', as: other })
    expect([mine.replayed, theirs.replayed]).toEqual([null, null])
    expect([await kept(made), await kept(made, other)]).toEqual([1, 1])
    const stored = world.sql(other.shard, `select answer from shardgate.idempotency where tenant_id = $1`, [
      other.id,
    ])
    expect(world.scanner.scan(other.id, JSON.stringify(await stored))).toEqual([])
  })

  it.each([
    ['empty', ''],
    ['too long', 'k'.repeat(256)],
    ['beyond ASCII', 'schlüssel'],
    ['with a tab', 'a\tb'],
  ])('that is %s is refused', async (_, key) => {
    const made = fresh()
    expect((await send(CREATE, made, { key })).code).toBe('BAD_USER_INPUT')
    expect(await kept(made)).toBe(0)
  })

  it('means nothing to a query', async () => {
    expect((await send('{ projects(first: 1) { totalCount } }', {}, { key: 'k'.repeat(256) })).code).toBe(
      undefined,
    )
  })

  it('runs out after a day: then the operation is done again, and old keys go a few at a time', async () => {
    const made = fresh()
    await send(CREATE, made, { key: 'old' })
    await world.sql(
      tenant.shard,
      `insert into shardgate.idempotency select $1, 'old ' || n, 'x', '{}', now() - interval '25 hours'
       from generate_series(1, 30) n`,
      [tenant.id],
    )
    const age = `update shardgate.idempotency set created_at = now() - interval '24 hours 1 minute' where key = 'old'`
    await world.sql(tenant.shard, age)
    const again = await send(CREATE, fresh(), { key: 'old' })
    expect([again.status, again.replayed]).toEqual([200, null])
    expect((await keys()).filter((key) => /^old \d/.test(String(key)))).toHaveLength(10)
  })

  it('keeps no answer that is too large, and then nothing is changed', async () => {
    const made = { name: 'x'.repeat(30_000), rowId: String(++next) }
    const many = Array.from({ length: 9 }, (_, i) => `n${i}: name`).join(' ')
    const { code, text } = await send(CREATE.replace('id name', `id name ${many}`), made, { key: 'large' })
    expect([code, await kept(made)]).toEqual(['QUERY_TOO_COMPLEX', 0])
    expect(JSON.parse(text).errors[0].extensions.details).toEqual({
      limit: 'keptAnswerBytes',
      allowed: 262_144,
    })
    expect(await keys()).not.toContain('large')
  })
})
