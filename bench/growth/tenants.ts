/** 10 to 10,000 tenants of one small size in shared tables. */

import { compareStages, type Growth, type GrowthOptions } from './compare.ts'

const TENANTS = [10, 100, 1_000, 10_000]
const GOAL = 1.1

export function growTenants(options: GrowthOptions): Promise<Growth> {
  const stages = TENANTS.map((tenants) => ({
    title: `${tenants.toLocaleString('en')} tenants`,
    name: `tenants-${tenants}`,
    sizes: [{ size: 'S', tenants, users: 20, tickets: 50 }],
    // All rows of all tenants fit: what is measured is the number of tenants, not the disk.
    sharedBuffers: tenants > 1_000 ? '2GB' : '256MB',
  }))
  return compareStages('Tenants in shared tables', stages, GOAL, options)
}
