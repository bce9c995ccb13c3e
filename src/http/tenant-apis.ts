/**
 * Which API answers a tenant: that of the shape that its tables have. Known shapes cost one look-up.
 *
 * A gateway's knowledge of places and tables may be late. Where a place cannot be looked at, the directory is asked
 * whether the tenant is still there; where a statement has failed as if its tables had changed, both are looked at anew.
 */

import type { TenantId } from '../base/ids.ts'
import type { Deadline } from '../base/time.ts'
import type { FindPlacement, Placement } from '../directory/types.ts'
import type { Api } from '../graphql/apis.ts'
import type { Shape, Shapes } from '../shards/shapes.ts'

export interface Served {
  readonly placement: Placement
  readonly api: Api
}

export interface TenantApis {
  /**
   * At once where the tables of the placement are known. Otherwise with a placement that may be a newer one.
   *
   * @throws SHARD_UNAVAILABLE  the tables cannot be looked at
   * @throws TIMEOUT            not by the deadline
   */
  of(placement: Placement, deadline: Deadline): Api | Promise<Served>
  /**
   * After a statement has failed as if its tables had changed.
   *
   * @returns null where they have not, and the tenant was not moved either
   * @throws as `of`
   */
  renewed(served: Served, deadline: Deadline): Promise<Served | null>
}

export interface TenantApisOptions {
  readonly shapes: Shapes
  readonly apiOf: (shape: Shape) => Api
  readonly placements: { readonly find: FindPlacement; readonly refresh: FindPlacement }
}

export function createTenantApis({ shapes, apiOf, placements }: TenantApisOptions): TenantApis {
  async function looked(placement: Placement, found: Promise<Shape>, deadline: Deadline): Promise<Served> {
    try {
      return { placement, api: apiOf(await found) }
    } catch (error) {
      const fresh = await placementNow(placement.tenant)
      if (!fresh || fresh.epoch === placement.epoch) throw error
      return { placement: fresh, api: apiOf(await shapes.of(fresh, deadline)) }
    }
  }

  const placementNow = (tenant: TenantId): Promise<Placement | null> =>
    placements.refresh(tenant).catch(() => null)

  return {
    of(placement, deadline) {
      const shape = shapes.of(placement, deadline)
      return shape instanceof Promise ? looked(placement, shape, deadline) : apiOf(shape)
    },

    async renewed(served, deadline) {
      const { tenant, epoch } = served.placement
      // The door has asked the directory where the shard has refused the old placement.
      const placement = (await placements.find(tenant)) ?? served.placement
      const used = await shapes.of(placement, deadline)
      if (placement.epoch !== epoch || apiOf(used) !== served.api) return { placement, api: apiOf(used) }
      const api = apiOf(await shapes.renewed(placement, used, deadline))
      return api === served.api ? null : { placement, api }
    },
  }
}
