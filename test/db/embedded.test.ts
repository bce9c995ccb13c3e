/** Postgres without set-up: what it promises a person, and each way a start can go wrong. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { deadlineIn } from '../../src/base/time.ts'
import { serverAccount, spawnAs } from '../../src/db/embedded/account.ts'
import { findBinaries, installedPackage, mendLinks } from '../../src/db/embedded/binaries.ts'
import { endServer, isAlive, waitUntil } from '../../src/db/embedded/processes.ts'
import { type EmbeddedOptions, type EmbeddedServers, startEmbedded } from '../../src/db/embedded/start.ts'
import { removeEmbedded, serverFolder } from '../kit/folders.ts'

const asRoot = process.getuid?.() === 0
const folders: string[] = []
const running: EmbeddedServers[] = []

function newFolder(parent?: string): string {
  const dir = parent ? mkdtempSync(join(parent, 'shardgate-embedded-')) : serverFolder()
  folders.unshift(dir)
  return dir
}

async function start(dir: string, options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedServers> {
  const servers = await startEmbedded({ dir, names: ['a'], durable: false, ...options })
  running.push(servers)
  return servers
}

async function ask(url: string, sql: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query({ text: sql, rowMode: 'array' })
    return String(rows[0]?.[0])
  } finally {
    await client.end()
  }
}

/** A start that must fail with one sentence for a person, no stack trace and no other code. */
async function refusal(start: Promise<unknown>): Promise<string> {
  const error = await start.then(
    () => new Error('it started'),
    (reason: unknown) => reason,
  )
  expect(error).toMatchObject({ code: 'SETUP_FAILED' })
  const { message } = error as Error
  expect(message).not.toMatch(/\n\s+at /)
  return message
}

afterEach(async () => {
  for (const servers of running.splice(0)) await servers.stopAll()
})
afterAll(() => {
  for (const dir of folders) removeEmbedded(dir)
})

describe('a first start', () => {
  it('makes servers that speak UTF-8 and can feed a move, on 127.0.0.1 alone', async () => {
    const servers = await start(newFolder(), { names: ['a', 'b'], settings: { work_mem: '5MB' } })
    const setting = (key: string) => ask(servers.get('a').superuserUrl(), `show ${key}`)

    expect(await setting('server_encoding')).toBe('UTF8')
    expect(await setting('wal_level')).toBe('logical')
    expect(await setting('listen_addresses')).toBe('127.0.0.1')
    expect(await setting('unix_socket_directories')).toBe('')
    expect(await setting('work_mem')).toBe('5MB')
    expect(await ask(servers.get('b').superuserUrl(), `select upper('ähre')`)).toBe('ÄHRE')
    expect(servers.get('a').port).not.toBe(servers.get('b').port)
  })

  it('asks for a password, and keeps it where nobody else can read it', async () => {
    const dir = newFolder()
    const servers = await start(dir)
    const url = new URL(servers.get('a').superuserUrl())
    url.password = 'guess'

    await expect(ask(url.href, 'select 1')).rejects.toMatchObject({ code: '28P01' })
    expect(statSync(join(dir, 'superuser-password')).mode & 0o777).toBe(0o600)
    expect(readdirSync(join(dir, 'data'))).toEqual(['a'])
  })

  it('is durable unless told otherwise', async () => {
    const servers = await start(newFolder(), { durable: true })

    expect(await ask(servers.get('a').superuserUrl(), 'show fsync')).toBe('on')
    expect(await ask(servers.get('a').superuserUrl(), 'show full_page_writes')).toBe('on')
  })

  it('refuses a name that is no server name', async () => {
    expect(await refusal(start(newFolder(), { names: ['../a'] }))).toContain('"../a" came')
  })
})

describe('a later start', () => {
  it('finds the same data on the same ports, and makes a server that is new', async () => {
    const dir = newFolder()
    const first = await start(dir)
    const { port } = first.get('a')
    await ask(first.get('a').superuserUrl(), 'create table kept as select 7 as n')
    await first.stopAll()
    const second = await start(dir, { names: ['a', 'b'] })

    expect(second.get('a').port).toBe(port)
    expect(await ask(second.get('a').superuserUrl(), 'select n from kept')).toBe('7')
    expect(await ask(second.get('b').superuserUrl(), `select to_regclass('kept')`)).toBe('null')
  })

  it('takes another port when its own is taken, and says so in one sentence', async () => {
    const dir = newFolder()
    const first = await start(dir)
    const { port } = first.get('a')
    await first.stopAll()
    const squatter = createServer().listen(port, '127.0.0.1')
    await once(squatter, 'listening')
    const said: string[] = []
    const second = await start(dir, { report: (sentence) => said.push(sentence) })
    squatter.close()

    expect(second.get('a').port).not.toBe(port)
    expect(said.filter((sentence) => sentence.includes(`Port ${port} of "a" is taken`))).toHaveLength(1)
  })

  it('of a stopped server on a port that was taken meanwhile is refused', async () => {
    const server = (await start(newFolder())).get('a')
    await server.stop()
    const squatter = createServer().listen(server.port, '127.0.0.1')
    await once(squatter, 'listening')
    const sentence = await refusal(server.start())
    squatter.close()

    expect(sentence).toContain(`Port ${server.port}`)
    expect(server.pid).toBeUndefined()
  })

  it('refuses data whose password was deleted', async () => {
    const dir = newFolder()
    await (await start(dir)).stopAll()
    rmSync(join(dir, 'superuser-password'))

    expect(await refusal(start(dir))).toContain('begin anew: rm -r')
  })
})

describe('a second instance', () => {
  it('is refused while the first lives, and may follow it', async () => {
    const dir = newFolder()
    const first = await start(dir)

    expect(await refusal(start(dir))).toContain(`Another Shardgate (process ${process.pid})`)
    await first.stopAll()
    await start(dir)
    await first.stopAll() // Must not give up the lock of the second.
    expect(await refusal(start(dir))).toContain('Another Shardgate')
  })

  it('that starts at the same moment: exactly one wins', async () => {
    const dir = newFolder()
    writeFileSync(join(dir, 'lock'), JSON.stringify({ pid: 4_000_000, birth: 'long ago' }))
    const results = await Promise.allSettled([start(dir), start(dir), start(dir)])

    expect(results.map((result) => result.status).toSorted()).toEqual(['fulfilled', 'rejected', 'rejected'])
  })

  it('is not held up by a stranger that has the number of a dead one', async () => {
    const dir = newFolder()
    writeFileSync(join(dir, 'lock'), JSON.stringify({ pid: process.pid, birth: 'another boot 123' }))

    await start(dir)
  })

  it('is not held up by a lock file that is torn', async () => {
    const dir = newFolder()
    writeFileSync(join(dir, 'lock'), '{"pi')

    await start(dir)
  })
})

describe('a first start that was cut short', () => {
  it('is done again', async () => {
    const dir = newFolder()
    mkdirSync(join(dir, 'data', 'new-a', 'global'), { recursive: true })
    writeFileSync(join(dir, 'superuser-password'), 'half-made\n')
    const said: string[] = []
    const servers = await start(dir, { report: (sentence) => said.push(sentence) })

    expect(said).toContain('An earlier start was cut short; its unfinished data are made anew.')
    expect(readdirSync(join(dir, 'data'))).toEqual(['a'])
    expect(await ask(servers.get('a').superuserUrl(), 'select 1')).toBe('1')
  })

  it('by a kill while the data were made is done again', async () => {
    const dir = newFolder()
    const data = join(dir, 'data')
    const { kill } = spawnElsewhere(dir)
    const begun = () =>
      existsSync(data) && readdirSync(data).some((name) => existsSync(join(data, name, 'base')))
    expect(await waitUntil(begun, deadlineIn(20_000))).toBe(true)
    await kill()
    const servers = await start(dir, { names: ['a', 'b'] })

    expect(readdirSync(data).toSorted()).toEqual(['a', 'b'])
    expect(await ask(servers.get('b').superuserUrl(), 'select 1')).toBe('1')
  })

  it('leaves data that are not whole alone, and names them', async () => {
    const dir = newFolder()
    await (await start(dir)).stopAll()
    rmSync(join(dir, 'data', 'a', 'global', 'pg_control'))

    expect(await refusal(start(dir))).toContain(`not whole. Begin anew with all servers: rm -r ${dir}/data`)
    expect(existsSync(join(dir, 'data', 'a', 'PG_VERSION'))).toBe(true)
    expect(existsSync(join(dir, 'lock'))).toBe(false)
  })

  it('refuses data of another Postgres version', async () => {
    const dir = newFolder()
    await (await start(dir)).stopAll()
    writeFileSync(join(dir, 'data', 'a', 'PG_VERSION'), '17\n')

    expect(await refusal(start(dir))).toContain('made by Postgres 17')
  })
})

describe('a server that cannot start', () => {
  it('is explained with the end of its log', async () => {
    const dir = newFolder()
    const sentence = await refusal(start(dir, { names: ['a', 'b'], settings: { shared_buffers: 'plenty' } }))

    expect(sentence).toContain('did not start')
    expect(sentence).toContain('invalid value for parameter "shared_buffers": "plenty"')
    await start(dir, { names: ['a', 'b'] })
  })
})

/** A process of its own that starts servers on `dir` and then waits; `kill` ends it without mercy. */
function spawnElsewhere(dir: string) {
  const entry = join(import.meta.dirname, '../../src/db/embedded/start.ts')
  const script = `
    import { startEmbedded } from ${JSON.stringify(entry)}
    const { servers } = await startEmbedded({ dir: ${JSON.stringify(dir)}, names: ['a', 'b'], durable: false })
    console.log(JSON.stringify(servers.map((server) => server.pid)))
    setInterval(() => {}, 1_000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const kill = (): Promise<unknown> => {
    child.kill('SIGKILL')
    return once(child, 'exit')
  }
  return { child, kill }
}

async function startElsewhere(dir: string): Promise<{ pids: number[]; kill: () => Promise<unknown> }> {
  const { child, kill } = spawnElsewhere(dir)
  const [line] = await once(createInterface(child.stdout), 'line')
  return { pids: JSON.parse(line), kill }
}

describe('a run that was killed', () => {
  it('takes its servers with it', async () => {
    const elsewhere = await startElsewhere(newFolder())
    expect(elsewhere.pids.every(isAlive)).toBe(true)
    await elsewhere.kill()

    expect(await waitUntil(() => !elsewhere.pids.some(isAlive), deadlineIn(20_000))).toBe(true)
  })

  it('is followed by a start on the same data at once', async () => {
    const dir = newFolder()
    const elsewhere = await startElsewhere(dir)
    await elsewhere.kill()
    const servers = await start(dir, { names: ['a', 'b'] })

    expect(elsewhere.pids.some(isAlive)).toBe(false)
    expect(await ask(servers.get('b').superuserUrl(), 'select 1')).toBe('1')
  })

  it('whose servers were killed too needs no help', async () => {
    const dir = newFolder()
    const elsewhere = await startElsewhere(dir)
    for (const pid of elsewhere.pids) process.kill(pid, 'SIGKILL')
    await elsewhere.kill()
    const servers = await start(dir, { names: ['a', 'b'] })

    expect(await ask(servers.get('a').superuserUrl(), 'select 1')).toBe('1')
  })

  it('and left a server behind: that one is stopped first', async () => {
    const dir = newFolder()
    const first = await start(dir)
    await first.stopAll()
    const orphan = spawnOrphan(join(dir, 'data', 'a'))
    await waitUntil(() => existsSync(join(dir, 'data', 'a', 'postmaster.pid')), deadlineIn(10_000))
    const said: string[] = []
    await start(dir, { report: (sentence) => said.push(sentence) })

    expect(isAlive(orphan)).toBe(false)
    expect(said.join()).toContain(`Stopping Postgres "a" (process ${orphan}), which an earlier run left`)
  })

  it('whose number a stranger has now: the stranger is left alone', async () => {
    const dir = newFolder()
    await (await start(dir)).stopAll()
    const account = serverAccount()
    const stranger = spawn('/bin/sleep', ['600'], { ...spawnAs(account), stdio: 'ignore' })
    const folder = join(dir, 'data', 'a')
    writeFileSync(
      join(folder, 'postmaster.pid'),
      `${stranger.pid}\n${folder}\n1\n5432\n\n127.0.0.1\n\nready\n`,
    )
    await start(dir)

    expect(isAlive(stranger.pid!)).toBe(true)
    stranger.kill('SIGKILL')
  })
})

function spawnOrphan(folder: string): number {
  const account = serverAccount()
  const { postgres } = findBinaries(account, () => tmpdir())
  const flags = ['-D', folder, '-c', 'port=14999', '-c', 'unix_socket_directories=', '-c', 'fsync=off']
  return spawn(postgres, flags, { ...spawnAs(account), cwd: '/', detached: true, stdio: 'ignore' }).pid!
}

describe('stopping', () => {
  it('ends sessions and all processes, and may be asked for twice', async () => {
    const servers = await start(newFolder(), { names: ['a', 'b'] })
    const pids = servers.servers.map((server) => server.pid!)
    const client = new pg.Client({ connectionString: servers.get('a').superuserUrl() })
    client.on('error', () => {})
    await client.connect()
    await client.query('begin')
    await Promise.all([servers.stopAll(), servers.stopAll()])

    expect(pids.some(isAlive)).toBe(false)
    expect(servers.get('a').pid).toBeUndefined()
    await client.end().catch(() => {})
  })

  it('and importing leave the process as it was: no signal handlers', async () => {
    const before = process.eventNames().map((name) => [name, process.listenerCount(name)])
    await (await start(newFolder())).stopAll()

    expect(process.eventNames().map((name) => [name, process.listenerCount(name)])).toEqual(before)
  })

  it('gets through to a server that does not answer', async () => {
    const server = (await start(newFolder())).get('a')
    const pid = server.pid!
    process.kill(pid, 'SIGSTOP')
    await endServer(pid, () => server.pid === undefined, { fastMs: 50, immediateMs: 50, killMs: 20_000 })

    expect(isAlive(pid)).toBe(false)
  })
})

describe('the installed programs', () => {
  it('get back the links that npm left out', () => {
    const root = newFolder()
    cpSync(join(installedPackage(), 'native', 'pg-symlinks.json'), join(root, 'native', 'pg-symlinks.json'), {
      recursive: true,
    })
    const [link] = JSON.parse(readFileSync(join(root, 'native', 'pg-symlinks.json'), 'utf8'))
    const sources: { source: string; target: string }[] = [link]
    writeFileSync(join(root, 'native', 'pg-symlinks.json'), JSON.stringify(sources))
    mkdirSync(join(root, 'native', 'lib'))
    writeFileSync(join(root, link.source), 'a library')
    symlinkSync('nowhere', join(root, link.target))

    expect(mendLinks(root)).toBe(true)
    expect(readFileSync(join(root, link.target), 'utf8')).toBe('a library')
  })

  it('are missing on a platform that has none: the sentence names the way out', () => {
    expect(() => installedPackage('linux', 'riscv64')).toThrow(
      /no Postgres for linux riscv64.*docker-compose/,
    )
  })

  it('that do not run, as on Alpine, are refused before anything is made', async () => {
    const root = newFolder()
    mkdirSync(join(root, 'native', 'bin'), { recursive: true })
    const broken = join(root, 'native', 'bin', 'postgres')
    writeFileSync(broken, '#!/lib/ld-that-is-not-there\n', { mode: 0o755 })

    expect(() => findBinaries(serverAccount(), () => root, root)).toThrow(/does not run here.*not Alpine/)
  })
})

describe('the account', () => {
  it('is ours unless we are root', () => {
    expect(serverAccount(1000, '')).toBeUndefined()
  })

  it('of root is postgres, else nobody, else a sentence', () => {
    const nobody = 'nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin'
    expect(serverAccount(0, `${nobody}\npostgres:x:101:104::/:/bin/sh\n`)?.uid).toBe(101)
    expect(serverAccount(0, `root:x:0:0::/root:/bin/sh\n${nobody}\n`)).toMatchObject({
      uid: 65534,
      gid: 65533,
    })
    expect(() => serverAccount(0, 'postgres:x:0:0::/:/bin/sh\n')).toThrow(/useradd --system postgres/)
  })
})

describe.runIf(asRoot)('as root', () => {
  it('in a folder that the account may not enter: the data lie elsewhere, and it is said', async () => {
    const dir = join(newFolder('/root'), 'data-of-root')
    folders.unshift(dir)
    const said: string[] = []
    const first = await start(dir, { report: (sentence) => said.push(sentence) })
    await ask(first.get('a').superuserUrl(), 'create table kept as select 7 as n')
    const { home } = first
    await first.stopAll()
    const second = await start(dir)

    expect(home).not.toContain('/root')
    expect(said.join()).toContain(`The data are in ${home}`)
    expect(second.home).toBe(home)
    expect(await ask(second.get('a').superuserUrl(), 'select n from kept')).toBe('7')
  })

  it('a folder deleted to begin anew begins anew, and nothing is destroyed', async () => {
    const dir = join(newFolder('/root'), 'data-of-root')
    folders.unshift(dir)
    const first = await start(dir)
    await ask(first.get('a').superuserUrl(), 'create table old as select 7 as n')
    await first.stopAll()
    rmSync(dir, { recursive: true })
    const second = await start(dir)

    expect(await ask(second.get('a').superuserUrl(), `select to_regclass('old')`)).toBe('null')
    expect(existsSync(`${second.home}.left-over/data/a/PG_VERSION`)).toBe(true)
  })

  it('programs under a home that the account may not enter are copied, links and all', () => {
    const installed = newFolder('/root')
    cpSync(installedPackage(), installed, { recursive: true, verbatimSymlinks: true })
    rmSync(join(installed, 'native', 'lib', 'libpq.so.5'))
    const copies = newFolder(tmpdir()) // Memory may be mounted so that no program runs from it.
    chmodSync(copies, 0o755)
    const found = findBinaries(serverAccount(), () => copies, installed)

    expect(found.postgres.startsWith(copies)).toBe(true)
    expect(found.major).toBe('18')
    expect(existsSync(join(found.postgres, '../../lib/libpq.so.5'))).toBe(true)
  })
})
