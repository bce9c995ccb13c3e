/** `shardgate config`: is the file right, and what does it say? */

import { dirname } from 'node:path'
import type { Command } from 'commander'
import { type Config, EMBEDDED, loadConfig } from '../base/config.ts'
import { configJsonSchema } from '../base/config-schema.ts'
import { systemClock } from '../base/time.ts'
import { placeOf } from '../control/reach.ts'
import { authenticator } from '../tenant/authenticate.ts'
import type { MakeContext } from './context.ts'
import { requireNothingLeft } from './embedded.ts'
import { record, table } from './print.ts'

export function addConfigCommands(program: Command, contextOf: MakeContext): void {
  const config = program.command('config').description('Check the configuration.')

  config
    .command('check')
    .description('Read the configuration and say what it means. Connects to nothing.')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate config check\n  shardgate config check -c staging.json -o json',
    )
    .action(async (_options, command: Command) => {
      const context = contextOf(command)
      const found = loadConfig(context.options.config)
      requireNothingLeft(found)
      checkTokens(found)
      const { readTrustedDocuments } = await import('../graphql/documents/trusted.ts')
      await readTrustedDocuments(found)
      context.print(summaryOf(found), summaryText)
    })

  config
    .command('schema')
    .description('Print the JSON Schema of the configuration, for editors.')
    .addHelpText('after', '\nExamples:\n  shardgate config schema > docs/shards.config.schema.json')
    .action((_options, command: Command) => {
      contextOf(command).terminal.out(`${JSON.stringify(configJsonSchema(), null, 2)}\n`)
    })
}

/** Throws CONFIG_INVALID for what only shows when the keys of the issuers are put to use. */
function checkTokens({ file, tokens }: Config): void {
  const made = 'made and kept by "shardgate start"'
  const issuers = tokens.map((issuer) => ({
    ...issuer,
    secrets: issuer.secrets.map((secret) => (secret === EMBEDDED ? made : secret)),
  }))
  authenticator({ issuers, configDir: dirname(file), clock: systemClock, emit: () => {} })
}

/** The configuration without its secrets. */
function summaryOf(config: Config) {
  return {
    file: config.file,
    mode: config.mode,
    gateway: `${config.host}:${config.port}`,
    admin: `${config.adminHost}:${config.adminPort}`,
    directory: shown(config.directory.url),
    strategy: config.router.strategy,
    tables: `${config.tenancy.schemas.join(', ')} by ${config.tenancy.column}`,
    issuers: config.tokens.map((issuer) => issuer.issuer),
    shards: Object.entries(config.shards).map(([key, { url, ownerUrl, weight }]) => ({
      key,
      url: shown(url),
      ownerUrl: ownerUrl === undefined ? null : shown(ownerUrl),
      weight,
    })),
  }
}

function summaryText(summary: ReturnType<typeof summaryOf>, colour: boolean): string {
  const { shards, issuers, ...fields } = summary
  const columns = [
    { title: 'shard', cell: (shard: (typeof shards)[number]) => shard.key },
    { title: 'url', cell: (shard: (typeof shards)[number]) => shard.url },
    { title: 'owner url', cell: (shard: (typeof shards)[number]) => shard.ownerUrl },
    { title: 'weight', cell: (shard: (typeof shards)[number]) => shard.weight },
  ]
  return `${record({ ...fields, issuers: issuers.join(', ') }, colour)}\n${table(shards, columns, colour)}`
}

const shown = (url: string): string => (url === EMBEDDED ? EMBEDDED : placeOf(url))
