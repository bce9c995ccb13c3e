/**
 * HTTP is the same whichever lane answers: each request goes to a gateway that asks the compiled lane first and to
 * one that has none, and what comes back is compared byte for byte, the date aside.
 */

import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { RESPONSE_TYPE } from '../../src/http/media-types.ts'
import { EDGE_SECRET, type Edge, edgeToken, startEdge } from '../kit/edge.ts'
import { bytesOf, type Choice, ordinary, randomChoice, withOneOddity } from '../kit/http-requests.ts'
import { openProbe } from '../kit/probe.ts'
import { runRandom } from '../kit/random.ts'
import { hmac, seal } from '../kit/tokens.ts'

const http = { corsOrigins: ['https://app.test'], baseDomain: 'api.test' }
const limits = { bodyBytes: 5_000, requestMs: 2_000 }
const ENDED = { iss: 'edge', aud: 'edge', sub: 'x', tenant_id: 'acme', roles: ['viewer'], exp: 1_000_000_000 }
const tokens: Record<string, string> = {}
const edges: Edge[] = []
/** With the compiled lane, without it. */
let pair: [Edge, Edge]
let draining: [Edge, Edge]

beforeAll(async () => {
  Object.assign(tokens, {
    VIEWER: await edgeToken(['viewer'], tenantId('acme')),
    ADMIN: await edgeToken(['admin'], tenantId('acme')),
    GLOBEX: await edgeToken(['viewer'], tenantId('globex')),
    NOBODY: await edgeToken(['viewer'], tenantId('nobody')),
    EXPIRED: seal({ alg: 'HS256' }, ENDED, hmac('HS256', EDGE_SECRET)),
  })
  pair = await startPair()
  draining = await startPair()
  for (const edge of draining) edge.drain()
})
afterAll(() => Promise.all(edges.map((edge) => edge.close())))

async function startPair(): Promise<[Edge, Edge]> {
  const start = async (compiledLane: boolean): Promise<Edge> => {
    const edge = await startEdge({ limits, http: { ...http, compiledLane } })
    edges.push(edge)
    return edge
  }
  return [await start(true), await start(false)]
}

/** What comes back until the connection ends, without the date, and with made-up ids told by their form. */
async function answerOf({ port }: Edge, bytes: Buffer): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  let came = ''
  const socket = connect(port, '127.0.0.1', () => socket.end(bytes))
  socket.on('data', (chunk) => {
    came += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  socket.on('close', () => resolve(came))
  const answer = await promise
  return answer.replace(/^Date: .*\r\n/m, '').replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'made up')
}

async function expectEqual(choice: Choice, [on, off]: [Edge, Edge] = pair): Promise<void> {
  const bytes = bytesOf(choice, tokens)
  const ask = () => Promise.all([answerOf(on, bytes), answerOf(off, bytes)])
  let [ours, yogas] = await ask()
  // Whoever says at once that nothing will follow may be hung up on before the answer: that is chance in either lane.
  for (let i = 0; i < 5 && ours !== yogas && [ours, yogas].includes(''); i++) [ours, yogas] = await ask()
  expect({ choice, came: ours }).toEqual({ choice, came: yogas })
}

/** Of whom hangs up it is chance whether an operation has run by then. */
const lanesOf = (edge: Edge) =>
  edge.events.flatMap((event) =>
    event.kind === 'request.done' && event.lane && event.status !== 499 ? [event.lane] : [],
  )

describe('the same answer from both lanes', () => {
  it.each(['POST', 'GET'] as const)('to %s with any one oddity', async (method) => {
    for (const choice of withOneOddity(method)) await expectEqual(choice)
  })

  it('to a mixture of oddities', async () => {
    const random = runRandom().fork('both lanes')
    for (let i = 0; i < 800; i++) await expectEqual(randomChoice(random, random.pick([0, 0.03, 0.1, 0.3])))
  })

  it('to any Accept', async () => {
    const random = runRandom().fork('accept')
    const ranges = [
      '*/*',
      'application/*',
      'application/json',
      RESPONSE_TYPE,
      'text/*',
      '*/json',
      'a/b',
      '*',
      '',
    ]
    const parameters = ['', '', ';q=0.5', '; charset=utf-8', ';charset=utf-16', ' ;x=y;charset=UTF-8', '/x']
    const accept = (): string =>
      Array.from({ length: 1 + random.int(4) }, () => random.pick(ranges) + random.pick(parameters)).join(
        random.pick([',', ', ']),
      )
    for (let i = 0; i < 300; i++) await expectEqual({ ...ordinary(), accept: `accept: ${accept()}` })
  })

  it('to queries that the shard refuses, whatever else they ask for', async () => {
    const compiled = () => lanesOf(pair[0]).filter((lane) => lane === 'compiled').length
    const before = compiled()
    const queries = [
      '{ away }',
      '{ a: away away }',
      '{ __typename b: away t: __typename }',
      'query Q { away }',
    ]
    for (const query of queries) {
      for (const accept of ['', `accept: ${RESPONSE_TYPE}`])
        await expectEqual({ ...ordinary(), query: JSON.stringify(query), accept } as Choice)
    }
    expect(compiled() - before).toBe(2 * queries.length)
  })

  it('while the gateway drains', async () => {
    const random = runRandom().fork('both lanes, draining')
    for (let i = 0; i < 50; i++) await expectEqual(randomChoice(random, 0.05), draining)
    expect(lanesOf(draining[0])).toContain('compiled')
  })

  it('which one of them has given', () => {
    const [on, off] = pair.map(lanesOf)
    expect(on!.filter((lane) => lane === 'compiled').length).toBeGreaterThan(200)
    expect(on).toContain('resolver')
    expect(new Set(off)).toEqual(new Set(['resolver']))
    expect(on!.length).toBe(off!.length)
  })
})

describe('one connection after another answer', () => {
  it('keeps it open, with lengths of its own, and the same headers', async () => {
    const probe = openProbe(1)
    const answers = (edge: Edge, path: string) =>
      Promise.all(
        [1, 500, 5, 50].map((count) =>
          probe.send({
            url: edge.url + path,
            token: tokens.VIEWER!,
            body: { query: `{ items(count: ${count}) { id } }` },
            headers: { 'x-request-id': 'same' },
          }),
        ),
      )
    const [ours, yogas] = [await answers(pair[0], ''), await answers(pair[1], '')]
    const plain = (replies: typeof ours) =>
      replies.map((reply) => ({
        ...reply,
        headers: reply?.headers.replace(/^Date: .*$/m, ''),
        body: String(reply?.body),
      }))
    expect(plain(ours)).toEqual(plain(yogas))
    expect(ours[0]?.headers).toContain('Connection: keep-alive')
    expect(
      new Set(ours.map((reply) => /^content-length: (\d+)$/m.exec(reply?.headers ?? '')?.[1])).size,
    ).toBe(4)
    probe.close()
  })

  it('takes what is sent before the first answer has come, one after the other', async () => {
    const first = bytesOf(ordinary(), tokens).toString('latin1').replace('connection: close\r\n', '')
    const bytes = Buffer.from(first + first + bytesOf(ordinary(), tokens).toString('latin1'), 'latin1')
    const [ours, yogas] = await Promise.all(pair.map((edge) => answerOf(edge, bytes)))
    expect(ours).toBe(yogas)
    expect(ours!.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3)
  })
})
