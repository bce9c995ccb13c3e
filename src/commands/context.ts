/**
 * What every command is given: the options that all have, the configuration with its embedded places filled
 * in, and a way to print its result.
 */

import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { type Config, loadConfig, type ShardConfig } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import type { Fleet } from '../control/reach.ts'
import { fillEmbedded, readEmbedded } from './embedded.ts'
import type { Terminal } from './print.ts'

export interface CommandContext {
  readonly terminal: Terminal
  readonly options: GlobalOptions
  /** Print `result`: as JSON when asked for, else as `text` writes it. */
  print<T>(result: T, text: (result: T, colour: boolean) => string): void
}

export interface GlobalOptions {
  readonly config: string
  readonly output: 'table' | 'json'
  readonly debug?: boolean
}

/** Makes the context of a command from its own options and those above it. */
export type MakeContext = (command: Command) => CommandContext

export function contextMaker(terminal: Terminal): MakeContext {
  return (command) => {
    const options = command.optsWithGlobals<GlobalOptions>()
    return {
      terminal,
      options,
      print(result, text) {
        const asJson = options.output === 'json'
        terminal.out(asJson ? `${JSON.stringify(result, null, 2)}\n` : text(result, terminal.colour))
      },
    }
  }
}

/**
 * The configuration, with what `start` keeps in the places that are left to it.
 *
 * @throws CONFIG_INVALID  the file is wrong, or `start` has not made what it leaves to it
 */
export function configOf({ options }: CommandContext): Config {
  const config = loadConfig(options.config)
  return fillEmbedded(config, readEmbedded(config.dataDir))
}

/** The fleet of a configuration as the control plane takes it. Throws CONFIG_INVALID. */
export function fleetOf(config: Config): Fleet {
  const shards = Object.entries(config.shards).map(([key, shard]) => ({
    key,
    weight: weightOf(shard),
    url: ownerUrlOf(key, shard),
    appUrl: shard.url,
    ...(shard.moverUrl !== undefined && { moverUrl: shard.moverUrl }),
  }))
  const folder = dirname(config.file)
  return {
    directoryUrl: config.directory.url,
    strategy: config.router.strategy,
    shards,
    tenancy: config.tenancy,
    plans: config.plans,
    migrations: resolve(folder, config.migrations),
    exports: resolve(folder, config.exports),
    quarantineDays: config.quarantineDays,
    operator: config.operator,
    moves: config.moves,
  }
}

/** Share of what is new: a shard that is drained takes nothing. */
export const weightOf = ({ drain, weight }: Pick<ShardConfig, 'drain' | 'weight'>): number =>
  drain ? 0 : weight

/** @throws CONFIG_INVALID  the shard has no `ownerUrl` */
export function ownerUrlOf(key: string, { ownerUrl }: ShardConfig): string {
  return (
    ownerUrl ??
    fail(
      'CONFIG_INVALID',
      `shards.${key}.ownerUrl: wanted the connection string of shardgate_owner; nothing came.`,
    )
  )
}
