/**
 * Raising sequences above what came in: rows keep the numbers that they had elsewhere, and the next row must not get
 * one of them.
 */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { onHome } from '../reach.ts'
import type { Whereabouts } from './snapshot.ts'
import { aboutTenant, type CopyTable, rowsOf, tablesOf } from './tables.ts'

interface Sequence {
  readonly schema: string
  readonly name: string
  readonly column: string
  readonly up: boolean
  readonly cache: number
  /** What it may reach. */
  readonly end: string
}

/** @throws REFUSED  a number would use up nearly all that a sequence has */
export function raiseSequences(where: Whereabouts): Promise<void> {
  return onHome(where.shard, where.home, async (client) => {
    for (const table of await tablesOf(client, where)) {
      for (const sequence of await sequencesOf(client, table)) await raise(client, where, table, sequence)
    }
  })
}

async function sequencesOf(client: Client, { schema, name }: CopyTable): Promise<Sequence[]> {
  const rows = await client.query(
    compile(sql`
      select json_build_object('schema', sn.nspname, 'name', s.relname, 'column', a.attname,
        'up', q.seqincrement > 0, 'cache', q.seqcache,
        'end', case when q.seqincrement > 0 then q.seqmax else q.seqmin end::text) as sequence
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
      join lateral (
        -- Of identity columns and serials, and whatever else a default draws from.
        select d.objid as oid from pg_depend d
        where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
          and (d.refobjid, d.refobjsubid) = (c.oid, a.attnum) and d.deptype in ('a', 'i')
        union
        select d.refobjid from pg_attrdef f join pg_depend d on (d.classid, d.objid) = ('pg_attrdef'::regclass, f.oid)
        where (f.adrelid, f.adnum) = (c.oid, a.attnum) and d.refclassid = 'pg_class'::regclass
      ) as drawn on true
      join pg_class s on s.oid = drawn.oid and s.relkind = 'S'
      join pg_namespace sn on sn.oid = s.relnamespace
      join pg_sequence q on q.seqrelid = s.oid
      where n.nspname = ${sql.value(schema)} and c.relname = ${sql.value(name)}
        and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
      order by s.relname`),
  )
  return rows.map(({ sequence }) => JSON.parse(sequence ?? '') as Sequence)
}

function raise(client: Client, { tenant }: Whereabouts, table: CopyTable, sequence: Sequence): Promise<void> {
  const { schema, name, column, up, cache } = sequence
  return client.transaction(async () => {
    await aboutTenant(client, tenant)
    const most = sql.identifier(up ? 'max' : 'min')
    const [found] = await client.query(
      compile(sql`select ${most}(t.${sql.identifier(column)})::bigint as last ${rowsOf(table)}`),
    )
    if (typeof found?.last !== 'string') return
    const last = BigInt(found.last)
    if (!(await isBehind(client, sequence, last))) return
    requireRoom(table, sequence, last)
    // A sequence cannot be locked. Setting what it is set to already takes a lock that holds nextval off, so that no
    // other session draws between the second look and the raise.
    await client.query(
      compile(sql`alter sequence ${sql.identifier(schema, name)} cache ${sql.literal(cache)}`),
    )
    if (!(await isBehind(client, sequence, last))) return
    await client.query(
      compile(
        sql`select setval(format('%I.%I', ${sql.value(schema)}::text, ${sql.value(name)}::text), ${sql.value(found.last)})`,
      ),
    )
  })
}

async function isBehind(client: Client, { schema, name, up }: Sequence, last: bigint): Promise<boolean> {
  const [now] = await client.query(compile(sql`select last_value as at from ${sql.identifier(schema, name)}`))
  const at = BigInt(now?.at ?? '0')
  return up ? at < last : at > last
}

// One row with the last number of all would leave none to the other tenants.
function requireRoom(table: CopyTable, { name, column, up, end }: Sequence, last: bigint): void {
  const mark = (BigInt(end) / 10n) * 9n
  if (up ? last <= mark : last >= mark) return
  const sentence = `${table.id}.${column} has the number ${last}, which would use up the sequence ${name} (to ${end}).`
  fail('REFUSED', sentence, { table: table.id })
}
