/**
 * Random operations of all tenants of any database, in this process: the schema, the door and Postgres are
 * the product's own, only the sockets are left out. Each answer is looked through for what must never be in
 * one: a fault of our own behind the mask, and another tenant's value.
 */

import { GraphQLError, parse, validate } from 'graphql'
import type { Event, LaneName } from '../../src/base/events.ts'
import type { TenantId } from '../../src/base/ids.ts'
import { finishErrors } from '../../src/graphql/errors.ts'
import type { Data, WorldApi } from './api.ts'
import type { Canary, ForeignTag, Scanner } from './canary.ts'
import { type Operation, type Place, randomOperation } from './operations.ts'
import type { Random } from './random.ts'
import { readPool, schemaSource, type ValuePool } from './schema-source.ts'

export interface GeneratedTenant {
  readonly id: TenantId
  readonly canary: Canary
}

export interface GeneratedFault {
  readonly tenant: string
  readonly operation: Operation
  /** What went wrong inside, or what was found. */
  readonly what: string
}

export interface GeneratedCounts {
  sent: number
  mutations: number
  /** Answers with data and without any error. */
  clean: number
  /** Answers of the compiled lane. */
  compiled: number
  /** How often each error code came. */
  readonly codes: Record<string, number>
  readonly inner: GeneratedFault[]
  readonly leaks: GeneratedFault[]
}

export interface GeneratedSetup {
  readonly api: WorldApi
  readonly tenants: readonly GeneratedTenant[]
  readonly scanner: Scanner
  readonly random: Random
}

/**
 * Operations for each of the fixtures. `COUNT=100000 npm run test:operations` shares that number out among the
 * four of them; without it there are just enough to see that nothing is broken.
 */
export const OPERATIONS = Math.ceil(Number(process.env.COUNT ?? 1_000) / 4)
/** Milliseconds for them on two slow cores. */
export const OPERATIONS_MS = 60_000 + OPERATIONS * 60

/** Operations under way at once. */
const AT_ONCE = 8
/** Faults of one kind that are kept for the report. */
const KEPT = 20

/** Run `count` operations, a quarter of them mutations. */
export async function runGenerated(setup: GeneratedSetup, count: number): Promise<GeneratedCounts> {
  const { api, tenants, random } = setup
  const ask = (tenant: GeneratedTenant) => async (query: string) =>
    (await runAndFinish(api, tenant, query)).data
  const pools = await Promise.all(tenants.map((tenant) => readPool(api.schema, tenant.canary, ask(tenant))))
  const refers = referringFields(api)
  const counts: GeneratedCounts = {
    sent: 0,
    mutations: 0,
    clean: 0,
    compiled: 0,
    codes: {},
    inner: [],
    leaks: [],
  }
  const workers = Array.from({ length: AT_ONCE }, async (_, i) => {
    const mine = random.fork(`worker ${i}`)
    for (let n = i; n < count; n += AT_ONCE) await one(setup, pools, refers, mine, counts)
  })
  await Promise.all(workers)
  return counts
}

type Refers = (place: Place) => boolean

/** Which fields of inputs hold a column of a foreign key: 'CreateTicketInput.authorId'. */
function referringFields({ model }: WorldApi): Refers {
  const fields = model.tables.flatMap((table) =>
    table.relations
      // Of several columns a null in one leaves the others unchecked.
      .filter(({ kind, inverse, columns }) => kind === 'one' && !inverse && columns.length === 1)
      .flatMap(({ columns }) => columns.map(({ own }) => own))
      .map((own) => `${table.typeName}.${table.columns.find(({ name }) => name === own)?.field}`),
  )
  const known = new Set(fields)
  return ({ input = '', path }) =>
    known.has(`${input.replace(/^(Create|Update|Upsert)|(Input|Patch)$/g, '')}.${path.at(-1)}`)
}

async function one(
  setup: GeneratedSetup,
  pools: readonly ValuePool[],
  refers: Refers,
  random: Random,
  counts: GeneratedCounts,
): Promise<void> {
  const { api, tenants, scanner } = setup
  const at = random.int(tenants.length)
  const tenant = tenants[at]!
  const others = pools.filter((_, i) => i !== at)
  const kind = random.chance(0.25) ? 'mutation' : 'query'
  const source = schemaSource(pools[at]!, others, refers)
  const operation = randomOperation(api.schema, kind, random, source, { depth: 4 })
  counts.sent++
  if (kind === 'mutation') counts.mutations++
  // The other half goes to the resolver lane, which would be left with what the compiled one refuses.
  const isCompiled = random.chance(0.5)
  const ran = await runAndFinish(api, tenant, operation.query, operation.variables, isCompiled)
  const { data, errors, hidden } = ran
  if (ran.lane === 'compiled') counts.compiled++
  const note = (list: GeneratedFault[], what: string): void => {
    if (list.length < KEPT) list.push({ tenant: tenant.id, operation, what })
  }
  for (const { extensions } of errors) count(counts.codes, String(extensions.code))
  for (const fault of hidden) note(counts.inner, fault)
  if (data && errors.length === 0) counts.clean++
  const found = scanner.scan(tenant.id, JSON.stringify({ data, errors: withoutEcho(errors, operation) }))
  if (found.length > 0) note(counts.leaks, described(found))
}

const count = (codes: Record<string, number>, code: string): void => {
  codes[code] = (codes[code] ?? 0) + 1
}

const described = (found: readonly ForeignTag[]): string =>
  found.map(({ tenant, value, around }) => `${value} of ${tenant} in …${around}…`).join('\n')

// A refusal may quote what it refuses; a value that stands in the question tells nothing in the answer.
function withoutEcho(errors: readonly GraphQLError[], operation: Operation): string[] {
  const asked = JSON.stringify(operation)
  return errors.map(({ message }) =>
    message.replace(/[\w-]{17,}/g, (word) => (asked.includes(word) ? '' : word)),
  )
}

export interface Ran {
  readonly lane: LaneName
  readonly data: Data
  readonly errors: readonly GraphQLError[]
  /** Of the errors that were masked, what they were. */
  readonly hidden: readonly string[]
}

/**
 * Run an operation as the gateway would, with the errors as they leave it.
 *
 * @param isCompiled  whether the compiled lane is asked first; default true
 */
export async function runAndFinish(
  api: WorldApi,
  tenant: GeneratedTenant,
  query: string,
  variables = {},
  isCompiled = true,
): Promise<Ran> {
  const hidden: string[] = []
  const emit = (event: Event): void => {
    if (event.kind === 'request.failed') hidden.push(inside(event.error))
  }
  const finish = (errors: readonly unknown[]): GraphQLError[] =>
    finishErrors(errors, { requestId: 'generated', emit })
  const [invalid] = validate(api.schema, parse(query))
  if (invalid) return { lane: 'resolver', data: null, errors: [refusal(invalid)], hidden }
  const compiled = isCompiled ? await api.compiled(tenant, query, variables) : null
  const lane = compiled === null ? 'resolver' : 'compiled'
  try {
    const answer = compiled ?? (await api.run(tenant, query, variables))
    const { data, errors = [] } = typeof answer === 'string' ? (JSON.parse(answer) as Data) : answer
    return { lane, data, errors: finish(errors), hidden }
  } catch (error) {
    return { lane, data: null, errors: finish([error]), hidden }
  }
}

// A value in the document itself is checked with the document, which the server does before it executes.
function refusal({ message }: GraphQLError): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } })
}

function inside(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code } = error as { code?: string }
  const at = error.stack?.split('\n').find((line) => line.includes('/src/')) ?? ''
  return `${error.name} ${code ?? ''}: ${error.message} ${at.trim()}`
}
