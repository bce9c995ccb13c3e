/**
 * The audit of GraphQL over HTTP by `graphql-http`, whole: every MUST, SHOULD and MAY, of the gateway as it is
 * run, in development and in production, with the compiled lane and without it.
 *
 * Nothing is switched off for it. What the audit sends gets what any client of ours adds: a token, and the
 * header that no foreign page can set. To see that variables arrive the audit asks for a type by its name, which
 * production tells nobody; there a table is asked with the same variable, and nothing else is changed.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { type AuditResult, auditServer } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, startGateway, worldToken } from '../kit/gateway.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

const MODES = ['development', 'production'] as const
const LANES = [false, true]

let world: World
const gateways = new Map<string, Gateway>()
const nameOf = (mode: string, compiledLane: boolean): string => `${mode} ${compiledLane}`

beforeAll(async () => {
  // Limits a little above what the audit needs: they stand in its way as in everybody's.
  const limits = { depth: 3, documentTokens: 30, bodyBytes: 1_000 }
  world = await startWorld({ tenants: 1, shards: 1 }, { limits })
  const config = JSON.parse(readFileSync(world.configFile, 'utf8'))
  await Promise.all(
    LANES.map(async (compiledLane) => {
      const configFile = `${world.configFile}.${compiledLane}`
      writeFileSync(configFile, JSON.stringify({ ...config, http: { compiledLane } }))
      for (const mode of MODES) {
        gateways.set(nameOf(mode, compiledLane), await startGateway({ configFile }, { NODE_ENV: mode }))
      }
    }),
  )
})
afterAll(async () => {
  await Promise.all([...gateways.values()].map((gateway) => gateway.stop()))
  await world?.stop()
})

/** What an audit sends, with its headers as a client of ours has them; `also` changes it once more. */
async function clientFetch(also: (request: Sent) => Sent = (sent) => sent): Promise<typeof fetch> {
  const token = await worldToken(world, world.tenants[0]!, ['viewer'])
  return (input, init = {}) => {
    const headers = new Headers(init.headers)
    headers.set('authorization', `Bearer ${token}`)
    headers.set('x-graphql-yoga-csrf', '1')
    const { url, ...rest } = also({ ...init, url: String(input), headers })
    return fetch(url, rest)
  }
}

interface Sent extends RequestInit {
  readonly url: string
  readonly headers: Headers
}

/** Of the gateway of that name. */
async function auditOf(name: string, fetchFn: typeof fetch): Promise<AuditResult[]> {
  const results = await auditServer({ url: gateways.get(name)!.url, fetchFn })
  expect(results.length).toBeGreaterThanOrEqual(60)
  // An answer that is not read keeps its connection, and the gateway waits for it at its end.
  await Promise.all(results.map(async (result) => 'response' in result && result.response.body?.cancel()))
  return results
}

const notOk = (results: readonly AuditResult[]): string[] =>
  results.flatMap((result) =>
    result.status === 'ok' ? [] : [`${result.id} ${result.name}: ${result.reason}`],
  )

const OF_THE_SCHEMA = 'query Type($name: String!) { __type(name: $name) { name } }'
const OF_A_TABLE = 'query Type($name: String!) { projects(filter: { name: { eq: $name } }) { totalCount } }'

/** The same request, asking a table where the audit asks for a type. */
function askTable(sent: Sent): Sent {
  const url = new URL(sent.url)
  if (url.searchParams.get('query') === OF_THE_SCHEMA) url.searchParams.set('query', OF_A_TABLE)
  const { body } = sent
  if (typeof body !== 'string') return { ...sent, url: url.href }
  return { ...sent, url: url.href, body: body.replace(OF_THE_SCHEMA, OF_A_TABLE) }
}

describe.each(LANES)('the audit of GraphQL over HTTP, with http.compiledLane %s', (compiledLane) => {
  const audit = (mode: string, fetchFn: typeof fetch) => auditOf(nameOf(mode, compiledLane), fetchFn)

  it('passes whole in development', async () => {
    expect(notOk(await audit('development', await clientFetch()))).toEqual([])
  })

  it('passes whole in production', async () => {
    expect(notOk(await audit('production', await clientFetch(askTable)))).toEqual([])
  })

  it('with its own words fails in production where it asks for the schema, and nowhere else', async () => {
    const ids = notOk(await audit('production', await clientFetch())).map((line) => line.slice(0, 4))
    expect(ids).toEqual(['2EA1', '28B9', 'D6D5', '6A70'])
  })

  it.each([
    ['a token', 'authorization'],
    ['the header against forged requests', 'x-graphql-yoga-csrf'],
  ])('is not passed without %s', async (_, header) => {
    const without = (sent: Sent): Sent => {
      sent.headers.delete(header)
      return sent
    }
    for (const mode of MODES) expect(notOk(await audit(mode, await clientFetch(without)))).not.toEqual([])
  })

  it('was answered by the lane that the configuration names', () => {
    const answered = gateways.get(nameOf('production', compiledLane))!.output().includes('"lane":"compiled"')
    expect(answered).toBe(compiledLane)
  })
})
