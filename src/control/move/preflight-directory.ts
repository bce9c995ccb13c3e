/** What the directory says of whether a tenant can move: what it is, who else works on it, whether its shards take part. */

import { compile, sql } from '../../db/sql.ts'
import { listShards } from '../../directory/shards.ts'
import { findSubject } from '../life/subject.ts'
import { migrationUnderWay } from '../migrate/runner.ts'
import { MOVE_KIND, unfinished, wayOut } from '../operations/run.ts'
import { findRunning } from '../operations/store.ts'
import { waysOut } from './open-moves.ts'
import { type Check, fault } from './sight.ts'
import { openMoveOf } from './store.ts'

export const ensureDifferent: Check = async ({ tenant, source, target }) => {
  const isSame =
    source.shard.key === target.shard.key &&
    source.home.isolation === target.home.isolation &&
    source.home.namespace === target.home.namespace
  if (!isSame) return []
  return [
    fault(
      `${tenant} is on ${target.shard.key} (${target.home.isolation}) already: there is nothing to move.`,
    ),
  ]
}

const STATES: Readonly<Record<string, (tenant: string) => string>> = {
  creating: (tenant) => `is not made yet. Finish that first: shardgate tenant create ${tenant}`,
  offboarded: (tenant) => `is in quarantine. Restore it first: shardgate tenant restore ${tenant}`,
  purging: () => 'is being purged. See: shardgate operation list',
}

export const ensureMovable: Check = async ({ directory, tenant, source, move }) => {
  const now = await findSubject(directory, tenant)
  if (!now) return [fault(`There is no tenant ${tenant}. See: shardgate tenant list`)]
  const wrong = STATES[now.state]
  if (wrong) return [fault(`${tenant} ${wrong(tenant)}`)]
  const { isolation, namespace } = source.home
  const isThere =
    now.shard === source.shard.key &&
    now.isolation === isolation &&
    now.namespace === namespace &&
    (move === undefined || now.epoch === move.source.epoch)
  if (isThere) return []
  const place = `${now.shard} (${now.isolation}, epoch ${now.epoch})`
  return [fault(`${tenant} is at ${place} by now, and not where the move was planned from. Plan it anew.`)]
}

export const ensureFree: Check = async ({ directory, tenant, move }) => {
  const running = await findRunning(directory, tenant, MOVE_KIND)
  const open = await openMoveOf(directory, tenant)
  if (open && open.id !== move?.id)
    return [fault(`Move ${open.id} of ${tenant} is ${open.state}. ${waysOut(open)}`, 'TENANT_BUSY')]
  if (!running || running.id === move?.operation) return []
  return [fault(`${unfinished(running)} ${wayOut(running)}`, 'TENANT_BUSY')]
}

export const ensureTakes: Check = async ({ directory, fleet, target }) => {
  const { key } = target.shard
  const known = (await listShards(directory)).some((shard) => shard.key === key)
  if (!known) return [fault(`The directory does not know ${key}. Type: shardgate setup`)]
  const weight = fleet.shards.find((shard) => shard.key === key)?.weight ?? 1
  if (weight > 0) return []
  return [
    fault(`${key} takes no tenants: its weight is 0. Raise shards.${key}.weight, or choose another shard.`),
  ]
}

/** A migration that begins later finds the move, which is written down by now, and is refused (`migrate up`). */
export const ensureNoMigration: Check = async ({ directory }) => {
  if (!(await migrationUnderWay(directory))) return []
  return [fault('Migrations are under way. Wait for them: shardgate migrate status', 'TENANT_BUSY')]
}

/** Of earlier moves of the tenant, which have ended. */
export const ensureNoLeftovers: Check = async ({ directory, tenant, move }) => {
  const rows = await directory.query(
    compile(sql`
      select distinct move.id, move.state from directory.leftover join directory.move on move.id = leftover.move
      where move.tenant_id = ${sql.value(tenant)} and move.id is distinct from ${sql.value(move?.id ?? null)}::bigint
        and move.state in ('done', 'aborted', 'rolled-back')
      order by move.id`),
  )
  return rows.map(({ id, state }) =>
    fault(
      `Move ${id} of ${tenant} is ${state} and has left something behind. Type: shardgate move doctor --clean`,
    ),
  )
}
