/** The home that rows are copied into, and the role that may do it. */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import type { Home } from '../homes/home.ts'
import { accessTo } from '../homes/reach-home.ts'
import type { At } from '../operations/types.ts'
import { type Fleet, onHome, onShard, type ShardAccess } from '../reach.ts'
import type { OnClient } from './lanes.ts'
import type { Whereabouts } from './snapshot.ts'
import { tenancyOf } from './subject.ts'

/** What the steps that make a tenant have left (control/creation.ts). */
export type Made = Pick<Home, 'shard' | 'isolation' | 'namespace' | 'epoch'>

/** The home that was made for the tenant of an operation. */
export function targetOf({ fleet, tenant, memory }: At<object, Made>): Whereabouts {
  const { shard = '', isolation = 'shared', namespace = '' } = memory
  return {
    tenant: tenant!,
    shard: accessTo(fleet, shard),
    home: { isolation, namespace },
    tenancy: tenancyOf(fleet),
  }
}

/** Opens connections of the mover to a home. */
export function asMover({ shard, home }: Pick<Whereabouts, 'shard' | 'home'>): OnClient {
  const mover = { ...shard, url: moverUrlOf(shard) }
  return (work) =>
    onHome(mover, home, async (client) => {
      await client.query('set statement_timeout = 0; set idle_in_transaction_session_timeout = 0')
      return work(client)
    })
}

/** Connection string of the mover. @throws SETUP_FAILED  the configuration has none */
export function moverUrlOf({ key, moverUrl }: ShardAccess): string {
  if (moverUrl !== undefined) return moverUrl
  return fail(
    'SETUP_FAILED',
    `Rows are written to ${key} by the role shardgate_mover, and the configuration does not say how it logs in.`,
    { shard: key },
    { hint: `Set shards.${key}.moverUrl: postgres://shardgate_mover:…@host/database` },
  )
}

/**
 * Row-level security refuses COPY FROM to all roles that it holds for; the mover must pass over it.
 *
 * @throws SETUP_FAILED  there is no mover, or it may not
 */
export async function requireMover(fleet: Fleet, key: string): Promise<void> {
  const shard = accessTo(fleet, key)
  const [role] = await onShard({ ...shard, url: moverUrlOf(shard) }, (client) =>
    client.query(`
      select rolname, rolbypassrls or rolsuper as may, format('alter role %I bypassrls;', rolname) as statement
      from pg_roles where rolname = current_user`),
  )
  if (role?.may === 't') return
  fail('SETUP_FAILED', `A superuser has to run this first on ${key}:\n  ${role?.statement}`, { shard: key })
}

/** Whether a connection may write rows without their triggers. */
export async function mayQuiet(client: Client): Promise<boolean> {
  const [row] = await client.query(
    `select has_parameter_privilege(current_user, 'session_replication_role', 'set') as may`,
  )
  return row?.may === 't'
}
