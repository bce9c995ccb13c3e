/**
 * The book of a target: which files have been applied there, written in the transaction that applies them. Schemas of
 * tenants share the table of their shard's database, each under its own name; for everything else, which has a
 * database to itself, the namespace is ''.
 */

import { fail } from '../../base/errors.ts'
import type { Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { Migration } from './files.ts'

export interface BookEntry {
  readonly version: string
  readonly name: string
  readonly checksum: string
}

/** What has been applied, in order of versions. */
export type Book = readonly BookEntry[]

export async function readBook(db: Queryable, namespace: string): Promise<Book> {
  return (await readBooks(db, [namespace])).get(namespace) ?? []
}

/** The books of several targets of one database; one that has none is not in it. */
export async function readBooks(
  db: Queryable,
  namespaces: readonly string[],
): Promise<Map<string, BookEntry[]>> {
  const rows = await db.query<{ namespace: string; version: string; name: string; checksum: string }>(
    compile(sql`
      select namespace, version, name, checksum from shardgate.migration
      where namespace = any(${sql.value(namespaces)}::text[])
      order by namespace, version`),
  )
  const books = new Map<string, BookEntry[]>()
  for (const { namespace, ...entry } of rows) {
    const book = books.get(namespace)
    if (book) book.push(entry)
    else books.set(namespace, [entry])
  }
  return books
}

/** Write a file down. Call in the transaction that applies it. */
export async function enter(
  db: Queryable,
  namespace: string,
  { version, name, checksum }: BookEntry,
): Promise<void> {
  await db.query(
    compile(sql`
      insert into shardgate.migration (namespace, version, name, checksum)
      values (${sql.value(namespace)}, ${sql.value(version)}, ${sql.value(name)}, ${sql.value(checksum)})`),
  )
}

/** Tear the pages of a target out whose tables have been removed. */
export async function forgetBook(db: Queryable, namespace: string): Promise<void> {
  await db.query(compile(sql`delete from shardgate.migration where namespace = ${sql.value(namespace)}`))
}

/**
 * The files that a book lacks, in order.
 *
 * @param where  whose book it is, for the sentence
 * @throws REFUSED  a file was changed after it had been applied
 */
export function missing(book: Book, files: readonly Migration[], where?: string): Migration[] {
  const found = new Map(book.map(({ version, checksum }) => [version, checksum]))
  for (const { version, checksum, file } of files) {
    if ((found.get(version) ?? checksum) === checksum) continue
    const place = where === undefined ? '' : ` (${where} has it as it was)`
    fail('REFUSED', `${file} was changed after it had been applied${place}. Put it back and add a new file.`)
  }
  return files.filter(({ version }) => !found.has(version))
}
