/** The gateway as a process of its own, serving a world; whatever it prints is kept. */

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { buildSchema, type GraphQLSchema } from 'graphql'
import type { Event } from '../../src/base/events.ts'
import { systemClock } from '../../src/base/time.ts'
import { issueToken } from '../../src/tenant/issue.ts'
import type { Role } from '../../src/tenant/types.ts'
import { childEnv } from './child-env.ts'
import type { World } from './shard-fixture.ts'

export interface Gateway {
  readonly pid: number
  /** Of the GraphQL endpoint. */
  readonly url: string
  readonly adminUrl: string
  /** Undefined while the process lives; else how it ended. */
  readonly ended: string | undefined
  /** Everything that it has printed so far. */
  output(): string
  /** SIGTERM, and wait for the end; SIGKILL when it takes longer than `waitMs` (default 20,000). */
  stop(waitMs?: number): Promise<void>
}

/** TEST_GATEWAY names another file to run instead, to try the tests on a gateway that is broken on purpose. */
const ENTRY = process.env.TEST_GATEWAY ?? fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

/**
 * Start a gateway on free ports and wait until it listens.
 *
 * @param env  settings on top: { NODE_ENV: 'production' }
 */
export async function startGateway(
  world: Pick<World, 'configFile'>,
  env: Record<string, string> = {},
): Promise<Gateway> {
  const child = spawn(process.execPath, [ENTRY, 'serve', '--config', world.configFile], {
    env: childEnv({ PORT: '0', ADMIN_PORT: '0', LOG_LEVEL: 'info', ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed: string[] = []
  let ended: string | undefined
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => printed.push(text))
  child.once('exit', (code, signal) => {
    ended = `exit ${code ?? signal}`
  })
  const output = (): string => printed.join('')
  const { port, adminPort } = await listening(child, output)
  return {
    pid: child.pid!,
    url: `http://127.0.0.1:${port}/graphql`,
    adminUrl: `http://127.0.0.1:${adminPort}`,
    get ended() {
      return ended
    },
    output,
    stop: (waitMs = 20_000) => stop(child, waitMs),
  }
}

/** The schema that the gateway serves for a world, as `schema print` writes it: production tells it to nobody. */
export async function worldSchema(world: World): Promise<GraphQLSchema> {
  const args = [ENTRY, 'schema', 'print', '--config', world.configFile]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return buildSchema(stdout)
}

/** Change the configuration file, and wait until the gateway has taken it over. @param change  keys to have otherwise, one level deep */
export async function reconfigure(
  { configFile }: Pick<World, 'configFile'>,
  gateway: Gateway,
  change: Readonly<Record<string, object>>,
): Promise<void> {
  const reloads = (): number => gateway.output().split('"kind":"config.reloaded"').length
  const [before, config] = [reloads(), JSON.parse(readFileSync(configFile, 'utf8'))]
  for (const [key, value] of Object.entries(change)) config[key] = { ...config[key], ...value }
  // In one step: a file that is half written would be refused.
  writeFileSync(`${configFile}.next`, JSON.stringify(config))
  renameSync(`${configFile}.next`, configFile)
  process.kill(gateway.pid, 'SIGHUP')
  while (reloads() === before) {
    if (gateway.ended) throw new Error(`The gateway has ended:\n${gateway.output()}`)
    await setImmediate()
  }
}

/** What the gateway's log says of an event, in order. */
export function logged(gateway: Gateway, kind: Event['kind']): ReturnType<typeof JSON.parse>[] {
  const lines = gateway.output().split('\n')
  return lines.filter((line) => line.includes(`"kind":"${kind}"`)).map((line) => JSON.parse(line))
}

const LISTENING = /\{[^\n]*"kind":"gateway\.listening"[^\n]*\}/

function listening(child: ChildProcess, output: () => string): Promise<{ port: number; adminPort: number }> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const [line] = LISTENING.exec(output()) ?? []
      if (!line) return
      // It goes on printing, and is not read from the beginning at each line.
      child.stdout?.off('data', look)
      resolve(JSON.parse(line) as { port: number; adminPort: number })
    }
    child.stdout?.on('data', look)
    child.once('exit', (code) =>
      reject(new Error(`The gateway ended with ${code} before it listened:\n${output()}`)),
    )
  })
}

async function stop(child: ChildProcess, waitMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), waitMs)
  await gone
  clearTimeout(timer)
}

/** A token for a tenant of the world, good for an hour. */
export function worldToken(
  world: World,
  tenant: World['tenants'][number],
  roles: Role[] = ['admin'],
  subject = 'tester',
): Promise<string> {
  return issueToken({
    secret: world.secret,
    issuer: 'shardgate',
    audience: 'shardgate',
    tenant: tenant.id,
    roles,
    subject,
    ttlS: 3_600,
    clock: systemClock,
  })
}
