/** The one door on a world: opened as the gateway opens it, with what it emits written down. */

import { loadConfig } from '../../src/base/config.ts'
import type { Event } from '../../src/base/events.ts'
import type { Failpoints } from '../../src/base/failpoints.ts'
import type { TenantId } from '../../src/base/ids.ts'
import { deadlineIn } from '../../src/base/time.ts'
import type { Row } from '../../src/db/batch.ts'
import { withClient } from '../../src/db/client.ts'
import { prepared } from '../../src/db/sql.ts'
import { type PlacementCache, placementCache } from '../../src/directory/cache.ts'
import { directoryReader } from '../../src/directory/reader.ts'
import { listShards } from '../../src/directory/shards.ts'
import type { Buffering } from '../../src/shards/buffering.ts'
import type { Door, Mode } from '../../src/shards/door.ts'
import { openDoors } from '../../src/shards/doors.ts'
import { type Fleet, openFleet } from '../../src/shards/fleet.ts'
import { createRouter } from '../../src/shards/router.ts'
import type { Fits } from '../../src/shards/routing.ts'
import type { World } from './shard-fixture.ts'

export interface WorldDoor {
  readonly door: Door
  /** One whose statements are not for all tables; it shares all else. */
  readonly doorFor: (fits: Fits) => Door
  readonly buffering: Buffering
  readonly fleet: Fleet
  readonly placements: PlacementCache
  readonly events: Event[]
  /** Run one statement as a batch of its own. */
  ask(tenant: TenantId, text: string, values?: (string | number | null)[], mode?: Mode): Promise<Row[]>
  end(): void
}

/** @param admitted  whether the shards serve at once; if not, admission.ts has to let them in */
export async function openWorldDoor(
  world: Pick<World, 'configFile' | 'directoryUrl'>,
  failpoints?: Failpoints,
  admitted = true,
): Promise<WorldDoor> {
  const config = loadConfig(world.configFile, {})
  const events: Event[] = []
  const emit = (event: Event): void => void events.push(event)
  const known = await withClient(world.directoryUrl, listShards)
  const fleet = openFleet(config, new Map(known.map(({ key, id }) => [key, id])), emit)
  if (admitted) for (const shard of fleet.values()) shard.admit()
  const reader = directoryReader({ url: config.directory.url })
  const placements = placementCache({ find: reader.find, load: reader.list, max: 100, ttlMs: 30_000, emit })
  const { door: open, buffering } = openDoors({
    router: createRouter(placements, emit),
    shards: fleet,
    schema: config.tenancy.schemas[0]!,
    moves: () => config.moves,
    emit,
    ...(failpoints && { failpoints }),
  })
  const door = open()
  return {
    door,
    doorFor: open,
    buffering,
    fleet,
    placements,
    events,
    async ask(tenant, text, values = [], mode = 'read') {
      const [rows = []] = await door.batch(tenant, mode, deadlineIn(5_000), [prepared(text, values)])
      return rows
    },
    end() {
      for (const shard of fleet.values()) shard.end()
      reader.end()
    },
  }
}
