/** Bringing one shard's shared schema to the state of a folder of migrations, without a directory. */

import { type Applied, applyFiles } from '../../src/control/migrate/apply.ts'
import { readMigrations } from '../../src/control/migrate/files.ts'
import { APP_ROLE } from '../../src/control/migrate/place.ts'
import { onShard, type ShardAccess } from '../../src/control/reach.ts'

export interface MigrateOptions {
  /** The shard, with the URL of its owner role. */
  readonly shard: ShardAccess
  readonly folder: string
  /** Schema in which unqualified names are made; the first of `tenancy.schemas`. */
  readonly schema: string
}

/**
 * Apply what is missing. The isolation of tenants is not judged, and the directory hears nothing of it: the fleet is
 * migrated by `migrateFleet`.
 *
 * @throws SETUP_FAILED       a file is wrong, was changed after it was applied, or fails; earlier ones stay
 * @throws SHARD_UNAVAILABLE  the shard cannot be reached
 */
export function migrate({
  shard,
  folder,
  schema,
}: MigrateOptions): Promise<Pick<Applied, 'applied' | 'already'>> {
  const files = readMigrations(folder)
  return onShard(shard, async (client) => {
    const schemas = [schema]
    const place = {
      isolation: 'shared',
      schema,
      sharedSchema: schema,
      schemas,
      book: '',
      appRole: APP_ROLE,
    } as const
    const { applied, already } = await applyFiles(client, { ...place, name: shard.key }, files)
    return { applied, already }
  })
}
