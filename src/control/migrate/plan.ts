/** `migrate plan`: what "migrate up" would do, read from the directory and the targets that lack anything. */

import { fail } from '../../base/errors.ts'
import { listTargets } from '../../directory/targets.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { canaryText, chooseCanary } from './canary.ts'
import { type Migration, readMigrations } from './files.ts'
import { askTargets, missingByDigest, type Pending } from './pending.ts'
import { type Cut, cutOf } from './phases.ts'
import { locksOf, type Remark, unmarkedRemovalsOf } from './reading.ts'

export interface Plan {
  /** Targets of the fleet. */
  readonly targets: number
  /** Targets that lack the same files, of one shard and one isolation model. */
  readonly groups: readonly PlanGroup[]
  readonly canary: string | null
  /** Files that some target lacks, in order. */
  readonly files: readonly PlannedFile[]
}

export interface PlanGroup {
  readonly shard: string
  readonly isolation: string
  readonly targets: number
  /** The first of them. */
  readonly example: string
  readonly lacks: readonly string[]
  /** Entries of their books that the folder has no file for. */
  readonly strange: readonly string[]
  readonly unreachable: string | null
}

export interface PlannedFile {
  readonly file: string
  readonly targets: number
  /** 'contract', 'rows', 'statement by statement'; else 'expand'. */
  readonly kind: string
  /** Whether "up" stops in front of it. */
  readonly held: boolean
  readonly locks: readonly Remark[]
  readonly warnings: readonly Remark[]
}

/** @throws SETUP_FAILED, DIRECTORY_UNAVAILABLE  as `migrateFleet` */
export async function planFleet(fleet: Fleet, canary?: string): Promise<Plan> {
  const { migrations: folder = fail('SETUP_FAILED', 'There is no folder of migrations.') } = fleet
  const files = readMigrations(folder)
  const byDigest = missingByDigest(files)
  const targets = await onDirectory(fleet.directoryUrl, listTargets)
  const pending = await askTargets(
    fleet,
    targets.filter((target) => byDigest(target)?.length !== 0),
    files,
  )
  const lacking = pending.filter(
    ({ missing, unreachable }) => missing.length > 0 || unreachable !== undefined,
  )
  const cut = cutOf({ files, lacking: pending, someHaveAll: pending.length < targets.length })
  const candidates = lacking.filter(({ missing }) => cut(missing).length > 0)
  return {
    targets: targets.length,
    groups: groupsOf(lacking),
    canary: candidates.length > 0 ? canaryText(chooseCanary(candidates, canary)) : null,
    files: files.flatMap((file) => plannedOf(file, lacking, cut)),
  }
}

function groupsOf(lacking: readonly Pending[]): PlanGroup[] {
  const groups = Map.groupBy(lacking, ({ target, missing, strange, unreachable }) =>
    JSON.stringify([target.shard, target.isolation, missing.map(({ file }) => file), strange, unreachable]),
  )
  return [...groups.values()].map((group) => {
    const { target, missing, strange, unreachable } = group[0]!
    const { shard, isolation, namespace } = target
    const lacks = missing.map(({ file }) => file)
    return {
      ...{ shard, isolation, targets: group.length, example: target.tenant ?? namespace },
      ...{ lacks, strange, unreachable: unreachable ?? null },
    }
  })
}

function plannedOf(file: Migration, lacking: readonly Pending[], cut: Cut): PlannedFile[] {
  const lack = lacking.filter(({ missing }) => missing.includes(file))
  if (lack.length === 0) return []
  const held = lack.every(({ missing }) => !cut(missing).includes(file))
  const remarks = { locks: locksOf(file), warnings: unmarkedRemovalsOf(file) }
  return [{ file: file.file, targets: lack.length, kind: kindOf(file), held, ...remarks }]
}

function kindOf({ contract, perTenant, whole }: Migration): string {
  const kinds = [contract ? 'contract' : 'expand', perTenant && 'rows', !whole && 'statement by statement']
  return kinds.filter(Boolean).join(', ')
}
