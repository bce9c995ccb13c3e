/**
 * A Redis of the test's own, with no files, that may be killed, filled and paused.
 *
 *     const redis = await startRedis()
 *     describe.skipIf(!redis)('with Redis', () => …)
 *
 * Never one that the environment names: tests flush and stop it.
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { Redis as Client } from 'ioredis'
import { optionalProgram } from './optional.ts'

export interface TestRedis {
  /** On 127.0.0.1; the same after `start`. */
  readonly port: number
  readonly url: string
  /** Give a command on a connection of its own: `command('client', 'pause', 1000)`. Waits for a server that starts. */
  command(name: string, ...args: (string | number)[]): Promise<unknown>
  /** End it without a word. What it has in memory is lost. */
  kill(): Promise<void>
  /** Start it again after `kill`, empty. */
  start(): Promise<void>
  /** Stop the process where it stands, until `resume`: it accepts connections and is silent. */
  suspend(): void
  resume(): void
  /** End it and remove its folder. */
  remove(): Promise<void>
}

/** A Redis or Valkey server; undefined, and a line that says so, where there is none and none can be had. */
export async function startRedis(): Promise<TestRedis | undefined> {
  const program = await optionalProgram({
    names: ['redis-server', 'valkey-server'],
    packages: ['redis-server'],
  })
  return program === undefined ? undefined : launch(program)
}

async function launch(program: string): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-redis-'))
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  let server: ChildProcessByStdio<Writable, Readable, null> | undefined
  let pid = 0

  async function start(): Promise<void> {
    const args = [...SETTINGS, '--port', String(port), '--dir', folder]
    server = spawn('sh', ['-c', SCRIPT, program, ...args], {
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    pid = Number(await once(server.stdout, 'data'))
    await command('ping')
  }

  async function command(name: string, ...args: (string | number)[]): Promise<unknown> {
    const client = new Client(url, COMMAND)
    client.on('error', () => {}) // Not there yet, or killed.
    try {
      return await client.call(name, ...args)
    } finally {
      client.disconnect()
    }
  }

  async function kill(): Promise<void> {
    if (server?.exitCode !== null) return
    const gone = once(server, 'exit')
    server.stdin.end()
    await gone
  }

  await start()
  return {
    port,
    url,
    command,
    kill,
    start,
    suspend: () => void process.kill(pid, 'SIGSTOP'),
    resume: () => void process.kill(pid, 'SIGCONT'),
    remove: async () => {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/**
 * The server ends with our end of the pipe: also when the test's process is killed. Detached, or a signal to all
 * processes of a run would end the shell alone.
 */
const SCRIPT = '"$0" "$@" > /dev/null 2>&1 & echo $!; cat; kill -9 $!; wait'

/** Whatever state the server is in: asked whether it is ready, one that is busy says no. */
const COMMAND = {
  protocol: 2,
  enableReadyCheck: false,
  retryStrategy: () => 10,
  maxRetriesPerRequest: 1_000,
} as const

const SETTINGS = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--protected-mode', 'no']

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
