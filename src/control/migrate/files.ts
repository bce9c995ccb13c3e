/**
 * Migrations as files, in dbmate's format:
 *
 *     20260101120000_create_tickets.sql
 *         -- migrate:up
 *         create table …
 *         -- migrate:down
 *         drop table …
 *
 * Only the part below `migrate:up` is ever run; the other is for the people who wrote it. Marks stand behind it:
 *
 *     transaction:false   statement by statement: for what cannot be in a transaction, and for many short ones
 *     phase:contract      it removes what gateways of the release before use: run by "migrate up --contract" alone
 *     per:tenant          it changes rows, a tenant at a time, again and again until none is left
 *     in:shared,database  it says nothing to targets of other isolation models, which only write it down
 *
 * A file `<version>_<name>.ts` is a migration of rows that is written in TypeScript (tenants.ts).
 */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../../base/errors.ts'
import { ISOLATIONS, type Isolation } from '../../directory/types.ts'

export interface Migration {
  /** The digits that the file's name begins with; they give the order. */
  readonly version: string
  readonly name: string
  readonly file: string
  /** SHA-256 of the whole file in hex, line ends made equal. */
  readonly checksum: string
  /** Its statements; of a file in TypeScript none. */
  readonly up: string
  /** False: each statement is a transaction of its own, and the file may be run again after one has failed. */
  readonly whole: boolean
  /** Whether it removes what gateways may still use. */
  readonly contract: boolean
  /** Absolute path of a file in TypeScript; null for SQL. */
  readonly code: string | null
  /** Whether it is run for each tenant and not once for a target. */
  readonly perTenant: boolean
  /** Isolation models that it is for. */
  readonly models: readonly Isolation[]
}

/**
 * Read the migrations of a folder, in order.
 *
 * @throws SETUP_FAILED  the folder cannot be read, a name or a file is not as above, or a version comes twice
 */
export function readMigrations(folder: string): Migration[] {
  const migrations = filesOf(folder, /\.(sql|ts)$/).map((file) => {
    const [, version, name, kind] = /^(\d{14})_(\w+)\.(sql|ts)$/.exec(file) ?? []
    if (!version || !name)
      return badFile(folder, file, 'wanted a name like 20260101120000_create_tickets.sql')
    const text = textOf(join(folder, file))
    const rest = kind === 'sql' ? upPart(folder, file, text) : { ...ROWS, code: join(folder, file) }
    return { ...PLAIN, version, name, file, checksum: hashOf(text), ...rest }
  })
  const twice = migrations.find(({ version }, i) => migrations[i + 1]?.version === version)
  if (twice) badFile(folder, twice.file, `wanted each version once; another file has ${twice.version} too`)
  return migrations
}

/** Read the files of a schema of our own (`0001_directory.sql`), which are run whole. */
export function readSystemFiles(folder: string): Migration[] {
  return filesOf(folder, /\.sql$/).map((file) => {
    const up = textOf(join(folder, file))
    return { ...PLAIN, version: file.slice(0, 4), name: file.slice(5, -4), file, checksum: hashOf(up), up }
  })
}

const PLAIN = { up: '', whole: true, contract: false, code: null, perTenant: false, models: ISOLATIONS }
const ROWS = { perTenant: true }

function filesOf(folder: string, kind: RegExp): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => kind.test(name))
      .sort()
  } catch (cause) {
    return fail('SETUP_FAILED', `There is no folder of migrations at ${folder}.`, {}, { cause })
  }
}

const textOf = (path: string): string => readFileSync(path, 'utf8').replaceAll('\r\n', '\n')
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

type UpPart = Pick<Migration, 'up' | 'whole' | 'contract' | 'perTenant' | 'models'>

function upPart(folder: string, file: string, text: string): UpPart {
  const [, marks = '', up] =
    /^-- *migrate:up([^\n]*)\n([\s\S]*?)(?:^-- *migrate:down|$(?![\s\S]))/m.exec(text) ?? []
  if (up === undefined) return badFile(folder, file, 'wanted a line "-- migrate:up" above the statements')
  const mark = (name: string): string | undefined => new RegExp(`\\b${name} *: *([\\w,]+)`).exec(marks)?.[1]
  const known = (name: string, values: readonly string[]): string | undefined => {
    const value = mark(name)
    if (value === undefined || value.split(',').every((one) => values.includes(one))) return value
    return badFile(folder, file, `wanted ${name}:${values.join('|')}; ${name}:${value} came`)
  }
  const perTenant = known('per', ['tenant', 'target']) === 'tenant'
  const whole = known('transaction', ['true', 'false']) !== 'false'
  if (perTenant && !whole)
    badFile(folder, file, 'per:tenant runs in transactions of its own; take out transaction:false')
  const models = known('in', ISOLATIONS)?.split(',') ?? ISOLATIONS
  const contract = known('phase', ['expand', 'contract']) === 'contract'
  return { up, whole, contract, perTenant, models: ISOLATIONS.filter((model) => models.includes(model)) }
}

function badFile(folder: string, file: string, what: string): never {
  return fail('SETUP_FAILED', `${join(folder, file)}: ${what}.`)
}
