/**
 * Migrations as files, in dbmate's format:
 *
 *     20260101120000_create_tickets.sql
 *         -- migrate:up
 *         create table …
 *         -- migrate:down
 *         drop table …
 *
 * Only the part below `migrate:up` is ever run; the other is for the people who wrote it. A file that says
 * "migrate:up transaction:false" is run statement by statement: for what cannot be in a transaction, and for
 * many short ones.
 */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../base/errors.ts'

export interface Migration {
  /** The digits that the file's name begins with; they give the order. */
  readonly version: string
  readonly name: string
  readonly file: string
  /** SHA-256 of the whole file in hex, line ends made equal. */
  readonly checksum: string
  readonly up: string
  /** False: each statement is a transaction of its own, and the file may be run again after one has failed. */
  readonly whole: boolean
}

/**
 * Read the migrations of a folder, in order.
 *
 * @throws SETUP_FAILED  the folder cannot be read, a name or a file is not as above, or a version comes twice
 */
export function readMigrations(folder: string): Migration[] {
  const names = sqlFiles(folder)
  const migrations = names.map((name) => {
    const [, version, title] = /^(\d{14})_(\w+)\.sql$/.exec(name) ?? []
    if (!version || !title)
      return badFile(folder, name, 'wanted a name like 20260101120000_create_tickets.sql')
    const text = textOf(join(folder, name))
    return { version, name: title, file: name, checksum: hashOf(text), ...upPart(folder, name, text) }
  })
  const twice = migrations.find(({ version }, i) => migrations[i + 1]?.version === version)
  if (twice) badFile(folder, twice.file, `wanted each version once; another file has ${twice.version} too`)
  return migrations
}

/** Read the files of a schema of our own (`0001_directory.sql`), which are run whole. */
export function readSystemFiles(folder: string): Migration[] {
  return sqlFiles(folder).map((file) => {
    const up = textOf(join(folder, file))
    return { version: file.slice(0, 4), name: file.slice(5, -4), file, checksum: hashOf(up), up, whole: true }
  })
}

function sqlFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.sql'))
      .sort()
  } catch (cause) {
    return fail('SETUP_FAILED', `There is no folder of migrations at ${folder}.`, {}, { cause })
  }
}

const textOf = (path: string): string => readFileSync(path, 'utf8').replaceAll('\r\n', '\n')
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

function upPart(folder: string, file: string, text: string): Pick<Migration, 'up' | 'whole'> {
  const [, options, up] =
    /^-- *migrate:up([^\n]*)\n([\s\S]*?)(?:^-- *migrate:down|$(?![\s\S]))/m.exec(text) ?? []
  if (up === undefined) return badFile(folder, file, 'wanted a line "-- migrate:up" above the statements')
  return { up, whole: !/transaction *: *false/.test(options ?? '') }
}

function badFile(folder: string, file: string, what: string): never {
  return fail('SETUP_FAILED', `${join(folder, file)}: ${what}.`)
}
