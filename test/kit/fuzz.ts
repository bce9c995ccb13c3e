/**
 * The fuzz: random operations of many tenants at once, and a look at every byte that comes back.
 *
 * `fuzz` runs while faults fire and counts; `twins` runs when nothing else does and asks each question
 * twice, once with another tenant's values and once with values of nobody: the answers must be equal byte
 * for byte, or the first one has told something.
 */

import { randomUUID } from 'node:crypto'
import type { GraphQLSchema } from 'graphql'
import type { ForeignTag, Scanner } from './canary.ts'
import { type Operation, randomOperation, type Shape, type ValueSource } from './operations.ts'
import type { Probe, Reply } from './probe.ts'
import type { Random } from './random.ts'
import { ghostly, harvest, type TenantPool, worldSource } from './world-source.ts'

export interface FuzzTenant {
  readonly id: string
  readonly token: string
  readonly pool: TenantPool
}

export interface FuzzSetup {
  readonly url: string
  readonly schema: GraphQLSchema
  readonly tenants: readonly FuzzTenant[]
  /** All tenants whose values are foreign to somebody, silent ones included. */
  readonly pools: readonly TenantPool[]
  readonly scanner: Scanner
  readonly probe: Probe
  readonly random: Random
}

export interface Leak {
  readonly tenant: string
  readonly operation: Operation
  readonly found: readonly ForeignTag[]
}

export interface FuzzCounts {
  sent: number
  /** Operations with another tenant's id, cursor or value in them. */
  withForeign: number
  hungUp: number
  /** Replies whose data are not null. */
  answered: number
  mutationsKept: number
  /** How often each error code came, by code. */
  readonly codes: Record<string, number>
  /** Sockets that the gateway closed on us. */
  readonly lost: string[]
  readonly leaks: Leak[]
}

/** Run `count` operations with `workers` clients for each tenant. */
export async function fuzz(setup: FuzzSetup, count: number, workers: number): Promise<FuzzCounts> {
  const counts: FuzzCounts = {
    sent: 0,
    withForeign: 0,
    hungUp: 0,
    answered: 0,
    mutationsKept: 0,
    codes: {},
    lost: [],
    leaks: [],
  }
  const each = Math.ceil(count / (setup.tenants.length * workers))
  const clients = setup.tenants.flatMap((tenant) =>
    Array.from({ length: workers }, (_, i) =>
      client(setup, tenant, setup.random.fork(`${tenant.id} ${i}`), each, counts),
    ),
  )
  await Promise.all(clients)
  return counts
}

const others = ({ pools }: FuzzSetup, { pool }: FuzzTenant): TenantPool[] => pools.filter((it) => it !== pool)

async function client(
  setup: FuzzSetup,
  tenant: FuzzTenant,
  random: Random,
  count: number,
  counts: FuzzCounts,
): Promise<void> {
  const source = worldSource(tenant.pool, others(setup, tenant))
  for (let i = 0; i < count; i++) {
    const kind = random.chance(0.25) ? 'mutation' : 'query'
    const operation = randomOperation(setup.schema, kind, random, source)
    const hangUp = random.chance(0.08) ? { hangUpAfterMs: random.int(25) } : {}
    counts.sent++
    if (holdsForeign(setup, tenant, operation)) counts.withForeign++
    try {
      const { query, variables } = operation
      const reply = await setup.probe.send({ ...setup, ...tenant, body: { query, variables }, ...hangUp })
      if (reply) judge(setup, tenant, operation, reply, counts)
      else counts.hungUp++
    } catch (error) {
      counts.lost.push(String(error))
    }
  }
}

// A scanner that counts would count the questions among the answers, so the tags are looked for as text.
function holdsForeign(setup: FuzzSetup, tenant: FuzzTenant, operation: Operation): boolean {
  const text = JSON.stringify([operation.query, operation.variables])
  return (
    ghostly(
      text,
      others(setup, tenant).map(({ canary }) => canary),
    ) !== text
  )
}

interface GraphQLReply {
  readonly data?: Record<string, unknown> | null
  readonly errors?: readonly { readonly extensions?: { readonly code?: string } }[]
}

function judge(
  setup: FuzzSetup,
  tenant: FuzzTenant,
  operation: Operation,
  reply: Reply,
  counts: FuzzCounts,
): void {
  const found = [
    ...setup.scanner.scan(tenant.id, reply.headers),
    ...setup.scanner.scan(tenant.id, reply.body),
  ]
  if (found.length > 0) counts.leaks.push({ tenant: tenant.id, operation, found })
  const answer = JSON.parse(reply.body.toString('utf8')) as GraphQLReply
  for (const { extensions } of answer.errors ?? []) {
    const code = extensions?.code ?? 'none'
    counts.codes[code] = (counts.codes[code] ?? 0) + 1
  }
  if (!answer.data) return
  counts.answered++
  if (operation.kind === 'mutation' && !answer.errors) counts.mutationsKept++
  harvest(tenant.pool, answer.data)
}

export interface TwinCounts {
  asked: number
  /** Of those, mutations. */
  mutations: number
  readonly differences: readonly Difference[]
}

export interface Difference {
  readonly operation: Operation
  /** Every answer that came, status and headers included. */
  readonly foreign: readonly string[]
  readonly ghost: readonly string[]
}

const ORDERED = /\b(gt|gte|lt|lte)"?:/

/**
 * Ask `count` questions of each tenant twice. Comparisons by order are left out: a ghost's number stands
 * elsewhere among the tenant's own than the foreign one did, and that is no secret of anybody's.
 */
export async function twins(setup: FuzzSetup, count: number): Promise<TwinCounts> {
  const counts = {
    asked: 0,
    mutations: 0,
    differences: [] as Difference[],
  }
  const ask = async (tenant: FuzzTenant): Promise<void> => {
    const random = setup.random.fork(`twins of ${tenant.id}`)
    const source = worldSource(tenant.pool, others(setup, tenant))
    for (let asked = 0; asked < count; ) {
      const operation = twinOperation(setup, random, source)
      if (!holdsForeign(setup, tenant, operation) || ORDERED.test(JSON.stringify(operation))) continue
      asked++
      counts.asked++
      if (operation.kind === 'mutation') counts.mutations++
      const difference = await compare(setup, tenant, operation)
      if (difference) counts.differences.push(difference)
    }
  }
  await Promise.all(setup.tenants.map(ask))
  return counts
}

// Mutations of one field and no depth: their only arguments are then the id and the row, so a foreign value
// makes them fail, and asking twice changes nothing.
function twinOperation({ schema }: FuzzSetup, random: Random, source: ValueSource): Operation {
  const mutation = random.chance(0.3)
  const shape: Shape = mutation ? { rootFields: 1, depth: 2 } : {}
  return randomOperation(schema, mutation ? 'mutation' : 'query', random, source, shape)
}

// Fields of one operation run side by side, and two that fail may report in either order. So a question is
// asked again when the answers differ; they count as different when not one of each side was equal.
const ROUNDS = 4

async function compare(
  setup: FuzzSetup,
  tenant: FuzzTenant,
  operation: Operation,
): Promise<Difference | undefined> {
  const body = JSON.stringify({ query: operation.query, variables: operation.variables })
  const nobody = ghostly(
    body,
    others(setup, tenant).map(({ canary }) => canary),
  )
  const headers = { 'x-request-id': randomUUID() }
  const [foreign, ghost] = [new Set<string>(), new Set<string>()]
  for (let round = 0; round < ROUNDS; round++) {
    foreign.add(whole(await setup.probe.send({ ...setup, ...tenant, body, headers })))
    ghost.add(whole(await setup.probe.send({ ...setup, ...tenant, body: nobody, headers })))
    if ([...foreign].some((answer) => ghost.has(answer))) return undefined
  }
  return { operation, foreign: [...foreign], ghost: [...ghost] }
}

function whole(reply: Reply | undefined): string {
  if (!reply) return ''
  return `${reply.status}\n${reply.headers.replace(/^date: .*\n?/gim, '')}\n\n${reply.body.toString('utf8')}`
}
