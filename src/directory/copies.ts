/** A gateway's copies of the directory's placements: read at the start, then kept as young as the directory allows. */

import type { Config } from '../base/config.ts'
import type { Emit } from '../base/events.ts'
import { type PlacementCache, placementCache } from './cache.ts'
import { watchChanges } from './changes.ts'
import { type DirectoryReader, directoryReader } from './reader.ts'

export interface Copies {
  readonly placements: PlacementCache
  readonly structures: DirectoryReader['structures']
  readonly figures: DirectoryReader['figures']
  /** Stop looking for changes, and close the connections. */
  end(): void
}

/** @throws DIRECTORY_UNAVAILABLE  the directory cannot be asked */
export async function openCopies({ directory }: Config, emit: Emit): Promise<Copies> {
  const { url, cacheTenants: max, cacheMs: ttlMs } = directory
  const { find, list: load, changed, structures, figures, end } = directoryReader({ url })
  const placements = placementCache({ find, load, max, ttlMs, emit })
  await placements.preload().catch((error: unknown) => {
    end()
    throw error
  })
  const changes = watchChanges({ changed, renew: (tenants) => placements.renew(tenants) })
  return {
    placements,
    structures,
    figures,
    end() {
      changes.end()
      end()
    },
  }
}
