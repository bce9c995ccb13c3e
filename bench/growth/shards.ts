/** 200 tenants on 1 to 8 shards; the more shards, the fewer connections that reads share to each. */

import { compareStages, type Growth, type GrowthOptions } from './compare.ts'

/** Connections that reads share, by the number of shards. */
const CONNECTIONS: Readonly<Record<number, number>> = { 1: 4, 2: 3, 4: 2, 8: 1 }
const GOAL = 1.15

export function growShards(options: GrowthOptions): Promise<Growth> {
  const stages = Object.entries(CONNECTIONS).map(([count, readConnections]) => ({
    title: `${count} × ${readConnections}`,
    name: `shards-${count}`,
    sizes: [{ size: 'S', tenants: 200, users: 20, tickets: 250 }],
    shards: Number(count),
    sharedBuffers: '256MB',
    shardSettings: { readConnections },
  }))
  return compareStages('Shards × connections that reads share', stages, GOAL, options)
}
