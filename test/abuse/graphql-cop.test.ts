/**
 * What the scanner graphql-cop looks for, asked of the gateway in production settings and judged as it judges.
 *
 * Its requests and verdicts (kit/cop-checks.ts) come with a good token: what they must not find is open to
 * those who may come in. A server with the defaults of Yoga stands beside the gateway, so that a verdict that
 * could never be 'found' does not pass for a clean one. Each hole has tests of its own elsewhere: limits.test.ts
 * (aliases, repeats, directives, depth), server-defaults.test.ts (forged requests, pages, batches, introspection,
 * suggestions), bodies.test.ts (media types, mutations by GET), production.test.ts (GraphiQL).
 */

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSchema, createYoga } from 'graphql-yoga'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { askCop, COP_CHECKS } from '../kit/cop-checks.ts'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

let world: World
let gateway: Gateway
let careless: Server
let authorization: string

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1 })
  gateway = await startGateway(world, { NODE_ENV: 'production' })
  authorization = `Bearer ${await worldToken(world, world.tenants[0]!)}`
  const fields = Array.from({ length: 30 }, (_, i) => `type T${i} { next: T${i} }`)
  const typeDefs = `type Query { hello: String } type Mutation { touch: String } ${fields.join(' ')}`
  careless = createServer(
    createYoga({ schema: createSchema({ typeDefs }), batching: { limit: 20 }, logging: false }),
  )
  careless.listen(0, '127.0.0.1')
  await once(careless, 'listening')
})
afterAll(async () => {
  careless?.close()
  await gateway?.stop()
  await world?.stop()
})

describe('graphql-cop', () => {
  it.each(COP_CHECKS)('finds no $name', async (check) => {
    const answer = await askCop(gateway.url, authorization, check)
    expect(check.found(answer), answer.text.slice(0, 200)).toBe(false)
    expect(answer.json.errors?.[0]?.extensions.code).toBe(check.code)
  })

  it('finds them on a server with open defaults, so that it can see them at all', async () => {
    const { port } = careless.address() as AddressInfo
    const found = await Promise.all(
      COP_CHECKS.map(
        async (check) =>
          check.found(await askCop(`http://127.0.0.1:${port}`, authorization, check)) && check.name,
      ),
    )
    // graphql-js refuses circles of introspection itself; Yoga's page for strangers names GraphiQL.
    expect(found.filter(Boolean)).toEqual([
      'alias overloading',
      'array batching',
      'queries by GET, which a foreign page can send',
      'queries by a form, which a foreign page can send',
      'field duplication',
      'field suggestions',
      'GraphiQL at /graphql',
      'GraphiQL at /graphiql',
      'GraphiQL at /playground',
      'GraphiQL at /console',
      'introspection',
      'directive overloading',
    ])
  })
})
