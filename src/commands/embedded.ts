/**
 * What `start` keeps for the other commands: where its embedded servers are, and the secrets that it
 * made. It fills the places where the configuration says `embedded`.
 */

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type Config, EMBEDDED, type ShardConfig } from '../base/config.ts'
import { fail } from '../base/errors.ts'

const state = z.object({
  /** Signs development tokens. */
  secret: z.string(),
  /** Passwords of the roles, the same on each embedded server. */
  passwords: z.object({ owner: z.string(), app: z.string(), mover: z.string(), directory: z.string() }),
  /** Empty until the servers have been started once. */
  directoryUrl: z.string(),
  shards: z.record(z.string(), z.object({ url: z.string(), ownerUrl: z.string(), moverUrl: z.string() })),
})

export type EmbeddedState = z.output<typeof state>

const fileOf = (dataDir: string): string => join(dataDir, 'embedded.json')

/** The state in `dataDir`; undefined when `start` has never run there. Throws SETUP_FAILED. */
export function readEmbedded(dataDir: string): EmbeddedState | undefined {
  const file = fileOf(dataDir)
  if (!existsSync(file)) return undefined
  try {
    return state.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (cause) {
    return fail(
      'SETUP_FAILED',
      `${file} cannot be read. Remove the folder to begin anew: rm -r ${dataDir}`,
      {},
      { cause },
    )
  }
}

/** Write whole or not at all; readable by its owner alone, since it holds secrets. */
export function writeEmbedded(dataDir: string, value: EmbeddedState): void {
  mkdirSync(dataDir, { recursive: true })
  const file = fileOf(dataDir)
  writeFileSync(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/** Keys of the shards whose place the configuration leaves to `start`. */
export function embeddedShards(config: Config): string[] {
  return Object.entries(config.shards).flatMap(([key, { url }]) => (url === EMBEDDED ? [key] : []))
}

/** Whether anything in the configuration is left to `start`. */
export function isEmbedded(config: Config): boolean {
  const secrets = config.tokens.flatMap((issuer) => issuer.secrets)
  return embeddedShards(config).length > 0 || [config.directory.url, ...secrets].includes(EMBEDDED)
}

/**
 * The configuration with each `embedded` replaced by what `start` keeps.
 *
 * @throws CONFIG_INVALID  something is left to `start`, and it has not made that yet; in production always,
 *                         because a variable that is not set must not lead to a developer's leftovers
 */
export function fillEmbedded(config: Config, kept: EmbeddedState | undefined): Config {
  if (!isEmbedded(config)) return withoutEmbeddedOwners(config)
  requireNothingLeft(config)
  const known = kept ?? notStarted('the databases')
  const shards = Object.entries(config.shards).map(([key, shard]) => {
    if (shard.url !== EMBEDDED) return [key, withoutEmbeddedOwner(shard)] as const
    return [key, { ...shard, ...(known.shards[key] ?? notMade(key)) }] as const
  })
  const url = config.directory.url === EMBEDDED ? known.directoryUrl : config.directory.url
  const tokens = config.tokens.map((issuer) => ({
    ...issuer,
    secrets: issuer.secrets.map((secret) => (secret === EMBEDDED ? known.secret : secret)),
  }))
  return { ...config, directory: { ...config.directory, url }, shards: Object.fromEntries(shards), tokens }
}

function withoutEmbeddedOwners(config: Config): Config {
  const shards = Object.entries(config.shards).map(([key, shard]) => [key, withoutEmbeddedOwner(shard)])
  return { ...config, shards: Object.fromEntries(shards) }
}

/** `start` knows no owner of a database that it has not made. */
function withoutEmbeddedOwner({ ownerUrl, moverUrl, ...shard }: ShardConfig): ShardConfig {
  return {
    ...shard,
    ...(ownerUrl !== undefined && ownerUrl !== EMBEDDED && { ownerUrl }),
    ...(moverUrl !== undefined && moverUrl !== EMBEDDED && { moverUrl }),
  }
}

/** @throws CONFIG_INVALID  in production, something is left to `start` */
export function requireNothingLeft(config: Config): void {
  if (config.mode !== 'production' || !isEmbedded(config)) return
  const places = [
    ...(config.directory.url === EMBEDDED ? ['directory.url'] : []),
    ...embeddedShards(config).map((key) => `shards.${key}.url`),
    ...config.tokens.flatMap(({ secrets }, i) =>
      secrets.includes(EMBEDDED) ? [`tokens[${i}].secrets`] : [],
    ),
  ]
  fail(
    'CONFIG_INVALID',
    `In production nothing is left to "shardgate start": ${places.join(', ')} came as "embedded". ` +
      'Set the environment variables that the configuration names.',
  )
}

// It was added to the file while `start` ran, or since then.
function notMade(shard: string): never {
  return fail(
    'CONFIG_INVALID',
    `shards.${shard} is new, and "shardgate start" has not made it yet. ` +
      'End it with Ctrl-C and run "npm start" again: it makes the shard, and moves nobody there.',
  )
}

function notStarted(what: string): never {
  return fail(
    'CONFIG_INVALID',
    `The configuration leaves ${what} to "shardgate start", which has not made it yet. ` +
      'Run "npm start" first, or set the environment variables that shards.config.json names.',
  )
}
