/**
 * From the catalogs of one shard to the model: which tables are served, under which names.
 *
 * A table takes part when it has the tenant column with a type whose equality is exact. What the
 * catalogs hold besides is left out with a reason, which the start and the doctor print. The same tables
 * give the same model on every shard, to the last character: its fingerprint is how shards are compared.
 */

import {
  type Introspection,
  makeIntrospectionQuery,
  type PgAttribute,
  type PgClass,
  type PgType,
  parseIntrospectionResults,
} from 'pg-introspection'
import { fail } from '../base/errors.ts'
import { deepFreeze } from '../base/freeze.ts'
import type { Queryable } from '../db/client.ts'
import { checkNames } from './clashes.ts'
import { readType } from './column-types.ts'
import { fingerprintOf } from './fingerprint.ts'
import { uniqueKeys } from './keys.ts'
import { columnField, constantCase, pascalCase, tableNames } from './names.ts'
import { relationsOf } from './relations.ts'
import type { Column, ColumnType, EnumType, Key, Model, Table } from './types.ts'

export interface Tenancy {
  /** Column that holds the tenant id in each table. */
  readonly column: string
  /** Schemas whose tables are served. */
  readonly schemas: readonly string[]
}

/** Something in a served schema that is not in the model. */
interface LeftOut {
  /** 'schema.name', or the schema alone when it does not exist. */
  readonly id: string
  /** A clause for a person: 'it has no column tenant_id'. */
  readonly reason: string
}

export interface Survey {
  readonly model: Model
  /** Sorted by id. */
  readonly leftOut: readonly LeftOut[]
}

/**
 * Read the model of a shard. Any role can: the catalogs are public.
 *
 * @throws CONFIG_INVALID  two things want one GraphQL name; the message lists each with its fix
 */
export async function introspect(db: Queryable, tenancy: Tenancy): Promise<Model> {
  return (await survey(db, tenancy)).model
}

/** As introspect, with what was left out and why. Throws as introspect. */
export async function survey(db: Queryable, tenancy: Tenancy): Promise<Survey> {
  const catalog = await readCatalog(db)
  const classes = classesOf(catalog, tenancy.schemas)
  const leftOut = missingSchemas(catalog, tenancy.schemas)
  const served: PgClass[] = []
  for (const found of classes) {
    const reason = whyLeftOut(catalog, found, tenancy.column)
    if (reason) leftOut.push({ id: idOf(found), reason })
    else served.push(found)
  }
  return deepFreeze({ model: modelOf(catalog, served, tenancy.column), leftOut: sorted(leftOut) })
}

async function readCatalog(db: Queryable): Promise<Introspection> {
  const rows = await db.query(makeIntrospectionQuery())
  const text = rows[0]?.introspection
  if (!text) return fail('INTERNAL_SERVER_ERROR', 'The catalogs gave no answer.')
  return parseIntrospectionResults(text)
}

const RELATION_KINDS = 'rpvmf' // table, partitioned table, view, materialized view, foreign table

function classesOf(catalog: Introspection, schemas: readonly string[]): PgClass[] {
  const wanted = new Set(schemas)
  return catalog.classes
    .filter((found) => RELATION_KINDS.includes(found.relkind) && wanted.has(schemaOf(found)))
    .sort((a, b) => compare(idOf(a), idOf(b)))
}

function missingSchemas(catalog: Introspection, schemas: readonly string[]): LeftOut[] {
  return schemas
    .filter((name) => !catalog.getNamespace({ name }))
    .map((id) => ({ id, reason: 'there is no such schema in this database' }))
}

const NOT_SERVED: Readonly<Record<string, string>> = {
  v: 'views are not served',
  m: 'materialized views are not served: row-level security does not reach them',
  f: 'foreign tables are not served: row-level security does not reach them',
}

// Equality of citext, and of char(n) with its padding, takes two different ids for one.
const TENANT_TYPES: ReadonlySet<string> = new Set(['text', 'varchar', 'uuid', 'int2', 'int4', 'int8'])

function whyLeftOut(catalog: Introspection, found: PgClass, column: string): string | undefined {
  const kind = NOT_SERVED[found.relkind]
  if (kind) return kind
  if (found.relispartition) return 'it is a partition: its rows are served through the table it is part of'
  const tenant = attributesOf(found).find((attribute) => attribute.attname === column)
  if (!tenant) return `it has no column ${column}`
  const { type } = readType(catalog, tenant)
  if (type.schema === 'pg_catalog' && TENANT_TYPES.has(type.name) && !type.array) return undefined
  const name = type.name + (type.array ? '[]' : '')
  return `its column ${column} is of type ${name}; wanted text, varchar, uuid, int or bigint`
}

function modelOf(catalog: Introspection, served: readonly PgClass[], tenantColumn: string): Model {
  const uniques = new Map(served.map((found) => [idOf(found), uniqueKeys(found)]))
  const bare = served.map((found) => tableOf(catalog, found, tenantColumn, uniques.get(idOf(found)) ?? []))
  const relations = relationsOf(served, bare)
  const tables = bare.map((table) => ({ ...table, relations: relations.get(table.id) ?? [] }))
  const enums = enumsOf(catalog, tables)
  checkNames(tables, enums)
  const parts = { tables, enums, composites: [] }
  return { ...parts, fingerprint: fingerprintOf(parts) }
}

function tableOf(
  catalog: Introspection,
  found: PgClass,
  tenantColumn: string,
  keys: readonly (Key & { readonly primary: boolean })[],
): Table {
  const attributes = attributesOf(found)
  const tenant = attributes.find((attribute) => attribute.attname === tenantColumn)
  const primary = keys.find((key) => key.primary)?.columns ?? []
  return {
    id: idOf(found),
    schema: schemaOf(found),
    name: found.relname,
    ...tableNames(found.relname),
    ...commentOf(found),
    kind: 'table',
    can: { create: true, update: true, delete: true },
    tenantColumn,
    tenantType: tenantTypeOf(catalog, tenant),
    columns: attributes.filter((attribute) => attribute !== tenant).map((a) => columnOf(catalog, a)),
    primaryKey: primary.filter((column) => column !== tenantColumn),
    uniques: keys.filter((key) => !key.primary).map(({ name, columns }) => ({ name, columns })),
    relations: [],
  }
}

function tenantTypeOf(catalog: Introspection, tenant: PgAttribute | undefined): ColumnType {
  return tenant
    ? readType(catalog, tenant).type
    : fail('INTERNAL_SERVER_ERROR', 'A table without the tenant column reached the model.')
}

function columnOf(catalog: Introspection, attribute: PgAttribute): Column {
  const { type, notNull, hasDefault } = readType(catalog, attribute)
  const identity = attribute.attidentity ?? ''
  const readOnly = (attribute.attgenerated ?? '') !== '' || identity === 'a'
  return {
    name: attribute.attname,
    field: columnField(attribute.attname),
    type,
    nullable: attribute.attnotnull !== true && !notNull,
    hasDefault: attribute.atthasdef === true || identity !== '' || hasDefault,
    readOnly,
    can: { filter: true, order: true, create: !readOnly, update: !readOnly },
    ...commentOf(attribute),
  }
}

function enumsOf(catalog: Introspection, tables: readonly Table[]): EnumType[] {
  const ids = tables.flatMap((table) => table.columns.flatMap((column) => column.type.enum ?? []))
  const wanted = new Set(ids)
  return catalog.types
    .filter((type) => type.typtype === 'e' && wanted.has(enumId(type)))
    .map((type) => ({
      id: enumId(type),
      typeName: pascalCase(type.typname),
      values: (type.getEnumValues() ?? []).map(({ enumlabel: label }) => ({
        name: constantCase(label),
        label,
      })),
      ...commentOf(type),
    }))
    .sort((a, b) => compare(a.id, b.id))
}

function attributesOf(found: PgClass): PgAttribute[] {
  return found.getAttributes().filter((attribute) => !attribute.attisdropped)
}

function commentOf(entity: PgClass | PgAttribute | PgType): { comment?: string } {
  const comment = entity.getDescription()
  return comment ? { comment } : {}
}

function idOf(found: PgClass): string {
  return `${schemaOf(found)}.${found.relname}`
}

function schemaOf(found: PgClass): string {
  return found.getNamespace()?.nspname ?? ''
}

function enumId(type: PgType): string {
  return `${type.getNamespace()?.nspname ?? ''}.${type.typname}`
}

// By code unit, never by locale: the order is part of the fingerprint.
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function sorted(items: readonly LeftOut[]): LeftOut[] {
  return [...items].sort((a, b) => compare(a.id, b.id))
}
