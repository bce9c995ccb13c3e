/**
 * Readers and writers of a few rows through gateways with a cache, and a judge who knows what each answer may say.
 *
 * Each row holds whose it is and how often it was written. An answer must be its tenant's; no older than the last
 * write of the row that had ended at the same gateway when it was asked for; and no older than those that had ended at
 * others a time to live before.
 */

import { type CachedGateway, type CachedOptions, openCachedGateway, until } from './cached-gateways.ts'
import type { Random } from './random.ts'
import type { World, WorldTenant } from './shard-fixture.ts'

export const TTL_MS = 250
/** Milliseconds beside it: what Redis says of the time that is left is whole milliseconds. */
const ROUNDING_MS = 5
const ROWS = 4

export interface Tally {
  reads: number
  hits: number
  writes: number
  /** Sentences; must stay empty. */
  readonly wrong: string[]
}

interface Write {
  readonly n: number
  readonly gateway: number
  readonly endedAt: number
}

const idOf = (row: number): string => Buffer.from(JSON.stringify(['Task', String(row)])).toString('base64url')
const ONE = 'query ($id: ID!) { task(id: $id) { rowId title project { name } } }'
const SOME =
  'query ($n: Int!) { tasks(filter: { rowId: { lte: $n } }, orderBy: [{ rowId: ASC }]) { nodes { rowId title } } }'
const SET =
  'mutation ($id: ID!, $title: String!) { updateTask(id: $id, patch: { title: $title }) { ... on Task { title } } }'
const SET_TWICE = `mutation ($id: ID!, $title: String!) { a: updateTask(id: $id, patch: { done: true }) { __typename }
  b: updateTask(id: $id, patch: { title: $title }) { __typename } }`

export class CacheTraffic {
  readonly tally: Tally = { reads: 0, hits: 0, writes: 0, wrong: [] }
  readonly gateways: readonly CachedGateway[]
  readonly #tenants: readonly WorldTenant[]
  readonly #random: Random
  readonly #ended = new Map<string, Write[]>()
  readonly #busy = new Set<string>()
  readonly #begun = new Map<string, number>()

  constructor(gateways: readonly CachedGateway[], tenants: readonly WorldTenant[], random: Random) {
    this.gateways = gateways
    this.#tenants = tenants
    this.#random = random
  }

  /** The first value of every row. */
  async fill(): Promise<void> {
    for (const tenant of this.#tenants) for (let row = 1; row <= ROWS; row++) await this.#write(tenant, row)
  }

  /** Until there have been `reads` of them; one write for 20 reads. */
  async run(reads: number, callers = 8): Promise<void> {
    const end = this.tally.reads + reads
    const call = async (): Promise<void> => {
      while (this.tally.reads < end) await (this.#random.chance(0.05) ? this.#writeOne() : this.#read())
    }
    await Promise.all(Array.from({ length: callers }, call))
  }

  async #writeOne(): Promise<void> {
    const tenant = this.#random.pick(this.#tenants)
    const row = 1 + this.#random.int(ROWS)
    const name = `${tenant.id} ${row}`
    if (this.#busy.has(name)) return this.#read()
    this.#busy.add(name)
    await this.#write(tenant, row).finally(() => this.#busy.delete(name))
  }

  async #write(tenant: WorldTenant, row: number): Promise<void> {
    const name = `${tenant.id} ${row}`
    const gateway = this.#random.int(this.gateways.length)
    const n = (this.#begun.get(name) ?? 0) + 1
    this.#begun.set(name, n)
    const source = this.#random.chance(0.3) ? SET_TWICE : SET
    await this.gateways[gateway]!.write(tenant, source, { id: idOf(row), title: `${tenant.id}#${n}` })
    const ended = this.#ended.get(name) ?? []
    this.#ended.set(name, [...ended.slice(-50), { n, gateway, endedAt: performance.now() }])
    this.tally.writes++
  }

  async #read(): Promise<void> {
    const tenant = this.#random.pick(this.#tenants)
    const gateway = this.#random.int(this.gateways.length)
    const row = 1 + this.#random.int(ROWS)
    const askedAt = performance.now()
    const least = new Map(
      Array.from({ length: ROWS }, (_, i) => [i + 1, this.#least(tenant, i + 1, gateway, askedAt)]),
    )
    const isOne = this.#random.chance(0.6)
    const { text, cache } = isOne
      ? await this.gateways[gateway]!.ask(tenant, ONE, { id: idOf(row) })
      : await this.gateways[gateway]!.ask(tenant, SOME, { n: ROWS })
    this.tally.reads++
    if (cache === 'hit') this.tally.hits++
    if (text === null) return void this.tally.wrong.push('no answer')
    const { data } = JSON.parse(text)
    const found: { rowId: number; title: string }[] = isOne ? [data.task] : data.tasks.nodes
    if (found.length !== (isOne ? 1 : ROWS)) this.tally.wrong.push(`${found.length} rows`)
    for (const { rowId, title } of found) this.#judge(tenant, rowId, title, least.get(rowId) ?? 0, cache)
  }

  #judge(tenant: WorldTenant, row: number, title: string, least: number, cache: string | undefined): void {
    const [owner, n] = title.split('#')
    const most = this.#begun.get(`${tenant.id} ${row}`) ?? 0
    if (owner === tenant.id && Number(n) >= least && Number(n) <= most) return
    this.tally.wrong.push(`${tenant.id} row ${row}: ${title}, wanted ${least} to ${most} (${cache})`)
  }

  #least(tenant: WorldTenant, row: number, gateway: number, askedAt: number): number {
    const ended = this.#ended.get(`${tenant.id} ${row}`) ?? []
    const late = askedAt - TTL_MS - ROUNDING_MS
    return Math.max(
      0,
      ...ended.filter((write) => write.gateway === gateway || write.endedAt < late).map(({ n }) => n),
    )
  }

  end(): void {
    for (const gateway of this.gateways) gateway.end()
  }
}

const TABLES = { 'app.tasks': { ttlMs: TTL_MS }, 'app.projects': { ttlMs: TTL_MS } }

/** Two gateways on all tenants of a world. @param options  redisUrl, left out where there is none */
export async function openCacheTraffic(
  world: World,
  random: Random,
  options: Pick<CachedOptions, 'redisUrl'> = {},
): Promise<CacheTraffic> {
  const gateways = await Promise.all(
    [1, 2].map(() => openCachedGateway(world, { tables: TABLES, ...options })),
  )
  await until(() => gateways.every(({ redis }) => redis?.isUp !== false))
  const traffic = new CacheTraffic(gateways, world.tenants, random)
  await traffic.fill()
  return traffic
}
