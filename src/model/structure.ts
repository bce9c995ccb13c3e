/**
 * The structure of a target as lines that a person can read and a program can compare: tables, columns, constraints,
 * indexes, policies, triggers, functions, views, types, comments, and what the app role may do with them.
 *
 * The target's own schema is written as '%' and the role that its tables are served with as 'app', so targets of all
 * isolation models that have had the same migrations have the same lines. What says nothing of the tables, such as oids
 * and the order of columns, is not in them.
 */

import { createHash } from 'node:crypto'
import type { Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'
import { compareText } from './catalog.ts'
import { STRUCTURE_SQL } from './structure-sql.ts'

export interface StructureQuestion {
  /** Schemas that are served; the first is the target's own. */
  readonly schemas: readonly string[]
  /** The role whose rights its tables are served with. */
  readonly appRole: string
}

/** The lines, sorted. Any role can ask: the catalogs are public. */
export async function readStructure(
  db: Queryable,
  { schemas, appRole }: StructureQuestion,
): Promise<string[]> {
  const [own = 'public'] = schemas
  const [kept] = await db.query(`select current_setting('search_path') as path`)
  const enter = (path: string): Promise<unknown> =>
    db.query(compile(sql`select set_config('search_path', ${sql.value(path)}, false)`))
  // Definitions name what lies on the search path without its schema: equal, wherever that is.
  await enter(quotedName(own))
  try {
    const [row] = await db.query({ text: STRUCTURE_SQL, values: [[...schemas]] })
    const lines = JSON.parse(row?.lines ?? '[]') as string[]
    return lines.map((line) => neutral(line, own, appRole)).sort(compareText)
  } finally {
    await enter(kept?.path ?? '"$user", public').catch(() => {})
  }
}

/** SHA-256, in hex. */
export function fingerprintOfStructure(lines: readonly string[]): string {
  return createHash('sha256').update(lines.join('\n')).digest('hex')
}

export interface Difference {
  /** '+' it is there and was not expected, '-' it is missing. */
  readonly sign: '+' | '-'
  readonly line: string
}

/** What must be taken from and added to `expected` to get `found`, in the order of the lines. */
export function differencesOf(expected: readonly string[], found: readonly string[]): Difference[] {
  const [wanted, has] = [new Set(expected), new Set(found)]
  const all = [
    ...expected.filter((line) => !has.has(line)).map((line): Difference => ({ sign: '-', line })),
    ...found.filter((line) => !wanted.has(line)).map((line): Difference => ({ sign: '+', line })),
  ]
  return all.sort((a, b) => compareText(a.line, b.line))
}

// Bodies of functions and definitions of what is not on the search path hold names with their schema. A setting that
// begins like the schema ("app.current_tenant_id") is none of them.
function neutral(line: string, own: string, appRole: string): string {
  const plain = escaped(own)
  const role = escaped(appRole)
  return line
    .replace(/\s+/g, ' ')
    .replace(new RegExp(`(?:"${plain}"|(?<![\\w$."])${plain})\\.(?!current_tenant_id\\b)`, 'g'), '%.')
    .replace(new RegExp(`"${role}"|(?<![\\w$"])${role}(?![\\w$"])`, 'g'), 'app')
    .trim()
}

const escaped = (name: string): string => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
const quotedName = (name: string): string => `"${name.replaceAll('"', '""')}"`
