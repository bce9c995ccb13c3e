/** Statements for tables without the tenant column never reach tables that tenants share, however late anybody is. */

import { expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import type { Placement } from '../../src/directory/types.ts'
import { createRouter, ownHomesOnly } from '../../src/shards/router.ts'
import { placementOf } from '../kit/placements.ts'

const acme = tenantId('acme')
const routerOf = (known: Partial<Placement>, fresh: Partial<Placement>) => {
  const copies = { find: async () => placementOf(acme, known), refresh: async () => placementOf(acme, fresh) }
  return ownHomesOnly(createRouter(copies, () => {}))
}
const moved = { code: 'TENANT_MOVING' }

it('lets a tenant with a home of its own through', async () => {
  const router = routerOf({ isolation: 'schema' }, { isolation: 'database' })
  expect(await router.find(acme)).toMatchObject({ isolation: 'schema' })
  expect(await router.refresh(acme)).toMatchObject({ isolation: 'database' })
})

it('refuses one that has shared tables by now, from a copy and from the directory', async () => {
  const router = routerOf({ isolation: 'shared' }, { isolation: 'shared' })
  await expect(router.find(acme)).rejects.toMatchObject(moved)
  await expect(router.refresh(acme)).rejects.toMatchObject(moved)
})
