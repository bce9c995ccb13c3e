/**
 * Generated mutations in both lanes: the compiled lane runs one, its effect is read and undone, the resolvers run it
 * on the same rows, and answers and rows are held against each other. What the compiled lane leaves to the
 * resolvers has changed nothing.
 */

import { withClient } from '../../src/db/client.ts'
import type { WorldApi } from './api.ts'
import { readPools, resolved } from './both-lanes.ts'
import { dress } from './dressing.ts'
import type { GeneratedTenant } from './generated-operations.ts'
import { type Asked, Tally } from './lanes-tally.ts'
import { type Place, repeatableOperation, type Shape, type ValueSource } from './operations.ts'
import type { Random } from './random.ts'
import { schemaSource, type ValuePool } from './schema-source.ts'
import type { World, WorldTenant } from './shard-fixture.ts'
import { notingStepsBack } from './steps-back.ts'
import { type Contents, countDefaults, type TenantRows, watchRows } from './tenant-rows.ts'
import { varied } from './varying.ts'

export interface EffectsSetup {
  readonly api: WorldApi
  readonly tenants: readonly (GeneratedTenant & Pick<WorldTenant, 'shard'>)[]
  readonly shards: readonly { readonly key: string; readonly superuserUrl: string }[]
  /** Where a tenant's tables are, if they may be its own, in the place of those of `schema`. */
  readonly homeOf?: World['homeOf']
  readonly schema?: string
  readonly random: Random
}

const SHAPE: Shape = {
  rootFields: 1,
  depth: 5,
  width: 4,
  inputs: 4,
  written: 0.3,
  holes: 0.1,
  defaults: 0.1,
}

/** Run `count` mutations, with one tenant of each shard: sequences are what all tenants of a shard share. */
export async function changeInBothLanes(setup: EffectsSetup, count: number): Promise<EffectsTally> {
  const pools = await readPools(setup)
  const tally = new EffectsTally()
  const works = setup.shards.map(async ({ key, superuserUrl }) => {
    const at = setup.tenants.findIndex(({ shard }) => shard === key)
    const tenant = setup.tenants[at]
    if (!tenant) return
    const home = setup.homeOf?.(tenant) ?? { superuserUrl, schema: setup.schema }
    await withClient(home.superuserUrl, countDefaults)
    const own = (schema: string): string => (schema === setup.schema ? (home.schema ?? schema) : schema)
    const rows = await watchRows(home.superuserUrl, setup.api.model.tables, tenant.id, own)
    let next = 0
    try {
      while (tally.asked < count && !tally.isFull)
        await changeBy(
          setup,
          { tenant, pool: pools[at]!, rows },
          setup.random.fork(`${key} ${next++}`),
          tally,
        )
    } finally {
      await rows.end()
    }
  })
  await Promise.all(works)
  return tally
}

export class EffectsTally extends Tally {
  /** Mutations that changed rows, of those that the compiled lane took. */
  effective = 0
}

interface Changed {
  readonly tenant: GeneratedTenant
  readonly pool: ValuePool
  readonly rows: TenantRows
}

/** One document, with several sets of variables. */
async function changeBy(
  { api }: EffectsSetup,
  changed: Changed,
  random: Random,
  tally: EffectsTally,
): Promise<void> {
  const source = changeSource(changed.pool)
  const { operation, again } = repeatableOperation(api.schema, 'mutation', random, source, SHAPE)
  const { query, added } = dress(api.schema, operation.query, random)
  const asked = { seed: random.seed, tenant: changed.tenant.id, query }
  const variables = { ...operation.variables, ...added() }
  for (const given of [variables, varied(variables, random), { ...again(), ...added() }])
    await changeOne(api, changed.rows, { ...asked, variables: given }, tally)
}

async function changeOne(
  api: WorldApi,
  rows: TenantRows,
  asked: Asked & { tenant: GeneratedTenant['id'] },
  tally: EffectsTally,
): Promise<void> {
  const { tenant: id, query, variables } = asked
  const { value, reasons } = await notingStepsBack(() => api.compiled({ id }, query, variables))
  const compiled = await effect(rows)
  const answer = await resolved(api, id, query, variables)
  const other = await effect(rows)
  const timeless = typeof value === 'string' ? withoutNow(value) : value
  tally.note(asked, timeless, { ...answer, text: withoutNow(answer.text) }, reasons)
  tally.compare(asked, compiled, value === null ? '' : other)
  if (value !== null && compiled !== '') tally.effective++
}

/** What is not as it was at the start, as text; and back to that. */
async function effect(rows: TenantRows): Promise<string> {
  const now = await rows.read()
  await rows.restore(now)
  return withoutNow(described(rows.start, now))
}

function described(start: Contents, now: Contents): string {
  const lines = [...now].flatMap(([table, rows]) => {
    const before = start.get(table) ?? []
    const [old, fresh] = [new Set(before), new Set(rows)]
    return [
      // Rows may be equal where there is no key.
      ...(rows.length === before.length ? [] : [`${table}: ${rows.length} rows`]),
      ...before.filter((row) => !fresh.has(row)).map((row) => `${table} - ${row}`),
      ...rows.filter((row) => !old.has(row)).map((row) => `${table} + ${row}`),
    ]
  })
  return lines.join('\n')
}

const DAY_MS = 86_400_000
const NOW = /(\d{4}-\d\d-\d\d)[ T]\d\d:\d\d:\d\d(\.\d+)?(\+00(:00)?|Z)?/g

// The time of a statement is the one thing that no two have in common. Ids may hold it too.
function withoutNow(text: string): string {
  const plain = text.replace(/[A-Za-z0-9_-]{20,}/g, (run) => {
    const decoded = Buffer.from(run, 'base64url').toString()
    return decoded.startsWith('["') ? decoded : run
  })
  return plain.replace(NOW, (moment, day: string) =>
    Math.abs(Date.parse(day) - Date.now()) < 2 * DAY_MS ? 'now' : moment,
  )
}

/** Mostly what can be stored: values of the tenant's own where a column refers to a row, and new ones for keys. */
function changeSource(pool: ValuePool): ValueSource {
  const source = schemaSource(pool, [], () => false)
  return (place, random) => {
    const name = place.path.at(-1) ?? ''
    const isStored = place.input !== undefined && !['id', 'ids', 'filter', 'by'].includes(place.path[1] ?? '')
    if (isStored && !/Id$/.test(name) && random.chance(0.6))
      return fresh(place, random) ?? source(place, random)
    return source(place, random)
  }
}

function fresh({ type }: Place, random: Random): unknown {
  const number = 1_000 + random.int(20_000)
  switch (type) {
    case 'String':
      return random.text(1 + random.int(12))
    case 'Int':
      return number
    case 'BigInt':
      return String(number)
    case 'Decimal':
      return `${number}.50`
    case 'UUID':
      return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
    case 'JSON':
      return { text: random.text(4), list: [number, null, { '': true }] }
    default:
      return undefined
  }
}
