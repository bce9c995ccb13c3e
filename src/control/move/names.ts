/**
 * What a move's things are called in Postgres.
 *
 *     publication   shardgate_move_12, shardgate_back_12      in the database that changes come from
 *     slot          shardgate_move_12_1f0c22ab                the same, and which database that is
 *
 * The name of a slot belongs to the whole server, on which another fleet may have a move of the same number.
 */

import { createHash } from 'node:crypto'
import { databaseUrl } from '../../db/database-url.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import type { Moving } from './types.ts'

/** Which way changes go: from the source to the target, or back when the target is where the tenant writes. */
export type Direction = 'forward' | 'back'

export interface Way {
  readonly from: Whereabouts
  readonly to: Whereabouts
}

/** The ends of a way. @param moving  as its record says, whatever the direction */
export function wayOf({ source, target }: Pick<Moving, 'source' | 'target'>, direction: Direction): Way {
  return direction === 'forward' ? { from: source, to: target } : { from: target, to: source }
}

const WORDS: Readonly<Record<Direction, string>> = { forward: 'move', back: 'back' }

/** Of a publication. */
export function wayName(moveId: string, direction: Direction): string {
  return `shardgate_${WORDS[direction]}_${moveId}`
}

/** @param from  where changes come from */
export function slotName(
  moveId: string,
  direction: Direction,
  from: Pick<Whereabouts, 'shard' | 'home'>,
): string {
  const { pathname } = new URL(homeUrl(from.shard.url, from))
  const database = createHash('sha256').update(decodeURIComponent(pathname)).digest('hex').slice(0, 8)
  return `${wayName(moveId, direction)}_${database}`
}

/** The connection string `url` of a shard, led to the database of a home on it. */
export function homeUrl(url: string, { home }: Pick<Whereabouts, 'home'>): string {
  return home.isolation === 'database' ? databaseUrl(url, home.namespace) : url
}
