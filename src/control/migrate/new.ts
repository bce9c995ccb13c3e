/** `migrate new`: an empty file that sorts behind all others of the folder. */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../../base/errors.ts'
import { type Clock, systemClock } from '../../base/time.ts'
import { readMigrations } from './files.ts'

const SQL = `-- What changes, and why.

-- migrate:up


-- migrate:down

`

const TYPESCRIPT = `/** What changes in the rows of each tenant, and why. Run a batch at a time until it returns null. */

export default async function (session, { cursor }) {
  const rows = await session.run({
    text: 'update … where id > $1 and … order by id limit 1000 returning id',
    values: [cursor ?? 0],
  })
  return rows.length === 0 ? null : { cursor: rows.at(-1)[0] }
}
`

/**
 * Write the file and give its path.
 *
 * @param name  'add priority' becomes '20260101120000_add_priority.sql'
 * @throws USAGE         the name has other characters than letters, digits, '_', '-' and spaces
 * @throws SETUP_FAILED  the folder holds what is no migration
 */
export function newMigration(
  folder: string,
  name: string,
  { rows = false, clock = systemClock }: { readonly rows?: boolean; readonly clock?: Clock } = {},
): string {
  const title = name
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, '_')
  if (!/^[a-z0-9_]{1,100}$/.test(title))
    fail(
      'USAGE',
      `A name has letters, digits, "_" and "-", 1 to 100; ${JSON.stringify(name.slice(0, 110))} came.`,
    )
  if (!existsSync(folder)) mkdirSync(folder, { recursive: true })
  const last = readMigrations(folder).at(-1)?.version ?? '0'
  // Two files of one second, and a clock that is behind that of a colleague, must not sort it before what is there.
  const now = new Date(clock.now()).toISOString().replace(/\D/g, '').slice(0, 14)
  const version = now > last ? now : String(BigInt(last) + 1n)
  const file = join(folder, `${version}_${title}.${rows ? 'ts' : 'sql'}`)
  writeFileSync(file, rows ? TYPESCRIPT : SQL, { flag: 'wx' })
  return file
}
