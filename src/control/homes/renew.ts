/** Databases of tenants follow a release as shards do: `setup` runs the files of the schema `shardgate` there too. */

import { listTargets } from '../../directory/targets.ts'
import { applyShardFiles } from '../install.ts'
import { inParallel } from '../migrate/lanes.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { onItsHome } from './reach-home.ts'

/** Databases at once. */
const AT_ONCE = 8

/**
 * Renew the schema `shardgate` of every tenant's database. Schemas of tenants have none: theirs is that of the shard.
 *
 * @returns how many there are
 * @throws SHARD_UNAVAILABLE, SHARD_UNSAFE  one cannot be reached, or is another; all others are renewed first
 */
export async function renewHomes(fleet: Fleet): Promise<number> {
  const targets = await onDirectory(fleet.directoryUrl, listTargets)
  const databases = targets.filter(({ isolation }) => isolation === 'database')
  const done = await inParallel(databases, AT_ONCE, (target) =>
    onItsHome(fleet, target, (client) =>
      client.transaction(async () => {
        await client.query('set local role shardgate_owner')
        await applyShardFiles(client)
      }),
    ).catch((error: unknown) => ({ error })),
  )
  for (const result of done) if (result) throw result.error
  return databases.length
}
