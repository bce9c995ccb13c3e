/**
 * Configuration: the environment and `shards.config.json`, read once into one frozen `Config`.
 *
 * Strings in the file may hold `${NAME}` or `${NAME:-default}`; secrets come that way and are never
 * inline. The word `embedded` in place of a database URL or a token secret means "made and kept by
 * `shardgate start` on this machine" (commands/embedded.ts). Every fault names its key, what was
 * wanted and what came. This is the only file that reads `process.env`.
 */

import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname, resolve } from 'node:path'
import { faultsOf, keyOf, wantedOf } from './config-faults.ts'
import { type ConfigFile, configFile } from './config-schema.ts'
import { fail } from './errors.ts'
import { deepFreeze } from './freeze.ts'

/** Stands for a database URL or a secret that `shardgate start` provides. */
export const EMBEDDED = 'embedded'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Config extends Omit<ConfigFile, '$schema'> {
  /** Absolute path of the file this came from. */
  readonly file: string
  readonly mode: 'development' | 'production'
  readonly port: number
  readonly host: string
  readonly adminPort: number
  readonly adminHost: string
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug'
  /** Folder for what `start` keeps: embedded databases, development secrets. */
  readonly dataDir: string
  /** Who gives a command, for the audit log. */
  readonly operator: string
}

export type ShardConfig = ConfigFile['shards'][string]
export type IssuerConfig = ConfigFile['tokens'][number]
export type TableSettings = ConfigFile['tenancy']['tables'][string]
export type LimitsConfig = ConfigFile['limits']
export type MovesConfig = ConfigFile['moves']

/**
 * Read and check the configuration.
 *
 * @throws CONFIG_INVALID  with every fault in the message, a line each
 */
export function loadConfig(file: string, env: Environment = process.env): Config {
  const path = resolve(file)
  const text = readText(path)
  const faults: string[] = []
  const unset = new Set<string>()
  const onUnset: OnUnset = (at, name) => {
    unset.add(at)
    faults.push(`${at}: wanted the environment variable ${name}; it is not set`)
  }
  const filled = withRedis(fillVariables(parseJson(path, text), { env, onUnset }), env.REDIS_URL)
  const parsed = configFile.safeParse(filled, { error: wantedOf })
  // What is wrong with the value that an unset variable leaves behind is no news.
  const issues = parsed.error?.issues.filter(({ path }) => !unset.has(keyOf(path))) ?? []
  faults.push(...faultsOf(issues, filled))
  const settings = environmentSettings(env, faults)
  if (!parsed.success || faults.length > 0) {
    fail('CONFIG_INVALID', [`${path} cannot be used:`, ...faults].join('\n  '))
  }
  const { $schema: _, ...rest } = parsed.data
  return deepFreeze({ ...rest, ...settings, file: path })
}

/** The manifests of trusted documents, by absolute paths. */
export function manifestsOf({
  file,
  documents,
}: Pick<Config, 'file' | 'documents'>): Config['documents']['trusted'] {
  return documents.trusted.map((manifest) => ({ ...manifest, file: resolve(dirname(file), manifest.file) }))
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    return fail(
      'CONFIG_INVALID',
      `No configuration can be read at ${path}. Name the file with --config.`,
      {},
      { cause },
    )
  }
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    return fail('CONFIG_INVALID', `${path} is not JSON: ${withoutExcerpt((cause as Error).message)}.`)
  }
}

// The engine quotes the text around the fault, and that text may be a secret somebody wrote inline.
// For the same reason the engine's error does not travel on as the cause.
function withoutExcerpt(message: string): string {
  return message.replace(/,? (\.\.\.)?".*"(\.\.\.)? is not valid JSON$/s, '').replace(/^JSON\.parse: /, '')
}

const VARIABLE = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g

/** A file that says nothing of Redis has the one of the environment. */
function withRedis(filled: unknown, url: string | undefined): unknown {
  if (!url || !isObject(filled) || !isObject(filled.redis ?? {})) return filled
  return { ...filled, redis: { url, ...(filled.redis as object | undefined) } }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

type OnUnset = (at: string, name: string) => void

// Our deepest key has five. Without an end, a file of nothing but brackets is a stack overflow.
const LEVELS_MAX = 20

function fillVariables(
  value: unknown,
  scope: { readonly env: Environment; readonly onUnset: OnUnset },
  at = '',
  level = 0,
): unknown {
  const { env, onUnset } = scope
  if (level > LEVELS_MAX) return fail('CONFIG_INVALID', `${at}: nested deeper than ${LEVELS_MAX} levels.`)
  if (typeof value === 'string') {
    return value.replace(VARIABLE, (_, name: string, fallback: string | undefined) => {
      const found = env[name] || fallback
      if (found === undefined) onUnset(at, name)
      return found ?? ''
    })
  }
  if (Array.isArray(value))
    return value.map((item, i) => fillVariables(item, scope, `${at}[${i}]`, level + 1))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, item]) => [
    key,
    fillVariables(item, scope, at ? `${at}.${key}` : key, level + 1),
  ])
  return Object.fromEntries(entries)
}

function environmentSettings(env: Environment, faults: string[]) {
  const mode = env.NODE_ENV === 'production' ? ('production' as const) : ('development' as const)
  return {
    mode,
    port: portOf('PORT', env.PORT, 4000, faults),
    host: env.HOST || '127.0.0.1',
    adminPort: portOf('ADMIN_PORT', env.ADMIN_PORT, 4001, faults),
    adminHost: env.ADMIN_HOST || '127.0.0.1',
    // A person who has just typed "start" reads a table of addresses, not a log.
    logLevel: logLevelOf(env.LOG_LEVEL || (mode === 'production' ? 'info' : 'warn'), faults),
    dataDir: resolve(env.SHARDGATE_DATA || '.shardgate'),
    operator: env.SHARDGATE_OPERATOR || accountName(),
  }
}

/** What the system calls the account, which a variable could not say for somebody else; in a container it may have no name. */
function accountName(): string {
  try {
    return userInfo().username
  } catch {
    return 'unknown'
  }
}

function portOf(name: string, text: string | undefined, fallback: number, faults: string[]): number {
  if (!text) return fallback
  if (/^\d{1,5}$/.test(text) && Number(text) < 65_536) return Number(text)
  faults.push(`${name}: wanted a port from 0 to 65535; ${JSON.stringify(text)} came`)
  return fallback
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug'] as const

function logLevelOf(text: string, faults: string[]): (typeof LOG_LEVELS)[number] {
  const level = LOG_LEVELS.find((known) => known === text)
  if (!level) faults.push(`LOG_LEVEL: wanted one of ${LOG_LEVELS.join(', ')}; ${JSON.stringify(text)} came`)
  return level ?? 'info'
}

/** Freeze `value` and all that it holds. */
