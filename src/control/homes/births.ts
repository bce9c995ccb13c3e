/**
 * Which tables a new home gets: those of the files that the shared tables of its shard have had. A file that waits in
 * the folder for its rollout must reach its canary first, not the tenant that happens to be made meanwhile.
 */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { applyFiles, enterSchema, LOCK_MS, runWhole } from '../migrate/apply.ts'
import { enter, readBook } from '../migrate/book.ts'
import { type Migration, readMigrations } from '../migrate/files.ts'
import { ownNames } from '../migrate/names.ts'
import type { Place } from '../migrate/place.ts'
import { filesOfShard } from '../migrate/target.ts'
import type { Fleet } from '../reach.ts'

/**
 * The files of new homes on a shard, in order.
 *
 * @param client  connected to the shard itself
 * @throws REFUSED       the shared tables have had no migrations
 * @throws SETUP_FAILED  the folder lacks a file that they have had, or has it otherwise
 */
export async function filesOf({ migrations }: Fleet, client: Client, shard: string): Promise<Migration[]> {
  const book = await readBook(client, '')
  if (migrations === undefined || book.length === 0) {
    return fail(
      'REFUSED',
      `A tenant with tables of its own gets them by the migrations that ${shard} has had, and it has had none.`,
      { shard },
      { hint: 'Run "shardgate migrate up" first.' },
    )
  }
  const files = await filesOfShard(client, readMigrations(migrations))
  const lost = book.find((entry) => !files.some(({ version }) => version === entry.version))
  if (!lost) return files
  const file = `${lost.version}_${lost.name}.sql`
  return fail('SETUP_FAILED', `${shard} has had ${file}, which is not in ${migrations}. Put it back.`)
}

/**
 * Make the tables of a new home, all files in one transaction where they allow that. What they have made is judged as
 * a whole afterwards, by whoever calls.
 *
 * The four files of the help desk take 210 ms in one transaction, 300 ms file by file, and 1,300 ms when each is judged
 * (medians of eight schemas on a busy machine, Postgres 18 without fsync, which would cost the files one by one more).
 *
 * @throws SETUP_FAILED  a file fails
 */
export async function bearTables(client: Client, place: Place, files: readonly Migration[]): Promise<void> {
  const fresh = (await readBook(client, place.book)).length === 0
  if (!fresh || !files.every((file) => isPlain(file, place)))
    return void (await applyFiles(client, place, files))
  await client.transaction(async () => {
    await client.query('set local role shardgate_owner')
    for (const file of files) {
      // A file may have set a path of its own.
      await enterSchema(client, place, { local: true, lockMs: LOCK_MS })
      await runWhole(client, file, ownNames(file.up, place))
      await enter(client, place.book, file)
    }
  })
}

const isPlain = ({ whole, perTenant, models }: Migration, { isolation }: Place): boolean =>
  whole && !perTenant && models.includes(isolation)
