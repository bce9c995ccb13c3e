/** The one door as a command opens it: for migrations of rows, on every shard, without a look at its tables. */

import type { Config } from '../base/config.ts'
import type { OpenDoor } from '../control/migrate/rows.ts'
import { onDirectory } from '../control/reach.ts'
import { directoryReader } from '../directory/reader.ts'
import { listShards } from '../directory/shards.ts'
import { openDoors } from '../shards/doors.ts'
import { openFleet } from '../shards/fleet.ts'
import { createRouter } from '../shards/router.ts'

/** Nothing is connected before the door is opened. */
export function doorOf(config: Config): OpenDoor {
  return async () => {
    const { url } = config.directory
    const known = await onDirectory(url, listShards)
    const emit = (): void => {}
    const [schema = 'public'] = config.tenancy.schemas
    const shards = openFleet(config, new Map(known.map(({ key, id }) => [key, id])), emit)
    // What a migration touches is not what is served: whether that is safe is judged where files are applied.
    for (const shard of shards.values()) shard.admit()
    const { find, end } = directoryReader({ url })
    const router = createRouter({ find, refresh: find }, emit)
    return {
      door: openDoors({ router, shards, schema, moves: () => config.moves, emit }).door(),
      end() {
        for (const shard of shards.values()) shard.end()
        end()
      },
    }
  }
}
