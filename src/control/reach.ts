/**
 * Connections of the operator's commands: to the directory and to shards as owner. A server that cannot be
 * reached is one sentence that names the place, never the password.
 */

import { type ConfigFile, MOVE_DEFAULTS } from '../base/config-schema.ts'
import { type ErrorCode, fail } from '../base/errors.ts'
import type { Failpoints } from '../base/failpoints.ts'
import { type Client, connect, sqlState } from '../db/client.ts'
import { connectionHint } from '../db/connection-hint.ts'
import { databaseUrl } from '../db/database-url.ts'
import type { WeightedShard } from '../directory/buckets.ts'
import type { Isolation, Placement } from '../directory/types.ts'
import type { Tenancy } from '../model/served.ts'

/** A shard as the control plane reaches it. */
export interface ShardAccess {
  /** A key of `shards` in the configuration. */
  readonly key: string
  /** Connection string of the owner role, or of a superuser for setting up. */
  readonly url: string
  /** Connection string of the app role. */
  readonly appUrl?: string
  /** Connection string of the mover role. */
  readonly moverUrl?: string
  readonly session?: SessionRule
}

/** What sessions of a command have in common that another one may end (control/move/sessions.ts). */
export interface SessionRule {
  /** application_name */
  readonly name: string
  /** Run on each new session before anything else is; throws when this command may not go on. */
  readonly require: (client: Client) => Promise<void>
}

/** What the control plane works on: the directory, the shards, and what the configuration says of tenants. */
export interface Fleet {
  readonly directoryUrl: string
  readonly strategy: 'modulo' | 'directory'
  /** Shards of the configuration, with the URLs of their owner roles. */
  readonly shards: readonly (ShardAccess & WeightedShard)[]
  /** Default: the column 'tenant_id' and the schema 'public'. */
  readonly tenancy?: Pick<Tenancy, 'column' | 'schemas' | 'global' | 'tables'>
  /** By the name of a plan. Default: no plan says anything. */
  readonly plans?: Readonly<Record<string, { readonly isolation: Isolation }>>
  /** Absolute path of the folder of migrations; left out, there are none. */
  readonly migrations?: string
  /** Absolute path of the folder for exports. */
  readonly exports?: string
  /** Default is 30. */
  readonly quarantineDays?: number
  /** Who gives the command, for the audit log. Default is 'unknown'. */
  readonly operator?: string
  readonly moves?: MoveSettings
  /** Of sessions on the directory; those on shards have one each. */
  readonly session?: SessionRule
  readonly failpoints?: Failpoints
}

/** What the configuration says of moves. */
export type MoveSettings = ConfigFile['moves']

export const movesOf = ({ moves = MOVE_DEFAULTS }: Fleet): MoveSettings => moves

export const DEFAULT_TENANCY = { column: 'tenant_id', schemas: ['public'] } as const

/** Run `work` on the directory. Throws DIRECTORY_UNAVAILABLE when it cannot be reached. */
export function onDirectory<T>(
  url: string,
  work: (directory: Client) => Promise<T>,
  session?: SessionRule,
): Promise<T> {
  return reach({ url, what: 'The directory', code: 'DIRECTORY_UNAVAILABLE', session }, work)
}

/** Run `work` on a shard. Throws SHARD_UNAVAILABLE when it cannot be reached. */
export function onShard<T>(shard: ShardAccess, work: (client: Client) => Promise<T>): Promise<T> {
  const { url, key: what, session } = shard
  return reach({ url, what, code: 'SHARD_UNAVAILABLE', session }, work)
}

/**
 * Run `work` as owner on the database that holds a tenant's tables: its own one, or that of its shard.
 * Throws SHARD_UNAVAILABLE when it cannot be reached.
 */
export function onHome<T>(
  shard: ShardAccess,
  { isolation, namespace }: Pick<Placement, 'isolation' | 'namespace'>,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  if (isolation !== 'database') return onShard(shard, work)
  const url = databaseUrl(shard.url, namespace)
  const what = `The database ${namespace} of ${shard.key}`
  return reach({ url, what, code: 'SHARD_UNAVAILABLE', session: shard.session }, work)
}

/** 'role@host:port/database' of a connection string, without its password. */
export function placeOf(url: string): string {
  const { username, hostname, port, pathname, searchParams } = new URL(url)
  return `${username}@${hostname || searchParams.get('host') || 'localhost'}:${port || 5432}${pathname}`
}

interface Reached {
  readonly url: string
  /** For the sentence: 'shard-b'. */
  readonly what: string
  readonly code: ErrorCode
  readonly session: SessionRule | undefined
}

async function reach<T>(
  { url, what, code, session }: Reached,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const named = session && { applicationName: session.name }
  const client = await connect(url, named).catch((cause: unknown) => {
    const hint = connectionHint(cause, url)
    const sentence = `${what} cannot be reached at ${placeOf(url)}: ${reasonOf(cause)}.`
    return fail(code, sentence, {}, { cause, ...(hint !== undefined && { hint }) })
  })
  try {
    await session?.require(client)
    return await work(client).catch((cause: unknown) => {
      if (!isNotSetUp(cause)) throw cause
      return fail('SETUP_FAILED', `${what} has not been set up. Run "shardgate setup" first.`, {}, { cause })
    })
  } finally {
    await client.end()
  }
}

// A table of ours that is not there. Those of migrations are told by what runs them.
function isNotSetUp(error: unknown): boolean {
  const text = error instanceof Error ? error.message : ''
  return sqlState(error) === '42P01' && /"(directory|shardgate)\./.test(text)
}

/** What a driver's error says; Node's error for a host with several addresses has only a code. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message || String((error as NodeJS.ErrnoException).code ?? error.name)
}
