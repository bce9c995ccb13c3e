/**
 * What a request costs the gateway beside the database, step by step: microseconds of CPU on a point query.
 *
 *     npm run bench:steps                    2 s a slice, 5 rounds
 *     SLICE_S=5 ROUNDS=9 npm run bench:steps
 *
 * Everything is as the gateway has it in production but for the rows, which are recorded once and given again. The
 * first table is CPU of this process per request, by the system's count, beside a bare node:http that reads the
 * same body and writes the same answer: what is left between the two is the gateway. The second takes single steps
 * and calls each many times in a row; medians. A step is dearer where it stands, between others, than in such a row.
 */

import { closeSync, openSync } from 'node:fs'
import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http'
import { type AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { loadConfig } from '../src/base/config.ts'
import type { Event } from '../src/base/events.ts'
import { deadlineIn, systemClock } from '../src/base/time.ts'
import { Tally } from '../src/directory/tally.ts'
import type { Placement } from '../src/directory/types.ts'
import { readParameters } from '../src/http/body.ts'
import { persistedDocuments } from '../src/http/documents.ts'
import { beginExchange, type Exchange } from '../src/http/exchange.ts'
import { send } from '../src/http/front.ts'
import { takeIn } from '../src/http/intake.ts'
import { createHttpServer } from '../src/http/server.ts'
import { requireAgreement } from '../src/tenant/agreement.ts'
import type { Identity } from '../src/tenant/types.ts'
import { openWorldDoor } from '../test/kit/door.ts'
import { openDatabase } from './database.ts'
import { spreadOf } from './figures.ts'
import { bodyOf, type Caller, callersOf, type Question, runLoad, writeRequests } from './load.ts'
import { type Parts, partsOf } from './parts.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 5)
const SLICE_S = Number(process.env.SLICE_S ?? 2)
const CONNECTIONS = 32
const CALLS = 2_000
const GOAL_US = 60
const SPIN_US = 60

const SIZES = [{ size: 'S', tenants: 20, users: 20, tickets: 250 }]
const database = await openDatabase({
  name: 'steps',
  sizes: SIZES,
  sharedBuffers: '64MB',
  report: console.error,
})
const nowhere = openSync('/dev/null', 'w')
try {
  const configFile = database.configFile()
  const gate = await openWorldDoor(
    { configFile, directoryUrl: loadConfig(configFile).directory.url },
    undefined,
    false,
  )
  try {
    await measure(
      await partsOf(loadConfig(configFile), gate, nowhere),
      await callersOf(database.shards.map(({ tenants }) => tenants)),
    )
  } finally {
    gate.end()
  }
} finally {
  closeSync(nowhere)
  await database.stop()
}

async function measure(parts: Parts, callers: readonly Caller[]): Promise<void> {
  const question = bodyOf('Q1', callers[0]!, 0, 'shardgate')
  const gateway = createHttpServer(parts.options).server
  await listen(gateway)
  const answer = await answerTo(gateway, question)
  const bare = bareServer(answer)
  await listen(bare)
  const file = join(database.dir, 'Q1.requests')
  writeRequests(file, 'Q1', callers, 'shardgate')
  console.log(`CPU per request, in microseconds, of Q1 (${answer.length} bytes)\n`)
  const figures = new Map<string, number[]>([
    ['bare node:http', []],
    ['gateway', []],
    ['between them', []],
  ])
  for (let round = 0; round <= ROUNDS; round++) {
    const base = (await cpuPerRequest(bare, file)) - SPIN_US
    const own = await cpuPerRequest(gateway, file)
    // The first round warms up.
    if (round === 0) continue
    for (const [i, list] of [...figures.values()].entries()) list.push([base, own, own - base][i]!)
  }
  for (const [name, list] of figures) print(name, list)
  bare.close()
  gateway.close()
  bare.closeAllConnections()
  gateway.closeAllConnections()
  await measureSteps(parts, question)
}

async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

async function answerTo(server: Server, { token, body }: Question): Promise<string> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const url = `http://127.0.0.1:${portOf(server)}/graphql`
  const response = await fetch(url, { method: 'POST', headers, body })
  const text = await response.text()
  if (!text.startsWith('{"data":{"ticketBy":{"rowId"')) throw new Error(`No ticket was answered: ${text}`)
  return text
}

function bareServer(answer: string): Server {
  return createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      JSON.parse(Buffer.concat(chunks).toString())
      spin()
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(answer),
      })
      response.end(answer)
    })
  })
}

/**
 * As long as a gateway works, so that the client waits for both alike: to write to a client that sleeps takes the system
 * several times as long as to one that is busy, and beside a server that does nothing it never sleeps.
 */
function spin(): void {
  const end = performance.now() + SPIN_US / 1_000
  while (performance.now() < end);
}

async function cpuPerRequest(server: Server, file: string): Promise<number> {
  const before = process.cpuUsage()
  const load = { port: portOf(server), file, connections: CONNECTIONS, seconds: SLICE_S, first: 0 }
  const { requests } = await runLoad(load)
  return cpuSince(before) / requests
}

/** Microseconds of all threads of this process. */
function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return user + system
}

interface Step {
  readonly name: string
  /** Makes what the step needs, before its time begins. */
  readonly prepare: () => () => unknown
  /** A part of the step before it, and no share of the sum. */
  readonly isPart: boolean
}

function step<T>(name: string, make: () => T, run: (made: T) => unknown, isPart = false): Step {
  const prepare = () => {
    const made = make()
    return () => run(made)
  }
  return { name, prepare, isPart }
}

function part<T>(name: string, make: () => T, run: (made: T) => unknown): Step {
  return step(name, make, run, true)
}

async function measureSteps(parts: Parts, question: Question): Promise<void> {
  console.log('\nSteps, in microseconds\n')
  let sum = 0
  for (const one of await stepsOf(parts, question)) {
    const times: number[] = []
    for (let round = 0; round <= 2 * ROUNDS; round++) times.push(await timeOf(one))
    const median = print(`${one.isPart ? '  of it ' : ''}${one.name}`, times.slice(1))
    if (!one.isPart) sum += median
  }
  console.log(
    `${'sum'.padEnd(28)}${sum.toFixed(1).padStart(8)}   ${sum <= GOAL_US ? 'within' : 'above'} ${GOAL_US}`,
  )
}

async function timeOf({ prepare }: Step): Promise<number> {
  const prepared = Array.from({ length: CALLS }, prepare)
  const before = process.cpuUsage()
  for (const run of prepared) await run()
  return cpuSince(before) / CALLS
}

async function stepsOf({ options, log, metrics }: Parts, question: Question): Promise<Step[]> {
  const { config, apis, countCompiled, authenticate, placementOf } = options
  const { lane, permissions } = apis.of()
  const { query, variables } = JSON.parse(question.body) as {
    query: string
    variables: Record<string, unknown>
  }
  const authorization = `Bearer ${question.token}`
  const identity = await authenticate(authorization)
  const placement = (await placementOf(identity.tenant))!
  const { subdomain } = placement
  const operation = lane!.find(query, undefined)!
  const answer = await operation.run({ ...requestOf(identity, placement), variables })
  if (typeof answer !== 'string') throw new Error('The compiled lane does not take the point query.')
  const done = doneEvent(identity.tenant, operation.name ?? '')
  const read = statementDone(identity.tenant)
  const tally = new Tally(systemClock)
  const run = { schema: permissions.schema, operation, variables, seconds: 0.001, errors: 0 }
  const nothing = (): undefined => undefined
  const documents = persistedDocuments(options)
  const exchange = (): Exchange => exchangeOf(question)
  return [
    step('begin: id, deadline', () => incoming(question), beginOn),
    step('intake', exchange, (one) => takeIn(one, { ...options, documents })),
    part('token', nothing, () => authenticate(authorization)),
    part("tenant's placement", nothing, () => placementOf(identity.tenant)),
    part('agreement', exchange, ({ request }) =>
      requireAgreement({
        tenant: identity.tenant,
        subdomain,
        headers: request.headersDistinct,
        baseDomain: 'api.test',
      }),
    ),
    part('body', exchange, (one) => readParameters(one, config().limits)),
    step('operation look-up', nothing, () => lane!.find(query, undefined)),
    step('plan and write', nothing, () => operation.run({ ...requestOf(identity, placement), variables })),
    part('permissions', nothing, () =>
      permissions.allows(operation.document, undefined, variables, identity),
    ),
    step('answer', exchange, (one) => send(one, headersWith(one.requestId), answer)),
    step('metrics', nothing, () => {
      countCompiled(run)
      metrics.listener(done)
    }),
    step('log', nothing, () => log.listener(done)),
    step('metering', nothing, () => {
      tally.count(done)
      tally.count(read)
    }),
  ]
}

function requestOf(identity: Identity, placement: Placement) {
  return { identity, placement, requestId: 'bench', deadline: deadlineIn(60_000), idempotencyKey: undefined }
}

function headersWith(requestId: string): string[] {
  const ofAll = ['x-request-id', requestId, 'x-content-type-options', 'nosniff', 'cache-control', 'no-store']
  return [...ofAll, 'Content-Type', 'application/json; charset=utf-8']
}

function doneEvent(tenant: string, operation: string): Event {
  const requestId = '1b40c632-03af-4eaa-8e3d-461c9cf9c198'
  const answered = { method: 'POST', route: 'graphql', status: 200, durationMs: 1.234 } as const
  const metered = { cost: 2, bytesIn: 90, bytesOut: 120, errors: 0, subject: 'c775e7b757ede630' }
  return { kind: 'request.done', requestId, ...answered, tenant, lane: 'compiled', operation, ...metered }
}

function statementDone(tenant: string): Event {
  const times = { waitedMs: 0.01, durationMs: 0.412, databaseMs: 0.2 }
  return { kind: 'statement.done', tenant, shard: 'shard-a', mode: 'read', ...times, rows: 1 }
}

/** A request as Node hands it over, its body on the way. */
function incoming({ token, body }: Question): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  request.method = 'POST'
  request.url = '/graphql'
  const headers = { host: '127.0.0.1', 'content-type': 'application/json', accept: 'application/json' }
  const all = {
    ...headers,
    authorization: `Bearer ${token}`,
    'content-length': String(Buffer.byteLength(body)),
  }
  const lines = Object.entries(all).flat()
  // How Node's parser hands them over; the getters of `headers` count on it.
  Reflect.apply(Reflect.get(request, '_addHeaderLines'), request, [lines, lines.length])
  request.push(body)
  request.push(null)
  return request
}

function beginOn(request: IncomingMessage): Exchange {
  return beginExchange(
    request,
    new ServerResponse(request),
    { requestMs: 60_000, leavingMs: 1_000 },
    systemClock,
  )
}

function exchangeOf(question: Question): Exchange {
  return beginOn(incoming(question))
}

function print(name: string, values: readonly number[]): number {
  const { median, min, max } = spreadOf(values)
  const [middle, from, to] = [median, min, max].map((value) => value.toFixed(1))
  console.log(`${name.padEnd(28)}${middle!.padStart(8)}   ${from} to ${to}`)
  return median
}
