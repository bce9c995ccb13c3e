/** Statements for tables without the tenant column never reach tables that tenants share, however late anybody is. */

import { expect, it } from 'vitest'
import { deadlineIn } from '../../src/base/time.ts'
import { ownHomesOnly } from '../../src/shards/routing.ts'
import { placementOf } from '../kit/placements.ts'

const fits = ownHomesOnly(() => true)

it('lets a tenant with a home of its own through', async () => {
  for (const isolation of ['schema', 'database'] as const) {
    expect(await fits(placementOf('acme', { isolation }), deadlineIn(1_000))).toBe(true)
  }
})

it('refuses one that has shared tables by now, whatever is known of their shape', async () => {
  expect(await fits(placementOf('acme', { isolation: 'shared' }), deadlineIn(1_000))).toBe(false)
})
