/**
 * `migrate verify`: the real structure of each target against the expected one, and its book against what the directory
 * remembers. Changes nothing.
 */

import { isGatewayError } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { digestOf, listTargets, type Target, targetName } from '../../directory/targets.ts'
import {
  type Difference,
  differencesOf,
  fingerprintOfStructure,
  readStructure,
} from '../../model/structure.ts'
import { DEFAULT_TENANCY, type Fleet, onDirectory, onHome, reasonOf } from '../reach.ts'
import { readBook } from './book.ts'
import { type Expected, expectedStructures } from './expected.ts'
import { inParallel } from './lanes.ts'
import { placeOf } from './place.ts'

export interface Verdict {
  readonly target: string
  /** 'as expected', 'drift', 'unknown': nothing is known to compare it with; 'away': it could not be asked. */
  readonly kind: 'as expected' | 'drift' | 'unknown' | 'away'
  /** Where the expected structure comes from, or why there is no verdict. */
  readonly because: string
  /** Lines to take away and to add to get from the expected structure to the real one. */
  readonly differences: readonly Difference[]
}

/** Targets that are asked at once. */
const AT_ONCE = 6

/** @throws DIRECTORY_UNAVAILABLE  the directory cannot be reached */
export function verifyFleet(
  fleet: Fleet,
  told: (done: number, of: number) => void = () => {},
): Promise<Verdict[]> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const targets = await listTargets(directory)
    const expected = expectedStructures(targets, (fleet.tenancy ?? DEFAULT_TENANCY).schemas)
    const lines = await structuresOf(
      directory,
      targets.map((target) => expected(target)?.structure ?? ''),
    )
    let done = 0
    return inParallel(targets, AT_ONCE, async (target): Promise<Verdict> => {
      const verdict = await verify(fleet, target, expected, lines)
      told(++done, targets.length)
      return { target: targetName(target), ...verdict }
    })
  })
}

async function structuresOf(directory: Client, wanted: readonly string[]): Promise<Map<string, string[]>> {
  const rows = await directory.query(
    compile(sql`
      select fingerprint, to_json(lines)::text as lines from directory.structure
      where fingerprint = any(${sql.value([...new Set(wanted)])}::text[])`),
  )
  return new Map(rows.map((row) => [row.fingerprint ?? '', JSON.parse(row.lines ?? '[]') as string[]]))
}

async function verify(
  fleet: Fleet,
  target: Target,
  expected: (target: Pick<Target, 'isolation' | 'applied'>) => Expected | undefined,
  structures: ReadonlyMap<string, readonly string[]>,
): Promise<Omit<Verdict, 'target'>> {
  const shard = fleet.shards.find(({ key }) => key === target.shard)
  if (!shard) return away(`the configuration has no shard ${target.shard}`)
  const place = placeOf(target, fleet.tenancy ?? DEFAULT_TENANCY)
  try {
    const [applied, found] = await onHome(shard, target, async (client) => [
      digestOf(await readBook(client, place.book)),
      await readStructure(client, place),
    ])
    const wanted = expected({ ...target, applied })
    const lines = structures.get(wanted?.structure ?? '')
    if (!wanted || !lines) return unknown(target, applied)
    if (fingerprintOfStructure(found) === wanted.structure)
      return { kind: 'as expected', because: votesOf(wanted), differences: [] }
    return { kind: 'drift', because: votesOf(wanted), differences: differencesOf(lines, found) }
  } catch (error) {
    if (!isGatewayError(error)) throw error
    return away(reasonOf(error))
  }
}

const away = (because: string): Omit<Verdict, 'target'> => ({ kind: 'away', because, differences: [] })

const votesOf = ({ votes, of }: Expected): string =>
  `expected is what ${votes} of ${of} targets with the same files had after their migration`

function unknown(target: Target, applied: string): Omit<Verdict, 'target'> {
  const because =
    applied === target.applied
      ? 'no migration of it has been recorded'
      : 'its own book and the directory differ; "shardgate migrate up" reads it again'
  return { kind: 'unknown', because, differences: [] }
}
