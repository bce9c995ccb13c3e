/** One Postgres server: a child process on a data folder of its own. */

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { fail } from '../../base/errors.ts'
import { deadlineIn, sleep } from '../../base/time.ts'
import { makeFolder, spawnAs } from './account.ts'
import type { Binaries } from './binaries.ts'
import { dataFolder, type Home, logFile, type Report } from './home.ts'
import { isFree } from './ports.ts'
import { endServer, isAlive, servesFolder, waitUntil } from './processes.ts'

/** Recovery after a power cut may read all of the log since the last checkpoint. */
const START_MS = 60_000
const LOG_BYTES_MAX = 16 * 1024 * 1024

export type Settings = Readonly<Record<string, string>>

export interface EmbeddedServer {
  readonly name: string
  readonly port: number
  /** Process id of the server; undefined while it is stopped. */
  readonly pid: number | undefined
  readonly logFile: string
  /** Connection string of the superuser, on the database `postgres` unless another is named. */
  superuserUrl(database?: string): string
  /** Start it again, on the same port, after `stop` or a crash. Throws SETUP_FAILED. */
  start(): Promise<void>
  /** End all sessions and stop; does nothing when it is not running. */
  stop(): Promise<void>
}

export interface ServerOptions {
  readonly home: Home
  readonly binaries: Binaries
  readonly name: string
  readonly port: number
  readonly password: string
  readonly settings: Settings
  /** Told the process id of each start. */
  readonly onSpawn: (pid: number) => void
}

export function embeddedServer(options: ServerOptions): EmbeddedServer {
  const { home, name, port, password } = options
  let child: ChildProcess | undefined
  return {
    name,
    port,
    logFile: logFile(home, name),
    get pid() {
      return child && !hasEnded(child) ? child.pid : undefined
    },
    superuserUrl: (database = 'postgres') =>
      `postgres://postgres:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`,
    start: async () => {
      if (!child || hasEnded(child)) child = await startChild(options)
    },
    stop: async () => {
      if (child) await stopChild(child)
    },
  }
}

/** Stop the server that a killed run left behind on this data folder, if there is one. */
export async function stopOrphan(home: Home, name: string, report: Report): Promise<void> {
  const folder = dataFolder(home, name)
  const pid = Number(pidFile(folder)[0])
  if (!isAlive(pid)) return
  if (!servesFolder(pid, folder)) {
    // A stranger has the number now, and Postgres would take it for a server on this folder.
    rmSync(`${folder}/postmaster.pid`, { force: true })
    return
  }
  report(`Stopping Postgres "${name}" (process ${pid}), which an earlier run left behind.`)
  await endServer(pid, () => !isAlive(pid))
}

/** Lines of postmaster.pid: 1 process id, 4 port, 8 status (`ready`, `starting`, `stopping`). */
function pidFile(folder: string): string[] {
  try {
    return readFileSync(`${folder}/postmaster.pid`, 'utf8').split('\n')
  } catch {
    return []
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null
}

async function startChild(options: ServerOptions): Promise<ChildProcess> {
  const folder = dataFolder(options.home, options.name)
  const killed = existsSync(`${folder}/postmaster.pid`)
  const deadline = deadlineIn(START_MS)
  for (;;) {
    const from = rotateLog(logFile(options.home, options.name))
    const child = spawnServer(options, folder)
    if (child.pid !== undefined) options.onSpawn(child.pid)
    const isReady = (): boolean => {
      const [pid, , , , , , , status] = pidFile(folder)
      return Number(pid) === child.pid && status?.trim() === 'ready'
    }
    await waitUntil(() => hasEnded(child) || isReady(), deadline)
    if (!hasEnded(child) && isReady()) return child
    await stopChild(child)
    // Sessions of a server that was killed hold its shared memory until they notice, and until then
    // Postgres will not start.
    const waits = killed && (await isFree(options.port)) && deadline.remainingMs() > START_MS / 2
    if (!waits) return explain(options, from)
    await sleep(500)
  }
}

function spawnServer({ home, binaries, name, port, settings }: ServerOptions, folder: string): ChildProcess {
  const given = {
    ...settings,
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
  }
  const args = Object.entries(given).flatMap(([key, value]) => ['-c', `${key}=${value}`])
  // Straight into a file: a pipe would break, and its lines be lost, when we are killed.
  const log = openSync(logFile(home, name), 'a', 0o600)
  // Detached, or Ctrl-C in a terminal would stop the servers before the gateway has drained.
  const child = spawn(binaries.postgres, ['-D', folder, ...args], {
    ...spawnAs(home.account),
    cwd: '/',
    env: { LC_ALL: 'C' },
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  child.on('error', () => {}) // No process: `hasEnded` says so, and the start fails with the log's lines.
  child.unref()
  return child
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (hasEnded(child) || child.pid === undefined) return
  child.ref()
  await endServer(child.pid, () => hasEnded(child))
}

/** Bytes in the log before this start; a log that has grown large is put aside first. */
function rotateLog(path: string): number {
  makeFolder(dirname(path))
  if (!existsSync(path)) return 0
  const { size } = statSync(path)
  if (size < LOG_BYTES_MAX) return size
  renameSync(path, `${path}.old`)
  return 0
}

async function explain({ home, name, port }: ServerOptions, from: number): Promise<never> {
  if (!(await isFree(port))) {
    fail('SETUP_FAILED', `Port ${port} of Postgres "${name}" is taken by another program.`, { port })
  }
  const log = logFile(home, name)
  const lines = readFileSync(log).subarray(from).toString('utf8').trim().split('\n').slice(-20)
  return fail('SETUP_FAILED', `Postgres "${name}" did not start. The end of ${log}:\n  ${lines.join('\n  ')}`)
}
