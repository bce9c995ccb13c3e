/**
 * Both lanes: generated queries, each asked of the compiled lane and of the resolvers. Where the compiled lane
 * answers, the resolvers have no error and the same text, byte for byte.
 *
 * A document is asked several times: with other variables and nearly the same ones, by other tenants, and with cursors that its own answer
 * gave. Documents are numbered, and number and seed give a document whatever ran before it.
 */

import type { WorldApi } from './api.ts'
import { cursorsFor } from './cursor-variables.ts'
import { dress } from './dressing.ts'
import type { GeneratedTenant } from './generated-operations.ts'
import { type Asked, type Resolved, Tally } from './lanes-tally.ts'
import { repeatableOperation, type Shape, type ValueSource } from './operations.ts'
import type { Random } from './random.ts'
import { readPool, schemaSource, type ValuePool } from './schema-source.ts'
import { notingStepsBack } from './steps-back.ts'
import { varied } from './varying.ts'

export interface LanesSetup {
  readonly api: WorldApi
  readonly tenants: readonly GeneratedTenant[]
  readonly random: Random
}

/** How often a document is asked with nearly the same variables. */
const NEARLY = 4
/** Documents under way at once. */
const AT_ONCE = 8

// Small, because what is wanted is many; deep enough for lists in rows in lists.
const SHAPE: Shape = {
  rootFields: 2,
  depth: 5,
  width: 4,
  inputs: 6,
  sparse: true,
  written: 0.4,
  holes: 0.15,
  defaults: 0.15,
}

/** Ask `count` queries. */
export async function askBothLanes(setup: LanesSetup, count: number): Promise<Tally> {
  const pools = await readPools(setup)
  const tally = new Tally()
  let next = 0
  const work = async (): Promise<void> => {
    while (tally.asked < count && !tally.isFull)
      await askDocument(setup, pools, setup.random.fork(String(next++)), tally)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return tally
}

export function readPools({ api, tenants }: Omit<LanesSetup, 'random'>): Promise<ValuePool[]> {
  const pools = tenants.map(({ id, canary }) =>
    readPool(api.schema, canary, async (query) => (await api.run({ id }, query)).data ?? null),
  )
  return Promise.all(pools)
}

async function askDocument(
  { api, tenants }: LanesSetup,
  pools: readonly ValuePool[],
  random: Random,
  tally: Tally,
): Promise<void> {
  const at = random.int(tenants.length)
  const tenant = tenants[at]!
  const source = withoutCursors(pools, at, random)
  const { operation, again } = repeatableOperation(api.schema, 'query', random, source, SHAPE)
  const { query, added } = dress(api.schema, operation.query, random)
  const ask = ({ id }: GeneratedTenant, variables: object) =>
    askOne(api, { seed: random.seed, tenant: id, query, variables }, tally)
  const variables = { ...operation.variables, ...added() }
  const data = await ask(tenant, variables)
  for (const cursors of cursorsFor(query, data, random)) await ask(tenant, { ...variables, ...cursors })
  if (!query.includes('$')) return
  const others = { ...again(), ...added() }
  await ask(random.pick(tenants), others)
  const base = data ? variables : others
  for (let i = 0; i < NEARLY; i++) await ask(tenant, { ...varied(base, random), ...added() })
}

/** Ask one lane and then the other. @returns the data, where there is no error */
async function askOne(api: WorldApi, asked: Asked & { tenant: GeneratedTenant['id'] }, tally: Tally) {
  const { tenant: id, query, variables } = asked
  const { value: compiled, reasons } = await notingStepsBack(() => api.compiled({ id }, query, variables))
  const answer = await resolved(api, id, query, variables)
  tally.note(asked, compiled, answer, reasons)
  if (compiled !== null && answer.text.includes('[{')) tally.filled++
  return answer.data
}

/** The answer of the resolvers, with what they throw as an error. */
export async function resolved(
  api: WorldApi,
  id: GeneratedTenant['id'],
  query: string,
  variables: object,
): Promise<Resolved> {
  try {
    const { data, errors } = await api.run({ id }, query, variables)
    const refusal = errors?.[0]?.message ?? null
    return { data: refusal === null ? data : null, text: JSON.stringify({ data }), refusal }
  } catch (error) {
    return { data: null, text: '', refusal: String(error) }
  }
}

/** As `schemaSource`, mostly with the tenant's own values, and lists are asked without a cursor first. */
function withoutCursors(pools: readonly ValuePool[], own: number, random: Random): ValueSource {
  const foreign = random.chance(0.2) ? pools.toSpliced(own, 1) : []
  const source = schemaSource(pools[own]!, foreign, () => false)
  return (place, stream) => {
    const isCursor = place.input === undefined && /^(after|before)$/.test(place.path.at(-1) ?? '')
    return isCursor ? null : source(place, stream)
  }
}

/** Ask fixed queries of both lanes, each by one tenant. */
export async function askEach(
  { api, tenants }: Omit<LanesSetup, 'random'>,
  queries: Iterable<string>,
): Promise<Tally> {
  const tally = new Tally()
  const left = queries[Symbol.iterator]()
  const [{ id }] = tenants as [GeneratedTenant]
  const work = async (): Promise<void> => {
    for (let next = left.next(); !next.done && !tally.isFull; next = left.next())
      await askOne(api, { seed: '', tenant: id, query: next.value, variables: {} }, tally)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return tally
}
