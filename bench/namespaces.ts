/**
 * What a schema for each tenant costs on one connection, by the way in which statements reach it.
 *
 *     npm run bench:namespaces                        some 5 minutes
 *     SCHEMAS=1,20 ROUNDS=300 npm run bench:namespaces
 *
 * - shared       all tenants in the shared tables: what there is to lose
 * - qualified    the name of the tenant's schema in the text, so a prepared statement for each tenant: what the door does
 * - search_path  one text for all, and the path set with the tenant, so a plan anew for each
 *
 * Each way has a connection of its own, as the gateway has them (500 prepared statements), and asks one tenant after
 * the other: the worst order there is. With one operation the statements of 300 schemas have room, with 20 they do not.
 */

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tenantId } from '../src/base/ids.ts'
import { deadlineIn } from '../src/base/time.ts'
import { install } from '../src/control/install.ts'
import { createTenant } from '../src/control/lifecycle.ts'
import type { Fleet } from '../src/control/reach.ts'
import { withClient } from '../src/db/client.ts'
import { Connection } from '../src/db/connection.ts'
import { startEmbedded } from '../src/db/embedded/start.ts'
import { prepared, type Statement } from '../src/db/sql.ts'
import { tenantSchema } from '../src/directory/namespaces.ts'
import { beginTenant } from '../src/shards/fence.ts'
import { forHomeOf } from '../src/shards/namespaces.ts'
import { migrate } from '../test/kit/migrate.ts'
import { placementOf } from '../test/kit/placements.ts'
import { cpuOf, privateBytes } from './cpu.ts'
import { markdownTable } from './report.ts'
import { machineLines } from './results.ts'

const COUNTS = (process.env.SCHEMAS ?? '1,100,300').split(',').map(Number)
/** Queries that are measured for each cell, after as many as there are statements. */
const ROUNDS = Number(process.env.ROUNDS ?? 3_000)
const OPERATIONS = [1, 20]
const WAYS = ['shared', 'qualified', 'search_path'] as const
type Way = (typeof WAYS)[number]
const SCHEMA = 'helpdesk'
const FOLDER = join(import.meta.dirname, '../examples/helpdesk/migrations')
const PASSWORDS = { owner: 'bench-owner', app: 'bench-app', mover: 'bench-mover' }

/** As the gateway words them; `n` makes other operations of it. */
const SHAPES: Readonly<Record<string, (n: number) => string>> = {
  'one row': (n) => `
    select t."id", t."subject", t."status"::text, t."priority"::text, t."created_at", ${n} from "helpdesk"."tickets" as t
    where t."tenant_id" = $1 and t."id" = 7`,
  'a page': (n) => `
    select t."id", t."subject", a."name", b."name", ${n}, (
      select json_agg(json_build_array(c."id", c."body", w."name")) from (
        select * from "helpdesk"."comments" as c where c."tenant_id" = $1 and c."ticket_id" = t."id"
        order by c."id" limit 5) as c
      join "helpdesk"."users" as w on w."tenant_id" = $1 and w."id" = c."author_id")
    from "helpdesk"."tickets" as t
    join "helpdesk"."users" as a on a."tenant_id" = $1 and a."id" = t."author_id"
    left join "helpdesk"."users" as b on b."tenant_id" = $1 and b."id" = t."assignee_id"
    where t."tenant_id" = $1 order by t."id" desc limit 20`,
}

const ANY_PATH = prepared(`set search_path = "${tenantSchema(tenantId('t0'))}"`)

interface Cell {
  /** Microseconds for one query, of the caller's time and of Postgres's processor. */
  readonly us: number
  readonly cpuUs: number
  /** Bytes that the session has for itself afterwards. */
  readonly bytes: number
}

const ids = Array.from({ length: Math.max(...COUNTS) }, (_, i) => tenantId(`t${i}`))
const forHome = forHomeOf(SCHEMA)
const dir = mkdtempSync(join(tmpdir(), 'shardgate-bench-'))
chmodSync(dir, 0o755)
const servers = await startEmbedded({ dir, names: ['shard'], durable: false })
try {
  const appUrl = await makeTenants(servers.get('shard').superuserUrl())
  console.log(`${machineLines().join('\n')}\n`)
  for (const [shape, textOf] of Object.entries(SHAPES)) {
    console.log(`${shape}\n\n${await tableOf(appUrl, textOf)}\n`)
  }
} finally {
  await servers.stopAll()
  rmSync(dir, { recursive: true, force: true })
}

async function tableOf(appUrl: string, textOf: (n: number) => string): Promise<string> {
  const rows: string[][] = []
  for (const operations of OPERATIONS) {
    const texts = Array.from({ length: operations }, (_, n) => textOf(n))
    for (const count of COUNTS) {
      for (const way of WAYS) {
        const { us, cpuUs, bytes } = await measure(appUrl, way, count, texts)
        const figures = [us.toFixed(0), cpuUs.toFixed(0), (bytes / 2 ** 20).toFixed(1)]
        rows.push([String(operations), String(count), way, ...figures])
      }
    }
  }
  return markdownTable(
    ['operations', 'tenants', 'way', 'µs a query', 'µs of CPU in Postgres', 'MB of the session'],
    rows,
  )
}

async function measure(appUrl: string, way: Way, count: number, texts: readonly string[]): Promise<Cell> {
  const connection = await Connection.open({ url: appUrl, connectMs: 5_000, applicationName: 'bench' })
  try {
    // A batch is parsed before it sets a path: something has to be found then, and is looked up again afterwards.
    if (way === 'search_path') await connection.batch([ANY_PATH], deadlineIn(5_000))
    const [who] = await connection.batch([prepared('select pg_backend_pid()')], deadlineIn(5_000))
    const pid = Number(who?.rows[0]?.[0])
    // Tenants in turn, and for each the next operation whenever it comes up again.
    const ask = (i: number): Promise<unknown> => {
      const text = texts[Math.floor(i / count) % texts.length]!
      return connection.batch(batchOf(way, i % count, text), deadlineIn(30_000))
    }
    for (let i = 0; i < Math.min(count * texts.length, 1_200); i++) await ask(i)
    const [cpu, started] = [cpuOf(pid), performance.now()]
    for (let i = 0; i < ROUNDS; i++) await ask(i)
    const us = ((performance.now() - started) * 1_000) / ROUNDS
    return { us, cpuUs: (cpuOf(pid) - cpu) / ROUNDS, bytes: privateBytes(pid) }
  } finally {
    connection.destroy('measured')
  }
}

function batchOf(way: Way, i: number, text: string): Statement[] {
  const id = ids[i]!
  const [namespace, deadline] = [tenantSchema(id), deadlineIn(30_000)]
  if (way === 'shared') {
    // The fence of the other one has its role.
    const placement = placementOf(`s${i}`)
    return [beginTenant(placement, 'read', deadline), prepared(text, [placement.tenant])]
  }
  const placement = placementOf(id, { isolation: 'schema', namespace })
  const fence = beginTenant(placement, 'read', deadline)
  if (way === 'qualified') return [fence, ...forHome(placement, [prepared(text, [id])])]
  const path = prepared(`select set_config('search_path', $1, true)`, [namespace])
  return [fence, path, prepared(text.replaceAll('"helpdesk".', ''), [id])]
}

/** Tenants `t0`, `t1`, … with a schema each, and as many in shared tables: `s0`, … @returns the app role's URL */
async function makeTenants(superuserUrl: string): Promise<string> {
  const urlOf = (role: keyof typeof PASSWORDS): string =>
    Object.assign(new URL(superuserUrl), { username: `shardgate_${role}`, password: PASSWORDS[role] }).href
  const shard = { key: 'shard-a', weight: 1, url: superuserUrl, passwords: PASSWORDS }
  await install({ directoryUrl: superuserUrl, buckets: 64, schemas: [SCHEMA], shards: [shard] })
  const owned = { key: 'shard-a', weight: 1, url: urlOf('owner') }
  await migrate({ shard: owned, folder: FOLDER, schema: SCHEMA })
  const tenancy = { column: 'tenant_id', schemas: [SCHEMA] }
  const fleet: Fleet = {
    directoryUrl: superuserUrl,
    strategy: 'modulo',
    shards: [owned],
    tenancy,
    migrations: FOLDER,
  }
  const started = performance.now()
  for (const id of ids) await createTenant(fleet, { id, isolation: 'schema' })
  const seconds = (performance.now() - started) / 1_000
  console.error(`${ids.length} schemas made in ${seconds.toFixed(0)} s`)
  await withClient(superuserUrl, async (client) => {
    for (const [i, id] of ids.entries()) {
      await client.query(`insert into shardgate.tenant_fence values ('s${i}', 'active', 1)`)
      await client.query(rowsOf(SCHEMA, `s${i}`))
      await client.query(rowsOf(tenantSchema(id), id))
    }
    await client.query('vacuum analyze')
  })
  return urlOf('app')
}

function rowsOf(schema: string, tenant: string): string {
  const into = (table: string): string => `insert into "${schema}".${table}`
  return `
    ${into('users')} (tenant_id, id, email, name)
    select '${tenant}', n, n || '@example.com', 'user ' || n from generate_series(1, 20) as n;
    ${into('tickets')} (tenant_id, id, subject, author_id, assignee_id)
    select '${tenant}', n, 'ticket ' || n, 1 + n % 20, 1 + n % 7 from generate_series(1, 50) as n;
    ${into('comments')} (tenant_id, ticket_id, author_id, body)
    select '${tenant}', 1 + n % 50, 1 + n % 20, 'comment ' || n from generate_series(1, 150) as n`
}
