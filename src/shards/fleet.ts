/** All shards of the configuration, as the gateway holds them. */

import type { Config } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import { Shard } from './shard.ts'

export type Fleet = ReadonlyMap<string, Shard>

/**
 * Open nothing yet; connections are made by the first requests.
 *
 * @param ids  the directory's id of each shard
 * @throws CONFIG_INVALID  a shard was never set up
 */
export function openFleet(config: Config, ids: ReadonlyMap<string, string>, emit: Emit): Fleet {
  const shards = Object.entries(config.shards).map(([key, shard]) => {
    const id =
      ids.get(key) ??
      fail('CONFIG_INVALID', `The directory does not know ${key}; run "shardgate setup" first.`)
    return [key, new Shard({ key, config: shard, id, emit })] as const
  })
  return new Map(shards)
}

/** Take over what a reloaded configuration may change at run time. */
export function reconfigureFleet(fleet: Fleet, config: Config): void {
  for (const [key, shard] of fleet) {
    const changed = config.shards[key]
    if (changed) shard.reconfigure(changed)
  }
}
