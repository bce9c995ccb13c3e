/**
 * What development shows and production does not: GraphiQL, whose page carries a token for any tenant, and the
 * schema. Asked of two gateways as processes of their own, so that nothing here passes because it is absent
 * in development too.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureGraphiqlAssets } from '../../src/http/graphiql-assets.ts'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
const SCHEMA = '{ __schema { __typename } }'

let world: World
let production: Gateway
let development: Gateway
/** Paths at which development answers a browser. */
let paths: string[]

beforeAll(async () => {
  const { names } = await ensureGraphiqlAssets()
  paths = ['/graphql', '/graphql?query=%7Ba%7D', ...Object.values(names).map((name) => `/graphiql/${name}`)]
  world = await startWorld({ tenants: 1, shards: 1 })
  production = await startGateway(world, { NODE_ENV: 'production' })
  development = await startGateway(world)
})
afterAll(async () => {
  await production?.stop()
  await development?.stop()
  await world?.stop()
})

async function browse({ url }: Gateway, path: string): Promise<{ page: boolean; json: boolean }> {
  const answer = await fetch(new URL(path, url), { headers: { accept: BROWSER }, redirect: 'manual' })
  const type = answer.headers.get('content-type') ?? ''
  const text = await answer.text()
  expect(text).not.toBe('')
  return { page: answer.status < 400 && /html|css|javascript/.test(type), json: type.includes('json') }
}

describe('GraphiQL', () => {
  it('is there in development, page and files', async () => {
    for (const path of paths)
      expect(await browse(development, path), path).toEqual({ page: true, json: false })
  })

  it('is not there in production, whatever is asked for', async () => {
    for (const path of [...paths, '/graphiql', '/graphiql/', '/graphql?tenant=a&role=admin'])
      expect(await browse(production, path), path).toEqual({ page: false, json: true })
  })
})

describe('the schema', () => {
  const ask = async ({ url }: Gateway) => {
    const headers = {
      authorization: `Bearer ${await worldToken(world, world.tenants[0]!)}`,
      'content-type': 'application/json',
    }
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query: SCHEMA }) })
    return answer.json()
  }

  it('is told in development, and to nobody in production', async () => {
    expect(await ask(development)).toEqual({ data: { __schema: { __typename: '__Schema' } } })
    const refused = await ask(production)
    expect(refused).toMatchObject({ errors: [{ extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }] })
    expect(refused).not.toHaveProperty('data')
  })
})
