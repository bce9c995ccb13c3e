/**
 * `shardgate start` as a black box: one command from nothing to three shards, the lines that it prints,
 * the second start, and the end. Which home of a tenant answered is told by the shards' own logs.
 */

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endCommands, processesOn, type RunningCommand, shardgate } from '../kit/command.ts'
import { homeOf, inHome, onEmbedded, type RowsOfTenant, rowsOn } from '../kit/embedded.ts'
import { removeEmbedded, serverFolder } from '../kit/folders.ts'

const SHARDS = ['shard-a', 'shard-b', 'shard-c']
/** Of the example's 64,000 rows; the shape of the data is the same. */
const SCALE = '0.05'
// What was ended just now may still be listed for a moment.
const POLL = { timeout: 10_000, interval: 20 }

interface Line {
  readonly tenant: string
  readonly shard: string
  /** Where its rows are, in the words that are printed. */
  readonly kept: string
  readonly curl: string
}

let folder: string
let first: RunningCommand
let lines: Line[]

beforeAll(async () => {
  folder = serverFolder()
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
  [...output.matchAll(/# (\S+), in (.+) on (\S+)\n\s+(curl .*)\n/g)].map(([, tenant, kept, shard, curl]) => ({
    tenant: tenant!,
    shard: shard!,
    kept: kept!,
    curl: curl!,
  }))

/** What the printed words mean. */
function homeIn({ tenant, shard, kept }: Line): string {
  if (kept === 'its own schema') return homeOf(shard, 'shardgate', `tenant_${tenant}`)
  return homeOf(shard, kept === 'its own database' ? `shardgate_*_${tenant}` : 'shardgate', 'helpdesk')
}

/** From now on the shard writes each statement of the gateway into its log, with its values. */
const logStatements = (shard: string): Promise<void> =>
  onEmbedded(folder, shard, async (client) => {
    await client.query(`alter role shardgate_app set log_statement = 'all'`)
    // The setting holds for new sessions, so those that are there have to go.
    await client.query(
      `select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = 'shardgate_app'`,
    )
  })

const logOf = (shard: string): string => readFileSync(join(folder, 'log', `${shard}.log`), 'utf8')

/** Run a line; all homes whose tickets the gateway has asked for meanwhile, and for which tenants. */
async function asked<T>(work: () => Promise<T>): Promise<{ answer: T; homes: string[]; tenants: string[] }> {
  const before = new Map(SHARDS.map((shard) => [shard, logOf(shard).length]))
  const answer = await work()
  const found = SHARDS.map((shard) => {
    const entries = logOf(shard)
      .slice(before.get(shard))
      .split(/\n(?=\d{4}-\d\d-\d\d )/)
    const homes = entries.flatMap((entry) => {
      const database = / shardgate_app@(\S+) LOG: /.exec(entry)?.[1]
      const schemas = [...entry.matchAll(/"?(\w+)"?\."?tickets\b/g)].map(([, schema]) => schema!)
      return database ? schemas.map((schema) => homeOf(shard, database, schema)) : []
    })
    const begun = entries.filter((_, at) => entries[at - 1]?.includes('shardgate.begin_tenant('))
    return { homes, tenants: begun.map((entry) => /\$1 = '(.*?)'/.exec(entry)?.[1] ?? entry) }
  })
  const all = (key: 'homes' | 'tenants') => [...new Set(found.flatMap((part) => part[key]))]
  return { answer, homes: all('homes'), tenants: all('tenants') }
}

async function runLine({ curl }: Line): Promise<{ subjects: string[]; total: number; raw: string }> {
  const { stdout } = await promisify(execFile)('sh', ['-c', curl])
  const { tickets } = JSON.parse(stdout).data
  const subjects = tickets.nodes.map((node: { subject: string }) => node.subject)
  return { subjects, total: tickets.totalCount, raw: stdout }
}

/** What its home holds for a line, read without the gateway. */
const ticketsIn = (line: Line): Promise<{ subjects: string[]; total: number }> =>
  inHome(folder, homeIn(line), async (client, schema) => {
    const { rows } = await client.query(
      `select subject from "${schema}".tickets where tenant_id = $1 order by id`,
      [line.tenant],
    )
    expect(rows.length).toBeGreaterThan(0)
    return { subjects: rows.slice(0, 3).map(({ subject }) => subject), total: rows.length }
  })

/** A line brings what its home holds, and the gateway asks for tickets of that tenant there and nowhere else. */
async function answersFromHome(line: Line): Promise<void> {
  const { answer, homes, tenants } = await asked(() => runLine(line))
  expect([homes, tenants]).toEqual([[homeIn(line)], [line.tenant]])
  expect(answer).toMatchObject(await ticketsIn(line))
}

describe('the first start', () => {
  it('prints where everything is, and a line for a tenant of each isolation, on several shards', () => {
    const output = first.output()
    for (const label of ['GraphQL', 'GraphiQL', 'Admin', 'Data']) expect(output).toMatch(`\n  ${label} `)
    expect(output).toContain(folder)
    expect(lines.map(({ kept }) => kept)).toEqual(['the shared tables', 'its own schema', 'its own database'])
    expect(new Set(lines.map(({ tenant }) => tenant)).size).toBe(3)
    expect(new Set(lines.map(({ shard }) => shard)).size).toBeGreaterThan(1)
    expect(output).not.toMatch(/^\s+at /m)
  })

  it.each([0, 1, 2])('answers line %i with rows of its tenant, out of its home alone', (i) =>
    answersFromHome(lines[i]!),
  )

  it('keeps no row of those tenants anywhere else, and none of others in their own homes', async () => {
    const rows = await rowsOn(folder)
    const places = (of: (row: RowsOfTenant) => boolean) => [
      ...new Set(rows.filter(of).map(({ tenant, home }) => `${tenant}: ${home}`)),
    ]
    for (const line of lines) {
      const own = [`${line.tenant}: ${homeIn(line)}`]
      expect(places(({ tenant }) => tenant === line.tenant)).toEqual(own)
      if (line.kept !== 'the shared tables') expect(places(({ home }) => home === homeIn(line))).toEqual(own)
    }
    expect(lines.length).toBe(3)
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

  it('the other commands find the embedded servers; a token is good for a tenant of the third shard', async () => {
    const shard = SHARDS.find((key) => lines.every((line) => line.shard !== key))!
    const home = homeOf(shard, 'shardgate', 'helpdesk')
    const { tenant } = (await rowsOn(folder)).find((row) => row.home === home)!
    const token = await shardgate(['token', tenant], { SHARDGATE_DATA: folder }).ended
    expect([token.status, token.err]).toEqual([0, ''])
    const curl = lines[0]!.curl.replace(/(?<=Bearer )[^']+/, token.out.trim())
    await answersFromHome({ tenant, shard, kept: 'the shared tables', curl })
    const doctor = await shardgate(['doctor'], { SHARDGATE_DATA: folder }).ended
    expect([doctor.status, doctor.err]).toEqual([0, ''])
  })
})

describe('Ctrl-C and the next start', () => {
  it('ends the gateway and all Postgres processes with status 0, and the next start finds all as it was', async () => {
    const before = await rowsOn(folder)
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
    expect(await rowsOn(folder)).toEqual(before)
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
