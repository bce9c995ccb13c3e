/** Migrating one target and writing down in the directory what it has then. */

import type { Client, Queryable } from '../../db/client.ts'
import { digestOf, recordTarget, type Target, type TargetState } from '../../directory/targets.ts'
import type { Tenancy } from '../../model/served.ts'
import { fingerprintOfStructure, readStructure } from '../../model/structure.ts'
import { type Applied, type ApplyWays, applyFiles } from './apply.ts'
import { missing, readBook } from './book.ts'
import type { Migration } from './files.ts'
import { type Place, placeOf } from './place.ts'

/** Which target, without what the directory remembers of it. */
export type TargetPlace = Pick<Target, 'shard' | 'shardId' | 'isolation' | 'namespace' | 'tenant'>

/**
 * Apply the files that a target lacks, and record it.
 *
 * @param directory  takes one statement at a time
 * @param client     a connection as owner to the database that holds the target (`onHome`)
 * @throws SETUP_FAILED  as `applyFiles`; what was applied before is in the target's book, not in the directory
 */
export async function migrateTarget(
  directory: Queryable,
  client: Client,
  target: TargetPlace,
  files: readonly Migration[],
  {
    tenancy,
    ...ways
  }: Omit<ApplyWays, 'tenancy'> & { readonly tenancy: Pick<Tenancy, 'column' | 'schemas' | 'global'> },
): Promise<Applied> {
  const place = placeOf(target, tenancy)
  const done = await applyFiles(client, place, files, { ...ways, tenancy })
  await ways.failpoints?.hit(`before record ${place.name}`)
  await recordTarget(directory, target, await stateOf(client, place))
  await ways.failpoints?.hit(`after record ${place.name}`)
  return done
}

/** What a target has, read from itself. */
export async function stateOf(client: Queryable, place: Place): Promise<TargetState> {
  const book = await readBook(client, place.book)
  const lines = await readStructure(client, place)
  return {
    version: book.at(-1)?.version ?? null,
    applied: digestOf(book),
    structure: { fingerprint: fingerprintOfStructure(lines), lines },
  }
}

/**
 * The files that a new home on a shard is born with: those that the shard's shared schema has now, so that all tenants
 * are equal while a folder holds files that have not been run anywhere.
 *
 * @param shard  a connection to the shard itself
 * @throws SETUP_FAILED  a file was changed after it had been applied
 */
export async function filesOfShard(shard: Queryable, files: readonly Migration[]): Promise<Migration[]> {
  const left = new Set(missing(await readBook(shard, ''), files))
  return files.filter((file) => !left.has(file))
}
