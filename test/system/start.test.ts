/**
 * `shardgate start` as a black box: one command from nothing to three shards, the lines that it prints,
 * the second start, and the end. Which shard answered is told by the shards' own logs.
 */

import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endCommands, processesOn, type RunningCommand, shardgate } from '../kit/command.ts'
import { removeEmbedded } from '../kit/folders.ts'

const SHARDS = ['shard-a', 'shard-b', 'shard-c']
/** Of the example's 64,000 rows; the shape of the data is the same. */
const SCALE = '0.05'
// What was ended just now may still be listed for a moment.
const POLL = { timeout: 10_000, interval: 20 }

interface Line {
  readonly tenant: string
  readonly shard: string
  readonly curl: string
}

let folder: string
let first: RunningCommand
let lines: Line[]

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shardgate-start-'))
  chmodSync(folder, 0o755) // Postgres may run as another account than ours.
  first = start()
  await first.prints(/Ctrl-C stops everything/)
  lines = linesOf(first.output())
  for (const shard of SHARDS) await logStatements(shard)
})
afterAll(async () => {
  await endCommands()
  removeEmbedded(folder)
})

const start = (env: Record<string, string> = {}): RunningCommand =>
  shardgate(['start', '--scale', SCALE], { SHARDGATE_DATA: folder, PORT: '0', ADMIN_PORT: '0', ...env })

const linesOf = (output: string): Line[] =>
  [...output.matchAll(/# (\S+), on (\S+)\n\s+(curl .*)\n/g)].map(([, tenant, shard, curl]) => ({
    tenant: tenant!,
    shard: shard!,
    curl: curl!,
  }))

async function onServer<T>(shard: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const { shards } = JSON.parse(readFileSync(join(folder, 'embedded.json'), 'utf8'))
  const url = new URL(shards[shard].ownerUrl)
  url.username = 'postgres'
  url.password = readFileSync(join(folder, 'superuser-password'), 'utf8').trim()
  const client = new pg.Client(url.href)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** From now on the shard writes each statement of the gateway into its log, with its values. */
const logStatements = (shard: string): Promise<void> =>
  onServer(shard, async (client) => {
    await client.query(`alter role shardgate_app set log_statement = 'all'`)
    // The setting holds for new sessions, so those that are there have to go.
    await client.query(
      `select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = 'shardgate_app'`,
    )
  })

const logOf = (shard: string): string => readFileSync(join(folder, 'log', `${shard}.log`), 'utf8')

async function runLine({ curl }: Line): Promise<{ subjects: string[]; total: number; raw: string }> {
  const { stdout } = await promisify(execFile)('sh', ['-c', curl])
  const { tickets } = JSON.parse(stdout).data
  const subjects = tickets.nodes.map((node: { subject: string }) => node.subject)
  return { subjects, total: tickets.totalCount, raw: stdout }
}

/** Every row of the example, as one checksum for each table, tenant and shard. */
const contents = (): Promise<string[]> =>
  Promise.all(
    SHARDS.map((shard) =>
      onServer(shard, async (client) => {
        const { rows: tables } = await client.query<{ name: string }>(
          `select tablename as name from pg_tables where schemaname = 'helpdesk' order by 1`,
        )
        const sums = tables.map(
          ({ name }) =>
            `select '${name}' as t, tenant_id, count(*)::text, md5(string_agg(t::text, ',' order by t::text))
             from helpdesk.${name} t group by 2`,
        )
        return JSON.stringify((await client.query(`${sums.join(' union all ')} order by 1, 2`)).rows)
      }),
    ),
  )

describe('the first start', () => {
  it('prints where everything is, and a line for each of three tenants on three shards', () => {
    const output = first.output()
    for (const label of ['GraphQL', 'GraphiQL', 'Admin', 'Data']) expect(output).toMatch(`\n  ${label} `)
    expect(output).toContain(folder)
    expect(lines.map(({ shard }) => shard).sort()).toEqual(SHARDS)
    expect(new Set(lines.map(({ tenant }) => tenant)).size).toBe(3)
    expect(output).not.toMatch(/^\s+at /m)
  })

  it.each([0, 1, 2])('answers line %i with rows of its tenant, out of its shard alone', async (i) => {
    const line = lines[i]!
    const before = new Map(SHARDS.map((shard) => [shard, logOf(shard).length]))
    const { subjects, total } = await runLine(line)
    const news = new Map(SHARDS.map((shard) => [shard, logOf(shard).slice(before.get(shard))]))
    const { rows } = await onServer(line.shard, (client) =>
      client.query('select subject from helpdesk.tickets where tenant_id = $1 order by id', [line.tenant]),
    )

    expect(subjects).toEqual(rows.slice(0, 3).map(({ subject }) => subject))
    expect([total, total > 0]).toEqual([rows.length, true])
    for (const shard of SHARDS) {
      const asked = news.get(shard)!.match(/ shardgate_app@shardgate LOG:.*helpdesk.*tickets/)
      expect([shard, asked !== null]).toEqual([shard, shard === line.shard])
    }
    expect(news.get(line.shard)).toMatch(
      new RegExp(`shardgate\\.begin_tenant\\(.*\\n.*\\$1 = '${line.tenant}'`),
    )
  })

  it('keeps no row of those tenants on another shard', async () => {
    for (const { tenant, shard } of lines) {
      for (const other of SHARDS.filter((key) => key !== shard)) {
        const { rows } = await onServer(other, (client) =>
          client.query('select count(*) from helpdesk.tickets where tenant_id = $1', [tenant]),
        )
        expect([tenant, other, rows]).toEqual([tenant, other, [{ count: '0' }]])
      }
    }
  })

  it('shows the table as JSON too', async () => {
    const { status, err } = await shardgate(['start', '-o', 'json'], { SHARDGATE_DATA: folder }).ended
    expect(status).toBe(1)
    expect(JSON.parse(err.slice(err.indexOf('{')))).toMatchObject({ error: { code: 'SETUP_FAILED' } })
  })
})

describe('beside a start that runs', () => {
  it('serve in another shell, on other ports, answers with the same rows and ends alone', async () => {
    const env = { SHARDGATE_DATA: folder, PORT: '0', ADMIN_PORT: '0', LOG_LEVEL: 'info' }
    const serve = shardgate(['serve'], env)
    const [, port] = await serve.prints(/"port":(\d+)/)
    const line = lines[1]!
    const elsewhere = { ...line, curl: line.curl.replace(/localhost:\d+/, `localhost:${port}`) }
    expect(elsewhere.curl).not.toBe(line.curl)
    expect((await runLine(elsewhere)).subjects).toEqual((await runLine(line)).subjects)
    serve.signal('SIGTERM')
    const err = expect.stringContaining(`Serving http://localhost:${port}/graphql`)
    expect(await serve.ended).toMatchObject({ status: 0, signal: null, err })
    await runLine(line)
  })

  it('the other commands find the embedded servers', async () => {
    const token = await shardgate(['token', lines[0]!.tenant], { SHARDGATE_DATA: folder }).ended
    expect([token.status, token.err]).toEqual([0, ''])
    const doctor = await shardgate(['doctor'], { SHARDGATE_DATA: folder }).ended
    expect([doctor.status, doctor.err]).toEqual([0, ''])
  })
})

describe('Ctrl-C and the next start', () => {
  it('ends the gateway and all Postgres processes with status 0, and the next start finds all as it was', async () => {
    const before = await contents()
    const answers = await Promise.all(lines.map(runLine))
    expect(processesOn(folder).length).toBeGreaterThanOrEqual(process.platform === 'linux' ? 3 : 0)
    first.signal('SIGINT')
    const ending = await first.ended
    expect([ending.status, ending.signal]).toEqual([0, null])
    await expect.poll(() => processesOn(folder), POLL).toEqual([])
    expect(ending.err).not.toMatch(/^\s+at |rror/m)

    const second = start()
    await second.prints(/Ctrl-C stops everything/)
    expect(second.output()).toMatch(/Rows of the example: nothing new/)
    expect(await contents()).toEqual(before)
    const again = linesOf(second.output())
    expect(again.map(({ tenant, shard }) => [tenant, shard])).toEqual(
      lines.map(({ tenant, shard }) => [tenant, shard]),
    )
    expect((await Promise.all(again.map(runLine))).map(({ raw }) => raw)).toEqual(
      answers.map(({ raw }) => raw),
    )
    second.signal('SIGTERM')
    expect(await second.ended).toMatchObject({ status: 0, signal: null })
    await expect.poll(() => processesOn(folder), POLL).toEqual([])
  })
})
