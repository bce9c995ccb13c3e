/**
 * Whether time tells what the bytes do not: does the gateway take longer for another tenant's values than for
 * values of nobody?
 *
 *     npm run bench:isolation                 2,000 rounds
 *     ROUNDS=20000 npm run bench:isolation
 *
 * Takes one question of each kind about the help desk, asks it both ways in random order, and compares the two
 * samples by Welch's t-test. |t| below 4.5 is what timing tests of cryptography go by: at such a t two equal
 * samples differ by chance once in 100,000 tests. The slowest hundredth of each sample is left out: it says what
 * else the machine was doing.
 */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tenantId } from '../src/base/ids.ts'
import { install } from '../src/control/install.ts'
import { createTenant } from '../src/control/lifecycle.ts'
import { withClient } from '../src/db/client.ts'
import { type EmbeddedServers, startEmbedded } from '../src/db/embedded/start.ts'
import { openConfiguredApi, type WorldApi } from '../test/kit/api.ts'
import { canary } from '../test/kit/canary.ts'
import { type IsolationSetup, type Pair, pairsAbout } from '../test/kit/isolation-check.ts'
import { migrate } from '../test/kit/migrate.ts'
import { type Random, runRandom } from '../test/kit/random.ts'
import { fillHelpdesk } from '../test/kit/worlds/helpdesk-rows.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 2_000)
/** Rows of each tenant in each table. */
const ROWS = 90
const T_MAX = 4.5
const SCHEMA = 'helpdesk'
const PASSWORDS = { owner: 'bench-owner', app: 'bench-app', mover: 'bench-mover' }
const TENANTS = ['acme', 'globex'].map((id) => ({ id: tenantId(id), canary: canary(id) }))

/** One question of each kind; the name of each begins so. */
const KINDS = [
  'Ticket one',
  'Ticket nodes',
  'User by email',
  'Ticket filter subject eq',
  'Ticket filter subject contains',
  'Ticket filter through author',
  'Ticket groups subject',
  'Ticket after',
  'Ticket update',
  'Ticket delete',
  'Ticket delete several by subject eq',
  "User create the other's email",
  "Ticket create the other's author",
  "User upsert the other's email on EMAIL",
]

const dir = mkdtempSync(join(tmpdir(), 'shardgate-bench-'))
chmodSync(dir, 0o755)
const embedded = await startEmbedded({ dir, names: ['directory', 'shard'], durable: false })
let api: WorldApi | undefined
try {
  api = await openConfiguredApi(await makeWorld(embedded))
  const [asker, owner] = TENANTS as [(typeof TENANTS)[number], (typeof TENANTS)[number]]
  await compareAll({ api, asker, owner }, runRandom())
} finally {
  api?.end()
  await embedded.stopAll()
  rmSync(dir, { recursive: true, force: true })
}

async function makeWorld(servers: EmbeddedServers): Promise<{ configFile: string; directoryUrl: string }> {
  const directoryUrl = servers.get('directory').superuserUrl()
  const superuserUrl = servers.get('shard').superuserUrl()
  const roleUrl = (role: keyof typeof PASSWORDS): string =>
    Object.assign(new URL(superuserUrl), { username: `shardgate_${role}`, password: PASSWORDS[role] }).href
  const shard = { key: 'shard-a', weight: 1, url: superuserUrl, passwords: PASSWORDS }
  await install({ directoryUrl, buckets: 64, schemas: [SCHEMA], shards: [shard] })
  const owned = { key: 'shard-a', weight: 1, url: roleUrl('owner') }
  await migrate({ shard: owned, folder: 'examples/helpdesk/migrations', schema: SCHEMA })
  for (const { id } of TENANTS)
    await createTenant({ directoryUrl, strategy: 'modulo', shards: [owned] }, { id })
  const tags = TENANTS.map((tenant) => tenant.canary)
  await withClient(superuserUrl, (client) => fillHelpdesk(client, tags, ROWS))
  const configFile = join(dir, 'shards.config.json')
  writeFileSync(
    configFile,
    JSON.stringify({
      tenancy: { schemas: [SCHEMA] },
      directory: { url: directoryUrl },
      router: { buckets: 64 },
      shards: { 'shard-a': { url: roleUrl('app'), ownerUrl: roleUrl('owner') } },
      tokens: [
        {
          issuer: 'bench',
          audience: 'bench',
          algorithms: ['HS256'],
          secrets: ['a secret of thirty-two bytes or more'],
        },
      ],
    }),
  )
  return { configFile, directoryUrl }
}

async function compareAll(setup: IsolationSetup, random: Random): Promise<void> {
  const { pairs } = await pairsAbout(setup, setup.api.model.tables)
  const chosen = KINDS.map((kind) => pairs.find(({ name }) => name.startsWith(kind)) ?? missing(kind))
  console.log(
    `${ROUNDS} rounds each; means in microseconds\n${row('question', 'foreign', 'nobody', 'difference', 't')}`,
  )
  let worst = 0
  for (const pair of chosen) worst = Math.max(worst, Math.abs(await compare(setup, pair, random)))
  console.log(`\nlargest |t| ${worst.toFixed(2)}; below ${T_MAX} wanted: ${worst < T_MAX ? 'met' : 'missed'}`)
}

function missing(kind: string): never {
  throw new Error(`There is no question "${kind} …" about the help desk any more.`)
}

async function compare(setup: IsolationSetup, pair: Pair, random: Random): Promise<number> {
  const [foreign, nobody]: [number[], number[]] = [[], []]
  for (let round = -50; round < ROUNDS; round++) {
    const foreignFirst = random.chance(0.5)
    for (const isForeign of [foreignFirst, !foreignFirst]) {
      const time = await timed(setup, pair, isForeign)
      if (round >= 0) (isForeign ? foreign : nobody).push(time)
    }
  }
  const [one, two] = [summary(foreign), summary(nobody)]
  const t = (one.mean - two.mean) / Math.sqrt(one.error ** 2 + two.error ** 2)
  const difference = `${(one.mean - two.mean).toFixed(1)} ± ${(1.96 * Math.hypot(one.error, two.error)).toFixed(1)}`
  console.log(row(pair.name, one.mean.toFixed(1), two.mean.toFixed(1), difference, t.toFixed(2)))
  return t
}

async function timed({ api, asker }: IsolationSetup, pair: Pair, isForeign: boolean): Promise<number> {
  const start = performance.now()
  const variables = isForeign ? pair.theirs : pair.nobodys
  // As the gateway does: what the compiled lane leaves, the resolvers answer.
  if ((await api.compiled(asker, pair.query, variables)) === null) await api.run(asker, pair.query, variables)
  return (performance.now() - start) * 1_000
}

/** Mean, and the standard error of the mean, without the slowest hundredth. */
function summary(times: readonly number[]): { mean: number; error: number } {
  const kept = times.toSorted((a, b) => a - b).slice(0, Math.ceil(times.length * 0.99))
  const mean = kept.reduce((sum, time) => sum + time, 0) / kept.length
  const variance = kept.reduce((sum, time) => sum + (time - mean) ** 2, 0) / (kept.length - 1)
  return { mean, error: Math.sqrt(variance / kept.length) }
}

function row(name: string, ...cells: string[]): string {
  return name.padEnd(44) + cells.map((cell) => cell.padStart(16)).join('')
}
