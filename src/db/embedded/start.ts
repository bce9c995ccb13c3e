/**
 * Postgres without set-up: servers that come with `npm install`, on this machine and for us alone.
 *
 *     lock ─▶ home and account ─▶ binaries ─▶ data folders ─▶ orphans ─▶ ports ─▶ servers
 *
 * Nothing here listens to signals: who starts servers stops them, last, after all that uses them.
 * A process that dies before it could is covered by the watchdog, and by the next start.
 */

import { resolve } from 'node:path'
import { fail, isGatewayError } from '../../base/errors.ts'
import { makeFolder } from './account.ts'
import { findBinaries } from './binaries.ts'
import { makeClusters } from './clusters.ts'
import { dataFolder, type Home, openHome, type Report, superuserPassword, systemFolder } from './home.ts'
import { takeLock } from './lock.ts'
import { choosePorts } from './ports.ts'
import {
  type EmbeddedServer,
  embeddedServer,
  type ServerOptions,
  type Settings,
  stopOrphan,
} from './server.ts'
import { startWatchdog } from './watchdog.ts'

export interface EmbeddedOptions {
  /** Folder that belongs to these servers; made when it is not there. */
  readonly dir: string
  /** A server each: a-z first, then up to 30 of a-z, 0-9 and '-'. */
  readonly names: readonly string[]
  /** Server settings on top of ours: { work_mem: '16MB' }. */
  readonly settings?: Settings
  /** False gives up safety from power cuts for speed: for tests. Default: true. */
  readonly durable?: boolean
  /** Told what is going on, a sentence at a time. */
  readonly report?: Report
}

export interface EmbeddedServers {
  readonly servers: readonly EmbeddedServer[]
  /** Where the data are; another folder than `dir` only when root's servers may not enter that. */
  readonly home: string
  /** The server `name`; throws SHARD_UNKNOWN. */
  get(name: string): EmbeddedServer
  /** Stop every server and give up the folder. */
  stopAll(): Promise<void>
}

const NAME = /^[a-z][a-z0-9-]{0,30}$/

// Moves need logical decoding; a modest cache, since several servers share a developer's machine.
const SETTINGS: Settings = {
  wal_level: 'logical',
  max_connections: '100',
  max_wal_senders: '20',
  max_replication_slots: '20',
  shared_buffers: '64MB',
  max_wal_size: '512MB',
  password_encryption: 'scram-sha-256',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] %q%a %u@%d ',
  logging_collector: 'off',
}

// Not `synchronous_commit`: without it a server that is killed forgets what it had acknowledged, and
// a test could not tell that from a fault of ours.
const NOT_DURABLE: Settings = { fsync: 'off', full_page_writes: 'off' }

/**
 * Start a Postgres server for each name, making what is missing. Later starts on the same `dir`
 * find the same data on the same ports.
 *
 * @throws SETUP_FAILED  one sentence: what is in the way, and the way out
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServers> {
  const dir = resolve(options.dir)
  for (const name of options.names) {
    if (!NAME.test(name)) fail('SETUP_FAILED', `Wanted a server name like "shard-a"; "${name}" came.`)
  }
  try {
    makeFolder(dir)
    return await startLocked(dir, options, takeLock(dir))
  } catch (error) {
    if (isGatewayError(error)) throw error
    const reason = error instanceof Error ? error.message : String(error)
    const advice = 'Mend that, or name another folder: SHARDGATE_DATA=./other npm start'
    return fail(
      'SETUP_FAILED',
      `Postgres cannot be set up in ${dir}: ${reason}. ${advice}`,
      {},
      { cause: error },
    )
  }
}

async function startLocked(
  dir: string,
  options: EmbeddedOptions,
  unlock: () => void,
): Promise<EmbeddedServers> {
  const { names, durable = true, report = () => {} } = options
  const settings = { ...SETTINGS, ...(durable ? {} : NOT_DURABLE), ...options.settings }
  try {
    const home = openHome(dir, report)
    const copies = () => (home.account ? systemFolder(home.account) : home.path)
    const binaries = findBinaries(home.account, copies)
    const password = superuserPassword(home)
    await makeClusters(home, binaries, names, password, durable, report)
    await Promise.all(names.map((name) => stopOrphan(home, name, report)))
    report(`Starting Postgres ${names.map((name) => `"${name}"`).join(', ')}.`)
    const watchdog = startWatchdog(names.map((name) => dataFolder(home, name)))
    const common = { home, binaries, password, settings, onSpawn: watchdog.watch }
    const servers = await startServers(common, names, report).catch((error) => {
      watchdog.end()
      throw error
    })
    const close = (): void => {
      watchdog.end()
      unlock()
    }
    return group(servers, home, close)
  } catch (error) {
    unlock()
    throw error
  }
}

type Common = Omit<ServerOptions, 'name' | 'port'>

const PORT_TRIES = 5

/** Between the look at a port and the server's start another program may take it: look again then. */
async function startServers(common: Common, names: readonly string[], report: Report, tries = PORT_TRIES) {
  const ports = await choosePorts(common.home, names, report)
  const servers = names.map((name) => embeddedServer({ ...common, name, port: ports.get(name) ?? 0 }))
  const results = await Promise.allSettled(servers.map((server) => server.start()))
  const failed = results.find((result) => result.status === 'rejected')
  if (!failed) return servers
  await Promise.all(servers.map((server) => server.stop()))
  const portTaken = isGatewayError(failed.reason, 'SETUP_FAILED') && 'port' in failed.reason.details
  if (!portTaken || tries === 1) throw failed.reason
  return startServers(common, names, report, tries - 1)
}

function group(servers: readonly EmbeddedServer[], home: Home, close: () => void): EmbeddedServers {
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()))
    close()
  }
  return {
    servers,
    home: home.path,
    get: (name) =>
      servers.find((server) => server.name === name) ??
      fail('SHARD_UNKNOWN', `There is no embedded server "${name}".`, { name }),
    // Once only: a second time the lock may be that of a later start.
    stopAll: () => {
      stopped ??= stop()
      return stopped
    },
  }
}
