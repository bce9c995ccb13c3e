/**
 * What lies on the servers of a `shardgate start`: looked at as their superuser, wherever it is, so that a row in a
 * place where none belongs is found too.
 *
 *     expect(await rowsOn(folder)).toEqual(before)
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { withPg } from './server-copies.ts'

/** The rows of one tenant in one table. */
export interface RowsOfTenant {
  /** Shard, database and schema; in the names of tenants' databases "*" is for what differs with each set-up. */
  readonly home: string
  readonly table: string
  readonly tenant: string
  readonly count: number
  /** Checksum of all values. */
  readonly sum: string
}

/** A home as it is written here. */
export function homeOf(shard: string, database: string, schema: string): string {
  return `${shard} ${database.replace(/^shardgate_[0-9a-f]{8}_/, 'shardgate_*_')} ${schema}`
}

/** Work on a database of a shard as superuser. @param database  default is the shard's own */
export function onEmbedded<T>(
  folder: string,
  shard: string,
  work: (db: pg.Client) => Promise<T>,
  database?: string,
): Promise<T> {
  const url = new URL(shardsOn(folder)[shard]!.ownerUrl)
  url.username = 'postgres'
  url.password = readFileSync(join(folder, 'superuser-password'), 'utf8').trim()
  if (database) url.pathname = database
  return withPg(url.href, work)
}

/** Work on a home, with the name of its schema. */
export async function inHome<T>(
  folder: string,
  home: string,
  work: (db: pg.Client, schema: string) => Promise<T>,
): Promise<T> {
  const [shard = '', place, schema = ''] = home.split(' ')
  const databases = await onEmbedded(folder, shard, databasesOf)
  const database = databases.find((name) => homeOf(shard, name, schema) === home)
  if (!database) throw new Error(`There is no database ${place} on ${shard}: ${databases}`)
  return onEmbedded(folder, shard, (db) => work(db, schema), database)
}

/** All rows of tenants in all schemas of all databases, but for Shardgate's own schemas; sorted. */
export async function rowsOn(folder: string): Promise<RowsOfTenant[]> {
  const found = await Promise.all(
    Object.keys(shardsOn(folder)).map(async (shard) => {
      const databases = await onEmbedded(folder, shard, databasesOf)
      const rows: RowsOfTenant[] = []
      for (const database of databases)
        rows.push(...(await onEmbedded(folder, shard, (db) => rowsIn(db, shard, database), database)))
      return rows
    }),
  )
  const key = ({ home, table, tenant }: RowsOfTenant): string => `${home} ${table} ${tenant}`
  return found.flat().sort((a, b) => (key(a) < key(b) ? -1 : 1))
}

/** How many rows those are. */
export const countOf = (rows: readonly RowsOfTenant[]): number =>
  rows.reduce((sum, { count }) => sum + count, 0)

async function rowsIn(db: pg.Client, shard: string, database: string): Promise<RowsOfTenant[]> {
  const tables = await namesOf(
    db,
    `select format($$select %L as schema, %L as table, tenant_id::text as tenant, count(*)::int,
        md5(string_agg(t::text, ',' order by t::text)) as sum from %I.%I t group by 3$$,
        nspname, relname, nspname, relname) as name
      from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
      where attname = 'tenant_id' and not attisdropped and relkind = 'r'
        and nspname not in ('shardgate', 'directory')`,
  )
  if (tables.length === 0) return []
  const { rows } = await db.query(tables.join(' union all '))
  return rows.map(({ schema, ...row }) => ({ home: homeOf(shard, database, schema), ...row }))
}

const databasesOf = (db: pg.Client): Promise<string[]> =>
  namesOf(db, 'select datname as name from pg_database where datallowconn')

async function namesOf(db: pg.Client, query: string): Promise<string[]> {
  return (await db.query<{ name: string }>(query)).rows.map(({ name }) => name)
}

function shardsOn(folder: string): Record<string, { readonly ownerUrl: string }> {
  return JSON.parse(readFileSync(join(folder, 'embedded.json'), 'utf8')).shards
}
