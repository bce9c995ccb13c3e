/**
 * 10 to 10,000 tenants of one small size in shared tables.
 *
 * Rows of a tenant lie together, so that what grows is the number of tenants alone. The last stage has the same rows
 * between each other: an answer of 100 comments then reads 100 pages out of many more than the caches of a core hold,
 * which costs Postgres more, however many tenants they belong to. It shows that price and has no goal.
 */

import { compareStages, type Growth, type GrowthOptions, type Stage } from './compare.ts'

const TENANTS = [10, 100, 1_000, 10_000]
const GOAL = 1.1

export function growTenants(options: GrowthOptions): Promise<Growth> {
  const stages = TENANTS.map((tenants) => stageOf(tenants, 'together'))
  const mixed = { ...stageOf(TENANTS.at(-1) ?? 0, 'mixed'), isAside: true }
  return compareStages('Tenants in shared tables', [...stages, mixed], GOAL, options)
}

function stageOf(tenants: number, layout: 'together' | 'mixed'): Stage {
  return {
    title: `${tenants.toLocaleString('en')} tenants${layout === 'mixed' ? ', rows mixed' : ''}`,
    name: `tenants-${tenants}-${layout}`,
    sizes: [{ size: 'S', tenants, users: 20, tickets: 50 }],
    layout,
    // All rows of all tenants fit: what is measured is the number of tenants, not the disk.
    sharedBuffers: tenants > 1_000 ? '2GB' : '256MB',
  }
}
