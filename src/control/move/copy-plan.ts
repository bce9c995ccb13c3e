/**
 * How the rows of each table go over: in which of COPY's formats, quietly or with triggers, and which foreign keys
 * have to be looked at afterwards.
 *
 * Binary where both sides have the same major version and the same types, all of them Postgres' own: a sixth faster
 * than text (npm run bench:move). Types of users travel as text: within arrays and composites their binary form has
 * numbers that are other ones in each database. So do regclass and its kind, which are such a number. All others are
 * exact both ways: -0, NaN and infinity, years before Christ, digits to the last.
 */

import type { Client } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { type ForeignKey, type Keys, keysOf, parentsFirst } from '../copy/table-keys.ts'
import { type CopyTable, rowsOf } from '../copy/tables.ts'
import { mayQuiet } from '../copy/target.ts'
import { movedTablesOf, type Pair, pairsOf } from './moved-tables.ts'
import type { Moving } from './types.ts'

/** A table that goes over. */
export interface Load extends Pair {
  readonly format: 'binary' | 'text'
  /** Foreign keys that one moment of the tenant's rows does not answer for; to look at when all rows are there. */
  readonly open: readonly ForeignKey[]
}

export interface CopyPlan {
  /** Of the source. */
  readonly tables: readonly CopyTable[]
  /** Without triggers, each for itself, the largest first. */
  readonly quiet: readonly Load[]
  /** With triggers, in one transaction, parents first. */
  readonly rest: readonly Load[]
  /** Tables of the source's alone. */
  readonly missing: readonly CopyTable[]
}

/**
 * @param reader  mover on the source, in a transaction of the moment that is copied where there is one
 * @param writer  mover on the target
 */
export async function planCopy(moving: Moving, reader: Client, writer: Client): Promise<CopyPlan> {
  const from = await movedTablesOf(reader, moving.source)
  const to = await movedTablesOf(writer, moving.target)
  const { pairs, missing } = pairsOf(moving, from, to)
  const targets = pairs.map((pair) => pair.to)
  const [here, there, keys] = [
    await columnsOf(reader, from),
    await columnsOf(writer, targets),
    await keysOf(writer, targets),
  ]
  const isQuiet = await mayQuiet(writer)
  const loads = pairs.map((pair): Load => {
    const [own, other] = [here.get(pair.id), there.get(pair.id)]
    const format = own?.isPlain && own.is === other?.is ? 'binary' : 'text'
    return { ...pair, format, open: openKeys(pair, pairs, keys.get(pair.id)) }
  })
  const quiet = loads.filter((load) => isQuiet && !hasLateKeys(moving, keys.get(load.id)))
  const order = parentsFirst(targets, keys)
  return {
    tables: from,
    quiet: quiet.toSorted((a, b) => (here.get(b.id)?.bytes ?? 0) - (here.get(a.id)?.bytes ?? 0)),
    rest: order.flatMap((table) => loads.filter((load) => load.to === table && !quiet.includes(load))),
    missing,
  }
}

// A trigger of Postgres' looks at such a key when the transaction ends, and would be quiet too. In tables of its own
// nobody but the tenant has rows, and its own have kept the key where they were.
function hasLateKeys({ target }: Moving, keys: Keys | undefined): boolean {
  return target.home.isolation === 'shared' && keys?.deferred === true
}

/**
 * All rows of a tenant at one moment satisfy each foreign key between two rows of the tenant: Postgres has seen to it
 * where they were, and the moment has no transaction by halves. What it says nothing of are rows that did not come
 * along: of tables that everybody shares, and of other tenants.
 */
function openKeys({ to }: Pair, pairs: readonly Pair[], keys: Keys | undefined): ForeignKey[] {
  return (keys?.foreign ?? []).filter(({ parent, columns }) => {
    const moved = pairs.find((pair) => pair.to.schema === parent.schema && pair.to.name === parent.name)
    if (!moved) return true
    return moved.to.tenant !== null && !(to.tenant && columns.includes(to.tenant.column))
  })
}

interface Columns {
  /** Names and types of all that are copied, and the version: equal ones have the same binary form. */
  readonly is: string
  /** Whether all are of types of Postgres' own whose binary form is the same in each database. */
  readonly isPlain: boolean
  /** Of the table, other tenants' rows included. */
  readonly bytes: number
}

/** By id of the table. */
async function columnsOf(client: Client, tables: readonly CopyTable[]): Promise<Map<string, Columns>> {
  const wanted = JSON.stringify(tables.map(({ id, schema, name }) => ({ id, schema, name })))
  const rows = await client.query(
    compile(sql`
      select w.id, pg_total_relation_size(c.oid) as bytes,
        coalesce(bool_and(t.typnamespace = 'pg_catalog'::regnamespace and t.typtype in ('b', 'r', 'm')
          and e.typname not like 'reg%' and e.typsend <> 0 and e.typreceive <> 0), true) as plain,
        current_setting('server_version_num')::int / 10000 || coalesce(string_agg(
          ' ' || quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ',' order by a.attname collate "C"), '')
          as described
      from jsonb_to_recordset(${sql.value(wanted)}::jsonb) as w (id text, schema text, name text)
      join pg_namespace n on n.nspname = w.schema
      join pg_class c on c.relnamespace = n.oid and c.relname = w.name
      left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
      left join pg_type t on t.oid = a.atttypid
      left join pg_type e on e.oid = case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end
      group by w.id, c.oid`),
  )
  return new Map(
    rows.map(({ id, described, plain, bytes }) => [
      id ?? '',
      { is: described ?? '', isPlain: plain === 't', bytes: Number(bytes) },
    ]),
  )
}

/** `COPY … TO STDOUT` of the tenant's rows, in a transaction that is about it. @param limit  ' limit …' */
export function readingOf({ from, format }: Load, limit: SQL = sql.blank): SQL {
  const names = namesOf(from).map((name) => sql`t.${sql.identifier(name)}`)
  return sql`copy (select ${sql.join(names, ', ')} ${rowsOf(from)}${limit}) to stdout (${formOf(format)})`
}

/** `COPY … FROM STDIN`, the columns in the order in which they are read. Values of identity columns are taken as they come, also of those "generated always". */
export function writingOf({ from, to, format }: Load): SQL {
  const names = namesOf(from).map((name) => sql.identifier(name))
  return sql`copy ${sql.identifier(to.schema, to.name)} (${sql.join(names, ', ')}) from stdin (${formOf(format)})`
}

const namesOf = ({ tenant, columns }: CopyTable): string[] => [
  ...(tenant ? [tenant.column] : []),
  ...columns.map(({ name }) => name),
]

const formOf = (format: Load['format']): SQL => sql`format ${sql.identifier(format)}, encoding 'UTF8'`
