/** Moves that have not ended, for others that have to keep away from their tenants. */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Queryable } from '../../db/client.ts'
import { openMoveOf } from './store.ts'
import type { MoveRecord } from './types.ts'

/** What to type so that a move ends. */
export function waysOut({ id, state }: Pick<MoveRecord, 'id' | 'state'>): string {
  if (state === 'settled') return `Type "shardgate move complete ${id}" first; its way back ends with that.`
  if (state === 'queued') return `Type "shardgate move cancel ${id}" first.`
  return `Wait for its end: "shardgate move watch ${id}"; or type "shardgate move resume ${id}", "shardgate move cancel ${id}".`
}

/** Moves that are named in one message; the rest is counted. */
const SHOWN = 5

/**
 * Require that no tenant is on its way, or could still go back: tables must not change under it, and a migration would
 * change those of one end alone. Moves that nobody has begun do not count: they find the migration when they begin.
 *
 * @throws TENANT_BUSY  with each move and what to type
 */
export async function requireNoMoves(directory: Queryable): Promise<void> {
  const rows = await directory.query(`
    select id, tenant_id, state from directory.move
    where state not in ('queued', 'done', 'aborted', 'rolled-back') order by id`)
  if (rows.length === 0) return
  const lines = rows.slice(0, SHOWN).map(({ id, tenant_id, state }) => {
    const move = { id: id ?? '', state: state as MoveRecord['state'] }
    return `  Move ${id} of ${tenant_id} is ${state}. ${waysOut(move)}`
  })
  const rest = rows.length > SHOWN ? [`  and ${rows.length - SHOWN} more`] : []
  const sentence = ['Tables do not change while tenants move:', ...lines, ...rest].join('\n')
  fail('TENANT_BUSY', sentence, {}, { hint: 'Nothing was changed. See "shardgate move list".' })
}

/** Require that a tenant is not on its way. @throws TENANT_BUSY  with what to type */
export async function requireNoMove(directory: Queryable, tenant: TenantId): Promise<void> {
  const open = await openMoveOf(directory, tenant)
  if (!open) return
  const sentence = `${tenant} has rows at two places: move ${open.id} is ${open.state}.`
  fail('TENANT_BUSY', sentence, { tenant }, { hint: `Nothing was changed. ${waysOut(open)}` })
}
