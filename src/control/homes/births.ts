/**
 * Which tables a new home gets: those of the files that the shared tables of its shard have had. A file that waits in
 * the folder for its rollout must reach its canary first, not the tenant that happens to be made meanwhile.
 */

import { fail } from '../../base/errors.ts'
import { missing, readBook } from '../migrate/book.ts'
import { type Migration, readMigrations } from '../migrate/files.ts'
import { type Fleet, onShard, type ShardAccess } from '../reach.ts'

/**
 * The files of new homes on a shard, in order.
 *
 * @throws REFUSED       the shared tables have had no migrations
 * @throws SETUP_FAILED  the folder lacks a file that they have had, or has it otherwise
 */
export async function filesOf({ migrations }: Fleet, shard: ShardAccess): Promise<Migration[]> {
  const book = await onShard(shard, (client) => readBook(client, ''))
  if (migrations === undefined || book.length === 0) {
    return fail(
      'REFUSED',
      `A tenant with tables of its own gets them by the migrations that ${shard.key} has had, and it has had none.`,
      { shard: shard.key },
      { hint: 'Run "shardgate migrate up" first.' },
    )
  }
  const all = readMigrations(migrations)
  const left = missing(book, all, shard.key)
  const files = all.filter((file) => !left.includes(file))
  const lost = book.find((entry) => !files.some(({ version }) => version === entry.version))
  if (!lost) return files
  const file = `${lost.version}_${lost.name}.sql`
  return fail('SETUP_FAILED', `${shard.key} has had ${file}, which is not in ${migrations}. Put it back.`)
}
