/**
 * What can be in the way of `shardgate start`: each is one sentence and the way out, exit status 1, no
 * stack trace and no process left behind. A start that was cut short is finished by the next one.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Ending, endCommands, processesOn, type RunningCommand, shardgate } from '../kit/command.ts'
import { countOf, onEmbedded, type RowsOfTenant, rowsOn } from '../kit/embedded.ts'
import { removeEmbedded, serverFolder } from '../kit/folders.ts'
import { some } from '../kit/some.ts'

const POLL = { timeout: 60_000, interval: 100 }
const READY = /Ctrl-C stops everything/

const folders: string[] = []
let folder: string
/** All rows that a whole start makes, in their homes. */
let rows: RowsOfTenant[]

beforeAll(async () => {
  folder = newFolder()
  const first = await ready(folder)
  rows = await rowsOn(folder)
  expect(first.output()).toMatch(`Rows of the example: ${countOf(rows)} new`)
  await stopped(first)
})
// A start that a failed test has left would be in the way of the others.
afterEach(endCommands)
afterAll(async () => {
  await endCommands()
  for (const path of folders) removeEmbedded(path)
})

function newFolder(): string {
  const path = serverFolder()
  folders.push(path)
  return path
}

const start = (at: string, env: Record<string, string> = {}): RunningCommand =>
  shardgate(['start', '--scale', '0.01'], { SHARDGATE_DATA: at, PORT: '0', ADMIN_PORT: '0', ...env })

async function stopped(command: RunningCommand): Promise<void> {
  command.signal('SIGINT')
  expect(await command.ended).toMatchObject({ status: 0, signal: null })
}

// What was ended just now may still be listed for a moment.
const nothingRuns = (at: string) => expect.poll(() => processesOn(at), POLL).toEqual([])

/** Without the sessions of a gateway that serves meanwhile, which come and go. */
const programsOn = (at: string): string[] => processesOn(at).filter((line) => !line.includes('127.0.0.1('))

/** The start is refused: the sentence matches, and nothing else has happened. */
async function refused(command: RunningCommand, sentence: RegExp, at = folder): Promise<Ending> {
  const before = programsOn(at)
  const ending = await command.ended
  expect(ending.err).toMatch(sentence)
  expect([ending.status, ending.signal, ending.out]).toEqual([1, null, ''])
  expect(ending.err).not.toMatch(/^\s+at |node:internal|\.ts:\d/m)
  expect(ending.err.match(/^✗/gm)?.length ?? 0).toBeLessThanOrEqual(1)
  await expect.poll(() => programsOn(at), POLL).toEqual(before)
  return ending
}

/** A copy of the whole data, to spoil. */
function copyOfAll(): string {
  const at = newFolder()
  execFileSync('cp', ['-a', `${folder}/.`, at])
  return at
}

/** A whole start: what an earlier one has left undone is done. */
async function worksAgain(at = folder): Promise<string> {
  const again = start(at)
  await again.prints(READY)
  expect(await rowsOn(at)).toEqual(rows)
  await stopped(again)
  await nothingRuns(at)
  return again.output()
}

describe('a taken port', () => {
  let squatter: Server
  let port: string

  beforeAll(async () => {
    squatter = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => squatter.once('listening', resolve))
    port = String((squatter.address() as { port: number }).port)
  })
  afterAll(() => void squatter.close())

  it.each(['PORT', 'ADMIN_PORT'])('%s', async (name) => {
    const { err } = await refused(
      start(folder, { [name]: port }),
      new RegExp(`^Port ${port} .*taken.*${name}=\\d+`, 'm'),
    )
    expect(err.match(/taken/g)).toHaveLength(1)
    await nothingRuns(folder)
  })

  it('both the same', async () => {
    await refused(start(folder, { PORT: '45678', ADMIN_PORT: '45678' }), /45678.*taken|the same port/)
    await nothingRuns(folder)
  })
})

describe('a data folder', () => {
  it('that another start uses: told by its process, which notices nothing', async () => {
    const holder = start(folder)
    await holder.prints(READY)
    await refused(
      start(folder),
      new RegExp(`^Another Shardgate \\(process ${holder.pid}\\) is using the data in ${folder}`, 'm'),
    )
    expect(await rowsOn(folder)).toEqual(rows)
    await stopped(holder)
    await nothingRuns(folder)
  })

  it.each(
    some(2, [
      ['by half', 'data/shard-b/PG_VERSION', /^The data in .*shard-b are not whole\./m],
      ['no more', 'data/shard-b', /^The data of shard-b in .* are not those that the directory/m],
      ['no more, nor the directory on it', 'data/shard-a', /^The data of shard-[bc] in .* are not those/m],
    ] as const),
  )('in which a server is %s', async (_, lost, sentence) => {
    const at = copyOfAll()
    rmSync(join(at, lost), { recursive: true })
    const { err } = await refused(start(at), sentence, at)
    expect(err).toContain(`rm -r ${at}/data\n`)
  })

  it.each(
    some(1, [
      ['with a server by half', 'data/shard-c/global/pg_control', 'rm -r {}/data'],
      ['with torn notes', 'embedded.json', 'rm -r {}'],
    ] as const),
  )('%s: the way out that is told leads out', async (_, torn, way) => {
    const at = copyOfAll()
    rmSync(join(at, torn))
    if (torn.endsWith('.json')) writeFileSync(join(at, torn), '{"secret": "')
    const command = way.replace('{}', at)
    expect((await refused(start(at), /not whole|cannot be read/, at)).err).toContain(`${command}\n`)
    execFileSync('sh', ['-c', command])
    await worksAgain(at)
  })

  it('whose superuser password is gone: putting it back is enough', async () => {
    const file = join(folder, 'superuser-password')
    renameSync(file, `${file}.away`)
    await refused(start(folder), /superuser-password has been deleted\. Put it back/)
    renameSync(`${file}.away`, file)
    await worksAgain()
  })

  it('that is a file', async () => {
    const file = join(newFolder(), 'file')
    writeFileSync(file, '')
    await refused(start(file), /cannot be set up in .*file: .*\. Mend that/, file)
  })
})

async function ready(at: string): Promise<RunningCommand> {
  const command = start(at)
  await command.prints(READY)
  return command
}

describe('words that are wrong', () => {
  it.each(
    some<[string, string[], Record<string, string>, RegExp]>(4, [
      ['a scale of words', ['start', '--scale', 'big'], {}, /^--scale wants a number above 0.*"big" came/],
      ['a scale of nothing', ['start', '--scale', '0'], {}, /^--scale wants a number above 0/],
      ['an argument too much', ['start', 'everything'], {}, /^Too many arguments for 'start'/],
      ['an option that is none', ['serve', '--port', '1'], {}, /^Unknown option '--port'/],
      [
        'a port of words',
        ['start'],
        { PORT: 'http' },
        /\n {2}PORT: wanted a port from 0 to 65535; "http" came/,
      ],
      ['a port too high', ['start'], { ADMIN_PORT: '70000' }, /\n {2}ADMIN_PORT: wanted .*"70000" came/],
      [
        'a level that is none',
        ['start'],
        { LOG_LEVEL: 'loud' },
        /\n {2}LOG_LEVEL: wanted one of .*"loud" came/,
      ],
      ['no configuration', ['start', '-c', 'none.json'], {}, /^No configuration can be read at .*none\.json/],
      ['serve without a start', ['serve'], {}, /^The configuration leaves .* "shardgate start"/],
    ]),
  )('%s', async (_, args, env, sentence) => {
    const at = join(newFolder(), 'data')
    const { status, out, err } = await shardgate(args, { SHARDGATE_DATA: at, ...env }).ended
    expect(err).toMatch(sentence)
    expect([status, out, existsSync(at)]).toEqual([2, '', false])
    expect(err.trimEnd().split('\n').length).toBeLessThanOrEqual(3)
    expect(err).not.toMatch(/^\s+at /m)
  })

  it('serve on servers that are stopped', async () => {
    const { status, err } = await shardgate(['serve'], { SHARDGATE_DATA: folder }).ended
    expect([status, err.split('\n').length]).toEqual([1, 3])
    expect(err).toMatch(/^The directory cannot be reached: connect ECONNREFUSED/)
  })
})

describe('a start that was cut short', () => {
  const OWN_TABLES = `select nspname from pg_namespace where nspname ~ '^tenant_'
    union all select datname from pg_database where datname ~ '^shardgate_[0-9a-f]{8}_[^_]'`

  async function killed(command: RunningCommand, at: string): Promise<void> {
    command.signal('SIGKILL')
    expect((await command.ended).err).not.toMatch(/^\s+at /m)
    await nothingRuns(at)
  }

  it('kill -9 while it serves: the next start takes over, with the same rows', async () => {
    const killed = await ready(folder)
    killed.signal('SIGKILL')
    await killed.ended
    const output = await worksAgain()
    expect(output).toMatch(/nothing new/)
  })

  it('kill -9 while tenants get their own tables, and again while rows are made: the next starts make the rest', async () => {
    const at = newFolder()
    const first = start(at)
    await first.prints(/✓ Databases/)
    await onEmbedded(at, 'shard-a', (db) =>
      expect
        .poll(async () => (await db.query(OWN_TABLES)).rows.length, { ...POLL, interval: 5 })
        .toBeGreaterThan(0),
    )
    await killed(first, at)
    expect(first.output()).not.toMatch(/✓.* tenants/)
    const second = start(at)
    await second.prints(/✓.* tenants/)
    await killed(second, at)
    await worksAgain(at)
  })

  it.each(
    some(1, [
      ['"Postgres servers"', (cut: RunningCommand) => cut.prints(/✓ Postgres servers/)],
      ['initdb has begun', (_: RunningCommand, at: string) => initdbRuns(at)],
    ] as const),
  )('SIGINT after %s: nothing stays running, and the next start makes the rest', async (_, comes) => {
    const at = newFolder()
    const cut = start(at)
    await comes(cut, at)
    cut.signal('SIGINT')
    expect((await cut.ended).err).not.toMatch(/^\s+at /m)
    await nothingRuns(at)
    await worksAgain(at)
  })
})

const initdbRuns = (at: string) =>
  expect
    .poll(() => processesOn(at).some((text) => text.includes('initdb')), { timeout: 60_000, interval: 5 })
    .toBe(true)
