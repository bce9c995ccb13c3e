/**
 * The watch: what a test file must not leave behind. A rejection that nobody handled, an exception that
 * nobody caught, a transaction left open, a connection left at a server.
 */

import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'

export interface ProcessWatch {
  /** What went wrong so far, one sentence each. */
  readonly faults: readonly string[]
  /** Throws when anything has gone wrong since the watch began. */
  check(): void
  stop(): void
}

/**
 * Collect unhandled rejections and uncaught exceptions of this process, and make it exit with 1 for them.
 * Within vitest they fail the run anyhow.
 */
export function watchProcess(): ProcessWatch {
  const faults: string[] = []
  const note = (fault: string): void => {
    faults.push(fault)
    process.exitCode = 1
  }
  const noteRejection = (reason: unknown): void => note(`unhandled rejection: ${describe(reason)}`)
  const noteException = (error: unknown): void => note(`uncaught exception: ${describe(error)}`)
  process.on('unhandledRejection', noteRejection)
  process.on('uncaughtException', noteException)
  return {
    faults,
    check() {
      if (faults.length > 0) throw new Error(`This process did not stay clean:\n${faults.join('\n')}`)
    },
    stop() {
      process.off('unhandledRejection', noteRejection)
      process.off('uncaughtException', noteException)
    },
  }
}

const describe = (value: unknown): string =>
  value instanceof Error ? (value.stack ?? value.message) : String(value)

export interface Backend {
  readonly pid: number
  readonly applicationName: string
  readonly database: string
  readonly state: string
  readonly query: string
}

export interface BackendWatch {
  /**
   * Wait until the servers hold nothing that was not there when the watch began.
   *
   * @throws after `waitMs` milliseconds (default 5,000), naming each backend that stayed
   */
  check(waitMs?: number): Promise<void>
}

/**
 * Remember the client backends on these databases, given by connection strings that may see them all
 * (superuser, or pg_read_all_stats).
 */
export async function watchBackends(urls: readonly string[]): Promise<BackendWatch> {
  const before = new Map<string, Set<number>>()
  for (const url of urls) before.set(url, new Set((await backendsOf(url)).map(({ pid }) => pid)))
  const extra = async (): Promise<Backend[]> => {
    const now = await Promise.all(urls.map(async (url) => ({ url, backends: await backendsOf(url) })))
    return now.flatMap(({ url, backends }) => backends.filter(({ pid }) => !before.get(url)!.has(pid)))
  }
  return {
    async check(waitMs = 5_000) {
      // A backend outlives its socket by some milliseconds, and nothing tells when it has gone.
      const end = performance.now() + waitMs
      let left = await extra()
      while (left.length > 0 && performance.now() < end) left = await extra()
      if (left.length > 0) throw new Error(`Left behind at the server:\n${left.map(sentence).join('\n')}`)
    },
  }
}

const sentence = (it: Backend): string =>
  `${it.applicationName || '(no application name)'} on ${it.database}, ${it.state}, last: ${it.query.slice(0, 100)}`

async function backendsOf(url: string): Promise<Backend[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'watch' })
  await client.connect()
  try {
    const { rows } = await client.query<Backend>(`
      select pid, application_name as "applicationName", datname as database,
             coalesce(state, '') as state, query
      from pg_stat_activity
      where backend_type in ('client backend', 'walsender')
        and datname = current_database() and pid <> pg_backend_pid() and application_name <> 'watch'`)
    return rows
  } finally {
    await client.end()
  }
}

/** For the top of a test file: fails it when it leaves backends on the databases that `urls` names. */
export function useBackendWatch(urls: () => readonly string[]): void {
  let watch: BackendWatch
  beforeAll(async () => {
    watch = await watchBackends(urls())
  })
  afterAll(() => watch.check())
}
