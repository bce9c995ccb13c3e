/** `shardgate schema print`: the API of the tables that are there now, as the text of `schema.graphql`. */

import { writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Command, Option } from 'commander'
import type { Config } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import { onShard } from '../control/reach.ts'
import { buildApi } from '../graphql/api.ts'
import { loadExtensions } from '../graphql/extension.ts'
import { printSdl } from '../graphql/schema.ts'
import { introspect } from '../model/introspect.ts'
import { configOf, type MakeContext } from './context.ts'

export function addSchemaCommands(program: Command, contextOf: MakeContext): void {
  const schema = program.command('schema').description('The GraphQL schema of the tables.')
  schema
    .command('print')
    .description('Print the schema that the first shard gives.')
    .addOption(new Option('-f, --file <file>', 'write it to this file instead'))
    .addHelpText('after', '\nExamples:\n  shardgate schema print\n  shardgate schema print -f schema.graphql')
    .action(async ({ file }: { file?: string }, command: Command) => {
      const context = contextOf(command)
      const sdl = await sdlOf(configOf(context))
      if (file !== undefined) writeFileSync(file, sdl)
      context.print(file === undefined ? { sdl } : { file, bytes: Buffer.byteLength(sdl) }, () =>
        file === undefined ? sdl : `Written to ${file}.\n`,
      )
    })
}

/** @throws SHARD_UNAVAILABLE  the first shard of the configuration cannot be reached */
async function sdlOf(config: Config): Promise<string> {
  const [first] = Object.entries(config.shards).map(([key, { url }]) => ({ key, url }))
  if (!first) return fail('CONFIG_INVALID', 'shards: wanted at least one shard; none came.')
  const model = await onShard(first, (client) => introspect(client, config.tenancy))
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
