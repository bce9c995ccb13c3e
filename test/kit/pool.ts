/** A small pool with nothing asked of new connections, for tests of pools. */

import { Pool, type PoolOptions } from '../../src/db/pool.ts'

export function smallPool(options: Pick<PoolOptions, 'url' | 'onDestroyed'> & Partial<PoolOptions>): Pool {
  return new Pool({
    connectMs: 2_000,
    applicationName: 'test',
    shared: 2,
    depth: 4,
    exclusive: 2,
    waiting: 3,
    onConnect: async () => {},
    ...options,
  })
}
