/**
 * Raising sequences above what came in: rows keep the numbers that they had elsewhere, and the next row must not get
 * one of them.
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { onHome } from '../reach.ts'
import type { Whereabouts } from './snapshot.ts'
import { type CopyTable, rowsOf, tablesOf } from './tables.ts'

interface Sequence {
  /** Digits. */
  readonly oid: string
  readonly schema: string
  readonly name: string
  readonly column: string
  readonly up: boolean
  readonly cache: number
  /** What it may reach. */
  readonly end: string
}

/** A column of a table, and the sequence that its numbers are drawn from. */
export interface Drawn {
  readonly table: CopyTable
  readonly sequence: Sequence
}

/** @throws REFUSED  a number would use up nearly all that a sequence has */
export function raiseSequences(where: Whereabouts): Promise<void> {
  return onHome(where.shard, where.home, async (client) => {
    const drawn = await drawnOf(client, await tablesOf(client, where))
    await raiseTo(client, await numbersAbove(client, where.tenant, drawn, await positionsOf(client, drawn)))
  })
}

export async function drawnOf(client: Client, tables: readonly CopyTable[]): Promise<Drawn[]> {
  const drawn: Drawn[] = []
  for (const table of tables) {
    for (const sequence of await sequencesOf(client, table)) drawn.push({ table, sequence })
  }
  return drawn
}

async function sequencesOf(client: Client, { schema, name }: CopyTable): Promise<Sequence[]> {
  const rows = await client.query(
    compile(sql`
      select json_build_object('oid', s.oid::text, 'schema', sn.nspname, 'name', s.relname, 'column', a.attname,
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

/** The numbers that were drawn last, in the order of `drawn`. As owner. */
export async function positionsOf(client: Client, drawn: readonly Drawn[]): Promise<bigint[]> {
  if (drawn.length === 0) return []
  const parts = drawn.map(
    ({ sequence }) => sql`(select ${positionOf(sequence)} as "at" from ${nameOf(sequence)})`,
  )
  const [row] = await client.query(
    compile(sql`select json_build_array(${sql.join(parts, ', ')})::text as positions`),
  )
  const texts = JSON.parse((row?.positions ?? '[]').replaceAll(/-?\d+/g, '"$&"')) as string[]
  return texts.map(BigInt)
}

// What was never drawn from says the first number that it will give.
const positionOf = ({ up }: Sequence): SQL =>
  sql`case when is_called then last_value else last_value - ${sql.literal(up ? 1 : -1)} end`

const nameOf = ({ schema, name }: Sequence): SQL => sql.identifier(schema, name)

/**
 * The last number in each column that is beyond a position, in one round trip. Outside of a transaction, as a role
 * that sees all rows of the tenant; an index on the column answers it without a look at the rows before.
 */
export async function numbersAbove(
  client: Client,
  tenant: TenantId,
  drawn: readonly Drawn[],
  positions: readonly bigint[],
): Promise<Map<Drawn, bigint>> {
  if (drawn.length === 0) return new Map()
  const parts = drawn.map(({ table, sequence: { column, up } }, i) => {
    const [most, beyond] = up ? [sql`max`, sql`>`] : [sql`min`, sql`<`]
    const numbers = sql`select t.${sql.identifier(column)} as n ${rowsOf(table)}`
    const position = sql`${sql.literal(String(positions[i]))}::bigint`
    return sql`(select ${most}(n)::bigint::text from (${numbers}) as numbers where n ${beyond} ${position})`
  })
  const about = sql`select set_config('app.current_tenant_id', ${sql.literal(tenant)}, true)`
  // Two statements of one message are one transaction, for which the setting holds.
  const { text } = sql.compile(
    sql`${about}; select json_build_array(${sql.join(parts, ', ')})::text as numbers`,
  )
  const [row] = await client.query(text)
  const numbers = JSON.parse(row?.numbers ?? '[]') as (string | null)[]
  return new Map(
    drawn.flatMap((one, i) => {
      const last = numbers[i]
      return typeof last === 'string' ? [[one, BigInt(last)] as const] : []
    }),
  )
}

/**
 * Raise sequences to numbers, unless they are beyond them by now. As owner; one round trip.
 *
 * @throws REFUSED  a number would use up nearly all that a sequence has
 */
export async function raiseTo(client: Client, numbers: ReadonlyMap<Drawn, bigint>): Promise<void> {
  if (numbers.size === 0) return
  for (const [{ table, sequence }, last] of numbers) requireRoom(table, sequence, last)
  const raises = [...numbers].map(([{ sequence }, last]) => raiseOne(sequence, last))
  await client.query(sql.compile(sql.join(raises, '; ')).text)
}

// A sequence cannot be locked. Setting what it is set to already takes a lock that holds nextval off, so that no other
// session draws between the look and the raise.
function raiseOne(sequence: Sequence, last: bigint): SQL {
  const { oid, up, cache } = sequence
  const name = nameOf(sequence)
  const number = sql`${sql.literal(last.toString())}::bigint`
  return sql`
    alter sequence ${name} cache ${sql.literal(cache)};
    select setval(${sql.literal(oid)}::oid::regclass, ${number}) from ${name}
    where ${positionOf(sequence)} ${up ? sql`<` : sql`>`} ${number}`
}

// One row with the last number of all would leave none to the other tenants.
function requireRoom(table: CopyTable, { name, column, up, end }: Sequence, last: bigint): void {
  const mark = (BigInt(end) / 10n) * 9n
  if (up ? last <= mark : last >= mark) return
  const sentence = `${table.id}.${column} has the number ${last}, which would use up the sequence ${name} (to ${end}).`
  fail('REFUSED', sentence, { table: table.id })
}
