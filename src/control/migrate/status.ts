/** `migrate status`: what the directory knows of each target, without asking any. */

import { fail } from '../../base/errors.ts'
import { listTargets, type Target } from '../../directory/targets.ts'
import { DEFAULT_TENANCY, type Fleet, onDirectory } from '../reach.ts'
import { expectedStructures } from './expected.ts'
import { readMigrations } from './files.ts'
import { missingByDigest } from './pending.ts'

export interface TargetStatus
  extends Pick<Target, 'shard' | 'isolation' | 'namespace' | 'tenant' | 'version' | 'error'> {
  /** Files that it lacks; null when only the target itself can tell. */
  readonly pending: number | null
  /** Whether its structure was another one than that of most targets with the same files. */
  readonly drift: boolean
}

/** @throws SETUP_FAILED, DIRECTORY_UNAVAILABLE  as `migrateFleet` */
export async function fleetStatus(fleet: Fleet): Promise<TargetStatus[]> {
  const { migrations: folder = fail('SETUP_FAILED', 'There is no folder of migrations.') } = fleet
  const byDigest = missingByDigest(readMigrations(folder))
  const targets = await onDirectory(fleet.directoryUrl, listTargets)
  const expected = expectedStructures(targets, (fleet.tenancy ?? DEFAULT_TENANCY).schemas)
  return targets.map((target) => {
    const { shard, isolation, namespace, tenant, version, error, structure } = target
    const pending = byDigest(target)?.length ?? null
    const drift = structure !== null && expected(target)?.structure !== structure
    return { shard, isolation, namespace, tenant, version, pending, drift, error }
  })
}
