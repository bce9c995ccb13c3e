/** Moves of a tenant's rows between homes that are made for it, without a directory that knows of them. */

import type { TenantId } from '../../src/base/ids.ts'
import { type Home, makePlace, makeTables, namespaceOf, removeHome } from '../../src/control/homes/home.ts'
import { accessTo } from '../../src/control/homes/reach-home.ts'
import type { Moving } from '../../src/control/move/types.ts'
import type { Fleet, ShardAccess } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import type { Isolation } from '../../src/directory/types.ts'
import { NEW_MOVE } from './move-record.ts'

export interface Spot {
  readonly shard: string
  readonly isolation: Isolation
}

/** A home at a spot. */
export async function homeAt(
  fleet: Fleet,
  tenant: TenantId,
  { shard, isolation }: Spot,
  epoch: number,
): Promise<Home> {
  const shardId = await withClient(accessTo(fleet, shard).url, async (client) => {
    const [row] = await client.query('select id from shardgate.identity')
    return row?.id ?? ''
  })
  const [shared = 'public'] = fleet.tenancy?.schemas ?? []
  const namespace = namespaceOf(isolation, { tenant, shardId, shared })
  return { tenant, shard, isolation, namespace, epoch, state: 'frozen' }
}

/** Make the home and its tables; no fence. */
export async function makeSpot(fleet: Fleet, home: Home): Promise<void> {
  await makePlace(fleet, home)
  await makeTables(fleet, home)
}

/** Remove a home of its own; rows of shared tables stay. */
export const dropSpot = (fleet: Fleet, home: Home): Promise<void> =>
  home.isolation === 'shared' ? Promise.resolve() : removeHome(fleet, home)

/** A move from one home to another one that has come as far as being prepared. */
export function movingTo(fleet: Fleet, from: Home, to: Home, signal = new AbortController().signal): Moving {
  const { column, schemas, global } = {
    global: [],
    ...(fleet.tenancy ?? { column: 'tenant_id', schemas: [] }),
  }
  const where = ({ tenant, shard, isolation, namespace }: Home) => ({
    tenant,
    shard: accessTo(fleet, shard),
    home: { isolation, namespace },
    tenancy: { column, schemas, global: global ?? [] },
  })
  const { tenant } = from
  return {
    fleet,
    directory: null as never, // No copy looks at it.
    tenant,
    source: where(from),
    target: where(to),
    report: () => {},
    signal,
    record: {
      ...NEW_MOVE,
      tenant,
      source: from,
      target: to,
      state: 'prepared',
    },
  }
}

/** As superuser, the database of a home. */
export function superuserUrlOf(shards: readonly { key: string; superuserUrl: string }[], home: Home): string {
  const { superuserUrl = '' } = shards.find(({ key }) => key === home.shard) ?? {}
  return home.isolation === 'database' ? databaseUrl(superuserUrl, home.namespace) : superuserUrl
}

/** A shard of a fleet that is reached in another way. */
export const changedShard = (fleet: Fleet, key: string, change: Partial<ShardAccess>): Fleet => ({
  ...fleet,
  shards: fleet.shards.map((shard) => (shard.key === key ? { ...shard, ...change } : shard)),
})
