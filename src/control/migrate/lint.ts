/**
 * Judging what a file has done to the isolation of tenants, before it is kept.
 *
 * Everything that checkSafety calls unsafe and that was not so before the file is a reason to refuse it. What was
 * before is looked at only when there is something to compare: on a target that is safe, which is nearly always, a file
 * costs one look.
 */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { quoted } from '../../model/quote.ts'
import { checkSafety, type Finding } from '../../model/safety.ts'
import type { Migration } from './files.ts'
import { APP_ROLE, type Place } from './place.ts'

/** What of the tenancy of a configuration the judgement takes. */
export interface Tenancy {
  readonly column: string
  /** 'schema.name' of tables without the tenant column that every tenant may read. */
  readonly global?: readonly string[]
}

export interface Lint {
  /** Whether anything is unsafe that is not known to have been before. */
  looksUnsafe(): Promise<boolean>
  /** Look at what is unsafe now, before the file. */
  readBefore(): Promise<void>
  /** Throws SETUP_FAILED with the reasons and what mends them. Nothing may be used of the transaction then. */
  requireNothingNew(migration: Migration): Promise<void>
  /** What a file that was kept has left, a sentence each. */
  sentences(migration: Migration): Promise<readonly string[]>
}

/** @param tenancy  left out: nothing is judged */
export function openLint(client: Client, place: Place, tenancy?: Tenancy): Lint {
  let before: readonly Finding[] = []
  const findings = (): Promise<Finding[]> =>
    tenancy ? unsafeOf(client, place, tenancy) : Promise.resolve([])
  const fresh = async (): Promise<Finding[]> => newOf(before, await findings())
  return {
    looksUnsafe: async () => (await fresh()).length > 0,
    async readBefore() {
      before = await findings()
    },
    async requireNothingNew({ file }) {
      const found = await fresh()
      if (found.length === 0) return
      const lines = found.map((finding) => `  ${sentenceOf(finding, place)}`)
      fail(
        'SETUP_FAILED',
        [
          `${file} would break the isolation of tenants in ${place.name}; nothing of it was kept.`,
          ...lines,
        ].join('\n'),
        {},
        { hint: 'Put what mends it into the same file.' },
      )
    },
    async sentences({ file }) {
      return (await fresh()).map((finding) => `${file}, which was kept: ${sentenceOf(finding, place)}`)
    },
  }
}

/**
 * What is worse than before: more findings of one check on one table. A half of what was wrong, once the other half has
 * been mended, may be told in other words and is nothing new.
 */
function newOf(before: readonly Finding[], after: readonly Finding[]): Finding[] {
  const keyOf = ({ check, table = '' }: Finding): string => `${check} ${table}`
  const had = Map.groupBy(before, keyOf)
  return [...Map.groupBy(after, keyOf)].flatMap(([key, found]) => {
    const known = had.get(key) ?? []
    if (found.length <= known.length) return []
    return found.filter(({ reason }) => !known.some((one) => one.reason === reason))
  })
}

// A file is for all targets: what mends it is told in the names that files have for what is each target's own.
function sentenceOf({ table, reason, sql: mending }: Finding, { schema, appRole }: Place): string {
  const subject = table === undefined ? reason : `${table}: ${reason}`
  if (mending === undefined) return subject
  const shared = mending.replaceAll(`${quoted(schema)}.`, '').replaceAll(quoted(appRole), APP_ROLE)
  return `${subject} To mend it: ${shared.replaceAll('\n', '\n    ')}`
}

async function unsafeOf(client: Client, place: Place, { column, global = [] }: Tenancy): Promise<Finding[]> {
  const { schemas, appRole } = place
  const named = global.map((id) => ownTable(id, place))
  const own = place.isolation !== 'shared'
  const findings = await checkSafety(client, { column, schemas, appRole, global: named, own })
  const open = place.appRole === APP_ROLE ? [] : await openToAll(client, place)
  return [...findings, ...open].filter(({ severity }) => severity === 'unsafe')
}

/** 'app.countries' is 'tenant_acme.countries' in a schema of its own. */
function ownTable(id: string, { schema, sharedSchema }: Place): string {
  return id.startsWith(`${sharedSchema}.`) ? schema + id.slice(sharedSchema.length) : id
}

// The log-in of the gateway finds the names in every tenant's schema and must not have a right on what they name:
// a statement that reached it without the tenant's role would read them all.
async function openToAll(client: Client, { schema }: Place): Promise<Finding[]> {
  const rows = await client.query(
    compile(sql`
      select c.relname as name, format('revoke all on %I from public', c.relname) as mending
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = ${sql.value(schema)} and c.relkind in ('r', 'p', 'v', 'm', 'f')
        and (has_table_privilege(${sql.value(APP_ROLE)}, c.oid, 'select, insert, update, delete, truncate')
          or has_any_column_privilege(${sql.value(APP_ROLE)}, c.oid, 'select, insert, update'))
      order by 1`),
  )
  return rows.map(({ name, mending }) => ({
    table: `${schema}.${name}`,
    check: 'own-schema',
    severity: 'unsafe',
    reason: `${APP_ROLE} has rights on it, and it belongs to one tenant alone.`,
    sql: `${mending};`,
  }))
}
