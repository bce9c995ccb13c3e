/**
 * Which targets lack which files.
 *
 * The directory's digests tell in one query which targets have everything; only the others are asked, all that lie in
 * one database with one question. What they answer holds, whatever the directory remembers.
 */

import { fail, isGatewayError } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { digestOf, type Target, targetName } from '../../directory/targets.ts'
import { type Fleet, onHome, reasonOf } from '../reach.ts'
import { type Book, missing, readBooks } from './book.ts'
import type { Migration } from './files.ts'
import { inParallel } from './lanes.ts'

export interface Pending {
  readonly target: Target
  /** Files that it lacks, in order. */
  readonly missing: readonly Migration[]
  /** Entries of its book that the folder has no file for, as 'version_name'. */
  readonly strange: readonly string[]
  /** Pages of its tables, for a tenant's own; null where nobody has looked. */
  readonly size: number | null
  /** Why it could not be asked, as a sentence. */
  readonly unreachable?: string
}

/** Databases that are asked at once. */
const AT_ONCE = 8

/** What the directory's digest says: the missing files; undefined when only the target itself can tell. */
export function missingByDigest(
  files: readonly Migration[],
): (target: Target) => readonly Migration[] | undefined {
  const left = new Map<string, readonly Migration[]>()
  for (let count = files.length; count >= 0; count--)
    left.set(digestOf(files.slice(0, count)), files.slice(count))
  // '' is what is known of a target that nobody has recorded yet.
  left.delete('')
  return ({ applied }) => (files.length === 0 ? [] : left.get(applied))
}

/**
 * Ask the targets themselves. One that cannot be asked has the files that it is not known to have, and the reason.
 *
 * @throws REFUSED  a file was changed after it had been applied, whichever target says so
 */
export async function askTargets(
  fleet: Fleet,
  targets: readonly Target[],
  files: readonly Migration[],
): Promise<Pending[]> {
  const byDigest = missingByDigest(files)
  const away = (target: Target, unreachable: string): Pending => {
    return { target, missing: byDigest(target) ?? files, strange: [], size: null, unreachable }
  }
  const found = await inParallel(byDatabase(targets), AT_ONCE, async (group): Promise<Pending[]> => {
    const shard = fleet.shards.find(({ key }) => key === group[0]!.shard)
    if (!shard) return group.map((target) => away(target, `the configuration has no shard ${target.shard}`))
    try {
      return await onHome(shard, group[0]!, (client) => askDatabase(client, group, files))
    } catch (error) {
      if (!isGatewayError(error, 'SHARD_UNAVAILABLE')) throw error
      return group.map((target) => away(target, reasonOf(error)))
    }
  })
  const order = new Map(targets.map((target, i) => [target, i]))
  return found.flat().sort((a, b) => order.get(a.target)! - order.get(b.target)!)
}

function byDatabase(targets: readonly Target[]): Target[][] {
  const groups = Map.groupBy(targets, ({ shard, isolation, namespace }) =>
    isolation === 'database' ? `${shard} ${namespace}` : shard,
  )
  return [...groups.values()]
}

async function askDatabase(
  client: Client,
  targets: readonly Target[],
  files: readonly Migration[],
): Promise<Pending[]> {
  const books = await readBooks(client, targets.map(bookOf))
  const sizes = await sizesOf(client, targets)
  return targets.map((target) => {
    const book = books.get(bookOf(target)) ?? []
    const size = target.isolation === 'shared' ? null : (sizes.get(target.namespace) ?? 0)
    return {
      target,
      missing: missing(book, files, targetName(target)),
      strange: strangeIn(book, files),
      size,
    }
  })
}

/**
 * A folder that lacks what a target has, and has something else for it, is that of another program or of another branch.
 *
 * @throws REFUSED
 */
export function requireContinued(pending: readonly Pending[]): void {
  const found = pending.find(({ missing, strange }) => missing.length > 0 && strange.length > 0)
  if (!found) return
  const { target, strange } = found
  const hint =
    'Nothing was changed. Use the folder that these files come from, or put them back into this one.'
  const files = `${strange[0]}.sql${strange.length > 1 ? ` and ${strange.length - 1} more` : ''}`
  fail(
    'REFUSED',
    `${targetName(target)} has ${files}, which the folder of migrations does not have.`,
    {},
    { hint },
  )
}

/** The name of a target in the book of its database. */
export function bookOf({ isolation, namespace }: Target): string {
  return isolation === 'schema' ? namespace : ''
}

function strangeIn(book: Book, files: readonly Migration[]): string[] {
  const known = new Set(files.map(({ version }) => version))
  return book.filter(({ version }) => !known.has(version)).map(({ version, name }) => `${version}_${name}`)
}

// Of what Postgres itself has written down: nothing is measured.
async function sizesOf(client: Client, targets: readonly Target[]): Promise<Map<string, number>> {
  const [first] = targets
  const schemas = targets.filter(({ isolation }) => isolation === 'schema').map(({ namespace }) => namespace)
  if (first?.isolation === 'database') {
    const [row] = await client.query(`
      select sum(relpages) as pages from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'`)
    return new Map([[first.namespace, Number(row?.pages)]])
  }
  if (schemas.length === 0) return new Map()
  const rows = await client.query(
    compile(sql`
      select n.nspname as name, sum(c.relpages) as pages from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = any(${sql.value(schemas)}::text[]) group by 1`),
  )
  return new Map(rows.map(({ name, pages }) => [name ?? '', Number(pages)]))
}
