/** The GraphQL schema: shared types, the tables' types, queries, mutations, then what extensions add. */

import { type GraphQLSchema, printSchema } from 'graphql'
import type { Model } from '../model/types.ts'
import { addAggregates } from './aggregates.ts'
import { createBuilder, sharedTypes } from './builder.ts'
import { type Extension, extensionTools, hooksOfExtensions } from './extension.ts'
import type { TableHooks } from './mutations/hooks.ts'
import { createWriter } from './mutations/writer.ts'
import { addMutations } from './mutations.ts'
import type { PageSizes } from './pages.ts'
import { addQueries } from './queries.ts'
import { tableTypes } from './types.ts'

/**
 * Build the schema that serves `model`.
 *
 * @param sizes  read at each request, so that a reloaded configuration counts at once
 * @throws CONFIG_INVALID  an extension asks for something that the tables do not have
 */
export function buildSchema(
  model: Model,
  sizes: () => PageSizes,
  extensions: readonly Extension[],
): GraphQLSchema {
  const builder = createBuilder()
  const parts = tableTypes(builder, model, sharedTypes(builder), sizes)
  addAggregates(parts)
  addQueries(parts)
  // Hooks may write rows themselves, so the writer asks for them when they are all there.
  let hooks: ReadonlyMap<string, readonly TableHooks[]> = new Map()
  const hooksOf = (typeName: string) => hooks.get(typeName) ?? []
  const writer = createWriter(parts.tables, hooksOf, () => sizes().rows)
  addMutations(parts, writer)
  const tools = extensionTools(parts, writer)
  hooks = hooksOfExtensions(extensions, tools)
  for (const extension of extensions) extension.extend?.(tools)
  return builder.toSchema({ sortSchema: true })
}

/** The schema as the text of `schema.graphql`. */
export function printSdl(schema: GraphQLSchema): string {
  return `# The API of the tables that Shardgate serves. Printed by "shardgate schema print"; do not edit.\n\n${printSchema(schema)}\n`
}
