/**
 * What is read of a shard before the model is made: the catalogs, what the serving role may do, and how
 * the values of each type compare. Two statements; nothing below asks the server again.
 */

import {
  type Introspection,
  type PgAttribute,
  type PgClass,
  type PgType,
  parseIntrospectionResults,
} from 'pg-introspection'
import { fail } from '../base/errors.ts'
import type { Queryable } from '../db/client.ts'
import { FACTS_SQL } from './facts-sql.ts'
import { introspectionSql } from './introspection-sql.ts'
import type { ColumnType } from './types.ts'

type Compares = ColumnType['compares']

/** What the serving role may do with a table as a whole, or with a part of its columns, and what that may lead to. */
export interface Rights {
  readonly usage: boolean
  readonly delete: boolean
  /** As in `Table`. */
  readonly reaches: boolean
  readonly depends: boolean
  /** Numbers of the columns (`attnum`) that it may read and write. */
  readonly select: ReadonlySet<number>
  readonly insert: ReadonlySet<number>
  readonly update: ReadonlySet<number>
}

export interface Catalog {
  readonly pg: Introspection
  /** The role whose rights were read. */
  readonly role: string
  /** By the class's oid. */
  readonly rights: ReadonlyMap<string, Rights>
  /** What Postgres can do with two values of a base type, an enum or a range. */
  compares(type: PgType): Compares
}

interface Facts {
  readonly role: string
  readonly rights: readonly {
    readonly oid: string
    readonly usage: boolean
    readonly delete: boolean
    readonly reaches: boolean
    readonly depends: boolean
    readonly select: readonly number[]
    readonly insert: readonly number[]
    readonly update: readonly number[]
  }[]
  /** By the oid of the type. */
  readonly classes: Readonly<Record<string, Compares>>
  readonly stored: Readonly<Record<string, string>>
}

/** What of a database is read, and under which names; as in `Tenancy`. */
export interface Reading {
  readonly schemas: readonly string[]
  readonly as?: string
  readonly apart?: string
  readonly role?: string
}

/**
 * Read everything. Any role can: the catalogs are public.
 *
 * @throws CONFIG_INVALID  there is no such role
 */
export async function readCatalog(db: Queryable, { schemas, as, apart, role }: Reading): Promise<Catalog> {
  const rows = await db.query({ text: introspectionSql(), values: [[...schemas], apart ?? null, as ?? null] })
  const text = rows[0]?.introspection
  if (!text) return fail('INTERNAL_SERVER_ERROR', 'The catalogs gave no answer.')
  const pg = parseIntrospectionResults(text)
  const facts = await readFacts(db, schemas, role)
  return {
    pg,
    role: facts.role,
    rights: new Map(facts.rights.map((found) => [found.oid, rightsOf(found)])),
    compares: comparison(pg, facts),
  }
}

/** Types whose operator class is that of a polymorphic type, by `typtype`. */
const POLYMORPHIC: Readonly<Record<string, string>> = { e: 'anyenum', r: 'anyrange', m: 'anymultirange' }

function comparison(pg: Introspection, { classes, stored }: Facts): (type: PgType) => Compares {
  const polymorphic = new Map(
    pg.types.filter(({ typtype }) => typtype === 'p').map((type) => [type.typname, type]),
  )
  return (type) => {
    const family = polymorphic.get(POLYMORPHIC[type.typtype ?? ''] ?? '')
    return classes[type._id] ?? classes[stored[type._id] ?? ''] ?? classes[family?._id ?? ''] ?? 'none'
  }
}

async function readFacts(
  db: Queryable,
  schemas: readonly string[],
  role: string | undefined,
): Promise<Facts> {
  const [row] = await db.query({ text: FACTS_SQL, values: [[...schemas], role ?? null] })
  const facts = row?.facts
  if (!facts) return fail('CONFIG_INVALID', `There is no role ${role} on this server.`)
  return JSON.parse(facts) as Facts
}

function rightsOf({ usage, delete: remove, reaches, depends, ...columns }: Facts['rights'][number]): Rights {
  return {
    usage,
    delete: remove,
    reaches,
    depends,
    select: new Set(columns.select),
    insert: new Set(columns.insert),
    update: new Set(columns.update),
  }
}

/** 'schema.name' of a table. */
export function idOf(found: PgClass | undefined): string {
  return found ? `${schemaOf(found)}.${found.relname}` : ''
}

export function schemaOf(found: PgClass): string {
  return found.getNamespace()?.nspname ?? ''
}

/** Columns that were not dropped, in their order. */
export function attributesOf(found: PgClass): PgAttribute[] {
  return found.getAttributes().filter((attribute) => !attribute.attisdropped)
}

/** By code unit, never by locale: the order is part of the fingerprint. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
