/**
 * `shardgate schema`: the API of the tables that are there now.
 *
 *     print   as the text of `schema.graphql`
 *     check   beside a committed `schema.graphql`: what would break its clients
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { styleText } from 'node:util'
import { type Command, Option } from 'commander'
import type { Config } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import { tenantId } from '../base/ids.ts'
import { onDirectory, onHome, onShard, reasonOf } from '../control/reach.ts'
import { TENANT_SCHEMAS } from '../directory/namespaces.ts'
import { findPlacement } from '../directory/placements.ts'
import { listShards } from '../directory/shards.ts'
import type { SchemaChange, SchemaChanges } from '../graphql/changes.ts'
import { introspect } from '../model/introspect.ts'
import type { Model } from '../model/types.ts'
import { tenancyAt } from '../shards/survey.ts'
import { configOf, type MakeContext } from './context.ts'
import { visible } from './print.ts'

export function addSchemaCommands(program: Command, contextOf: MakeContext): void {
  const schema = program.command('schema').description('The GraphQL schema of the tables.')
  addPrint(schema, contextOf)
  addCheck(schema, contextOf)
}

function addPrint(schema: Command, contextOf: MakeContext): void {
  schema
    .command('print')
    .description('Print the schema that the first shard gives, or that of a tenant.')
    .addOption(new Option('-f, --file <file>', 'write it to this file instead'))
    .addOption(new Option('-t, --tenant <id>', 'of the tables of this tenant, wherever they are'))
    .addHelpText('after', PRINT_HELP)
    .action(async ({ file, tenant }: { file?: string; tenant?: string }, command: Command) => {
      const context = contextOf(command)
      const config = configOf(context)
      const sdl = await sdlOf(config, tenant === undefined ? firstModel : (of) => tenantModel(of, tenant))
      if (file !== undefined) writeSchema(file, sdl)
      context.print(file === undefined ? { sdl } : { file, bytes: Buffer.byteLength(sdl) }, () =>
        file === undefined ? sdl : `Written to ${file}.\n`,
      )
    })
}

const PRINT_HELP = `
Examples:
  shardgate schema print
  shardgate schema print -f schema.graphql
  shardgate schema print --tenant acme`

interface CheckOptions {
  readonly against: string
  readonly failOn: 'breaking' | 'dangerous'
}

const CHECK_HELP = `
Breaking: operations that were valid are refused or answered otherwise. Dangerous: a client that is not
prepared may trip, over a new value of an enum. The exit status is 1 when anything breaks, 0 when not.

Examples:
  shardgate schema check
  shardgate schema check --fail-on dangerous --against web/schema.graphql
  shardgate schema check -o json | jq .breaking`

function addCheck(schema: Command, contextOf: MakeContext): void {
  schema
    .command('check')
    .description('Compare the schema that the first shard gives with a committed one.')
    .addOption(new Option('-a, --against <file>', 'the committed schema').default('schema.graphql'))
    .addOption(
      new Option('--fail-on <kind>', 'the mildest kind of change that ends with status 1')
        .choices(['breaking', 'dangerous'])
        .default('breaking'),
    )
    .addHelpText('after', CHECK_HELP)
    .action(async ({ against, failOn }: CheckOptions, command: Command) => {
      const context = contextOf(command)
      const committed = readSchema(against)
      const now = await sdlOf(configOf(context), firstModel)
      const { changesOf } = await import('../graphql/changes.ts')
      const changes = await changesOf(committed, now)
      context.print(changes, changesText)
      const { breaking, dangerous } = changes
      if (breaking.length === 0 && (failOn === 'breaking' || dangerous.length === 0)) return
      fail('SCHEMA_BREAKS', `${countsOf(changes)} against ${against}.`, {}, { hint: hintFor(against) })
    })
}

const hintFor = (file: string): string =>
  `Keep what clients use, deprecated, beside what replaces it; or, when nobody uses it, write the new schema: ` +
  `shardgate schema print -f ${file}`

/** @throws SHARD_UNAVAILABLE  the first shard of the configuration cannot be reached */
async function firstModel(config: Config): Promise<Model> {
  const [first] = Object.entries(config.shards).map(([key, { url }]) => ({ key, url }))
  if (!first) return fail('CONFIG_INVALID', 'shards: wanted at least one shard; none came.')
  return onShard(first, (client) => introspect(client, { ...config.tenancy, apart: TENANT_SCHEMAS }))
}

/** @throws TENANT_UNKNOWN, SHARD_UNKNOWN, SHARD_UNAVAILABLE, DIRECTORY_UNAVAILABLE, USAGE */
async function tenantModel(config: Config, given: string): Promise<Model> {
  const id = tenantId(given)
  const [placement, shards] = await onDirectory(config.directory.url, async (directory) => [
    await findPlacement(directory, id),
    await listShards(directory),
  ])
  if (!placement)
    return fail('TENANT_UNKNOWN', `There is no tenant ${id}.`, {}, { hint: 'See "shardgate tenant list".' })
  const { shard: key } = placement
  const [shard, known] = [config.shards[key], shards.find((one) => one.key === key)]
  if (!shard || !known)
    return fail('SHARD_UNKNOWN', `The tenant ${id} is on ${key}, which the configuration does not have.`)
  const tenancy = tenancyAt(known, placement, config.tenancy)
  return onHome({ key, url: shard.url }, placement, (client) => introspect(client, tenancy))
}

/** Throws as `modelOf` does, and CONFIG_INVALID when an extension asks for what these tables do not have. */
async function sdlOf(config: Config, modelOf: (config: Config) => Promise<Model>): Promise<string> {
  const model = await modelOf(config)
  // Loaded here, because they take longer to load than everything that the other commands want.
  const [{ buildApi }, { loadExtensions }, { printSdl }] = await Promise.all([
    import('../graphql/api.ts'),
    import('../graphql/extension.ts'),
    import('../graphql/schema.ts'),
  ])
  const extensions = await loadExtensions(config.extensions, dirname(config.file))
  return printSdl(
    buildApi(
      model,
      () => config.limits,
      extensions,
      () => {},
    ).schema,
  )
}

function writeSchema(file: string, sdl: string): void {
  try {
    writeFileSync(file, sdl)
  } catch (cause) {
    const hint = 'Name a file in a folder that is there and that you may write to.'
    fail('USAGE', `The schema cannot be written: ${reasonOf(cause)}.`, {}, { cause, hint })
  }
}

function readSchema(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const hint = `Name the committed schema with --against, or write one first: shardgate schema print -f ${file}`
    return fail('USAGE', `The committed schema cannot be read: ${reasonOf(cause)}.`, {}, { cause, hint })
  }
}

const COLOURS = { breaking: 'red', dangerous: 'yellow', safe: 'green' } as const

function changesText(changes: SchemaChanges, colour: boolean): string {
  const groups = (['breaking', 'dangerous', 'safe'] as const)
    .filter((kind) => changes[kind].length > 0)
    .map((kind) => groupText(colour ? styleText(COLOURS[kind], kind) : kind, changes[kind]))
  return `${[...groups, `${countsOf(changes)}.`].join('\n\n')}\n`
}

function groupText(title: string, changes: readonly SchemaChange[]): string {
  return [title, ...changes.map(({ message }) => `  ${visible(message)}`)].join('\n')
}

function countsOf({ breaking, dangerous, safe }: SchemaChanges): string {
  if (breaking.length + dangerous.length + safe.length === 0) return 'No change'
  return `${breaking.length} breaking, ${dangerous.length} dangerous, ${safe.length} safe`
}
