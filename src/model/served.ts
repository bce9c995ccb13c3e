/** Which tables and views of the served schemas take part, and why the others do not. */

import type { PgAttribute, PgClass } from 'pg-introspection'
import type { TableSettings } from '../base/config.ts'
import { attributesOf, type Catalog, compareText, idOf, schemaOf } from './catalog.ts'
import { readType } from './column-types.ts'
import { hidden } from './introspection-sql.ts'
import { quoted } from './quote.ts'

/** `tenancy` of the configuration, and whose rights count. */
export interface Tenancy {
  /** Column that holds the tenant id in each table. */
  readonly column: string
  /** Schemas whose tables are served. */
  readonly schemas: readonly string[]
  /** Ids of tables without the tenant column that every tenant may read. */
  readonly global?: readonly string[]
  /**
   * The schemas are one tenant's own: each table that is not global is the tenant's, with the column or without.
   */
  readonly own?: boolean
  readonly tables?: Readonly<Record<string, TableSettings>>
  /** The role that serves; default is the one that asks. */
  readonly role?: string
  /** Name that the model gives to the first of `schemas`: a tenant's own schema goes by that of the shared one. */
  readonly as?: string
  /** Schemas whose names begin so are not read unless they are served: those of other tenants. */
  readonly apart?: string
  /** The tables may be at another version than the configuration: what it names need not be there. */
  readonly otherVersion?: boolean
}

/** The served schemas under the names that they go by in the model. */
export function namesOfSchemas({ schemas, as }: Tenancy): readonly string[] {
  return as === undefined ? schemas : [as, ...schemas.slice(1)]
}

/** Something in a served schema that is not in the model. */
export interface LeftOut {
  /** 'schema.name', or the schema alone when it does not exist. */
  readonly id: string
  /** A clause for a person: 'it has no column tenant_id'. */
  readonly reason: string
}

const RELATION_KINDS = 'rpvmf' // table, partitioned table, view, materialized view, foreign table

/** Everything in the served schemas that has columns, sorted by id. */
export function classesOf({ pg }: Catalog, schemas: readonly string[]): PgClass[] {
  const wanted = new Set(schemas)
  return pg.classes
    .filter((found) => RELATION_KINDS.includes(found.relkind) && wanted.has(schemaOf(found)))
    .sort((a, b) => compareText(idOf(a), idOf(b)))
}

export function missingSchemas({ pg }: Catalog, schemas: readonly string[]): LeftOut[] {
  return schemas
    .filter((name) => !pg.getNamespace({ name }))
    .map((id) => ({ id, reason: 'there is no such schema in this database' }))
}

/** The tenant column of a table; undefined for one that has none. */
export function tenantAttribute(found: PgClass, tenancy: Tenancy): PgAttribute | undefined {
  return attributesOf(found).find((attribute) => attribute.attname === tenancy.column)
}

/** Whether the configuration lists it among those that every tenant reads. */
export function isGlobal(found: PgClass, { global }: Tenancy): boolean {
  return global?.includes(idOf(found)) === true
}

/** Undefined when it is served. */
export function whyLeftOut(catalog: Catalog, found: PgClass, tenancy: Tenancy): string | undefined {
  const tenant = tenantAttribute(found, tenancy)
  return (
    whyNotItsKind(found) ??
    (tenant ? whyNotItsTenant(catalog, tenant) : whyNotGlobal(found, tenancy)) ??
    whyNotItsTypes(catalog, found, tenancy) ??
    whyNotReadable(catalog, found, tenant)
  )
}

const NOT_SERVED: Readonly<Record<string, string>> = {
  m: 'materialized views are not served: row-level security does not reach them',
  f: 'foreign tables are not served: row-level security does not reach them',
}

function whyNotItsKind(found: PgClass): string | undefined {
  if (found.relispartition) return 'it is a partition: its rows are served through the table it is part of'
  if (found.relkind !== 'v' || isInvokersView(found)) return NOT_SERVED[found.relkind]
  const fix = `alter view ${quoted(schemaOf(found), found.relname)} set (security_invoker = on)`
  return `it is a view that reads with the rights of its owner, past row-level security; to serve it: ${fix}`
}

// Postgres keeps the word that was typed: on, true, 1, yes.
function isInvokersView({ reloptions }: PgClass): boolean {
  return (reloptions ?? []).some((option) => /^security_invoker=(on|true|yes|1)$/i.test(option))
}

// Equality of citext, and of char(n) with its padding, takes two different ids for one.
const TENANT_TYPES: ReadonlySet<string> = new Set(['text', 'varchar', 'uuid', 'int2', 'int4', 'int8'])

function whyNotItsTenant(catalog: Catalog, tenant: PgAttribute): string | undefined {
  const { type } = readType(catalog, tenant)
  if (type.schema === 'pg_catalog' && TENANT_TYPES.has(type.name) && !type.array) return undefined
  const name = type.name + (type.array ? '[]' : '')
  return `its column ${tenant.attname} is of type ${name}; wanted text, varchar, uuid, int or bigint`
}

// In a tenant's own schema or database such a table is the tenant's.
function whyNotGlobal(found: PgClass, tenancy: Tenancy): string | undefined {
  return tenancy.own || isGlobal(found, tenancy) ? undefined : `it has no column ${tenancy.column}`
}

// Statements name the tables and the types of the shared schema alike; for a tenant's own schema both are renamed.
function whyNotItsTypes(catalog: Catalog, found: PgClass, { as }: Tenancy): string | undefined {
  if (as === undefined) return undefined
  const strange = attributesOf(found).find((column) => readType(catalog, column).type.schema === hidden(as))
  if (!strange) return undefined
  const name = readType(catalog, strange).type.name
  return `its column ${strange.attname} is of the type ${name} in the shared schema ${as}, and a tenant's own schema cannot use that; keep types that all share in a schema of their own, an extension with: alter extension … set schema extensions`
}

function whyNotReadable(
  { rights, role }: Catalog,
  found: PgClass,
  tenant: PgAttribute | undefined,
): string | undefined {
  const may = rights.get(found._id)
  if (!may?.usage) return `the role ${role} may not use the schema ${schemaOf(found)}`
  if (may.select.size === 0) return `the role ${role} may not read it`
  if (!tenant || may.select.has(tenant.attnum)) return undefined
  return `the role ${role} may not read its column ${tenant.attname}`
}
