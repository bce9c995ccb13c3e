/**
 * How long a gateway takes from the catalogs of a database to the GraphQL schema of its tables.
 *
 *     npm run bench:schema
 *
 * Makes the tables of the nasty fixture on a server of its own and reads them again and again, each time
 * over a new connection, as a start does. Goal: 150 tables in 2 seconds.
 */

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { printSchema } from 'graphql'
import { type Client, withClient } from '../src/db/client.ts'
import { startEmbedded } from '../src/db/embedded/start.ts'
import { buildSchema } from '../src/graphql/schema.ts'
import { introspect } from '../src/model/introspect.ts'
import { seededRandom } from '../test/kit/random.ts'
import { makeNasty, NASTY_SCHEMAS } from '../test/kit/worlds/nasty.ts'
import { STYLES } from '../test/kit/worlds/style.ts'

const ROUNDS = 9
const GOAL_MS = 2_000
const GOAL_TABLES = 150
const STYLE = STYLES.uuid
const SCHEMAS = NASTY_SCHEMAS.filter((name) => name !== 'clashes')

const dir = mkdtempSync(join(tmpdir(), 'shardgate-bench-'))
chmodSync(dir, 0o755)
const embedded = await startEmbedded({ dir, names: ['bench'], durable: false })
try {
  const url = embedded.get('bench').superuserUrl()
  await withClient(url, make)
  const rounds = []
  for (let i = 0; i < ROUNDS; i++) rounds.push(await measure(url))
  report(rounds)
} finally {
  await embedded.stopAll()
  rmSync(dir, { recursive: true, force: true })
}

async function make(client: Client): Promise<void> {
  await client.query('create role bench_owner; grant create on database postgres to bench_owner')
  await makeNasty(client, STYLE, 'bench_owner', seededRandom(1))
}

/** Milliseconds on the clock, and of this process's own computing: the second says what a busy machine hides. */
interface Span {
  readonly wall: number
  readonly cpu: number
}

interface Round {
  readonly tables: number
  readonly types: number
  readonly characters: number
  readonly model: Span
  readonly schema: Span
}

async function measure(url: string): Promise<Round> {
  const [model, modelSpan] = await timed(() =>
    withClient(url, (client) => introspect(client, { column: STYLE.tenantColumn, schemas: SCHEMAS })),
  )
  const sizes = { pageSize: 100, pageSizeDefault: 20, rows: 10_000 }
  const [schema, schemaSpan] = await timed(() => buildSchema(model, () => sizes, []))
  return {
    tables: model.tables.length,
    types: Object.keys(schema.getTypeMap()).length,
    characters: printSchema(schema).length,
    model: modelSpan,
    schema: schemaSpan,
  }
}

async function timed<T>(work: () => T | Promise<T>): Promise<[T, Span]> {
  const [start, used] = [performance.now(), process.cpuUsage()]
  const result = await work()
  const { user, system } = process.cpuUsage(used)
  return [result, { wall: performance.now() - start, cpu: (user + system) / 1_000 }]
}

function report(rounds: readonly Round[]): void {
  const [first] = rounds
  if (!first) return
  const { tables, types, characters } = first
  console.log(`${tables} tables, ${types} types, ${characters} characters of SDL`)
  line('first', first.model, first.schema)
  line(
    `median of ${rounds.length}`,
    medianSpan(rounds.map((r) => r.model)),
    medianSpan(rounds.map((r) => r.schema)),
  )
  const scaled = ((first.model.wall + first.schema.wall) * GOAL_TABLES) / tables
  const verdict = scaled <= GOAL_MS ? 'met' : 'missed'
  console.log(`${GOAL_TABLES} tables, first: about ${ms(scaled)}; goal ${ms(GOAL_MS)}: ${verdict}`)
}

function line(title: string, model: Span, schema: Span): void {
  const sum = { wall: model.wall + schema.wall, cpu: model.cpu + schema.cpu }
  const parts = [model, schema, sum].map(({ wall, cpu }) => `${ms(wall)} (${ms(cpu)} of CPU)`)
  console.log(`${title.padEnd(12)} model ${parts[0]} + schema ${parts[1]} = ${parts[2]}`)
}

function medianSpan(spans: readonly Span[]): Span {
  return { wall: median(spans.map(({ wall }) => wall)), cpu: median(spans.map(({ cpu }) => cpu)) }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

function ms(value: number): string {
  return `${Math.round(value)} ms`
}
