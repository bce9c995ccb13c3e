/**
 * From a Postgres type to how its values behave: domains followed down, arrays by their element, ranges by
 * their bounds, row types by their fields. What is not understood is text: readable and writable as
 * Postgres writes it.
 */

import type { PgAttribute, PgType } from 'pg-introspection'
import { fail } from '../base/errors.ts'
import { attributesOf, type Catalog, idOf } from './catalog.ts'
import { camelCase } from './names.ts'
import { readComment } from './smart-comments.ts'
import type { ColumnType, CompositeField, TypeKind } from './types.ts'

const KINDS: Readonly<Record<string, TypeKind>> = {
  bool: 'boolean',
  int2: 'int',
  int4: 'int',
  int8: 'bigint',
  numeric: 'decimal',
  money: 'decimal',
  float4: 'float',
  float8: 'float',
  text: 'text',
  varchar: 'text',
  bpchar: 'text',
  char: 'text',
  name: 'text',
  uuid: 'uuid',
  date: 'date',
  time: 'time',
  timetz: 'time',
  timestamp: 'datetime',
  timestamptz: 'datetime',
  interval: 'interval',
  json: 'json',
  jsonb: 'json',
  bytea: 'bytes',
}

export interface ReadType {
  readonly type: ColumnType
  /** Of a domain somewhere on the way down: `not null`, and whether it brings a default. */
  readonly notNull: boolean
  readonly hasDefault: boolean
}

/**
 * The type of a column. A domain counts as its base type, casts included: a filter that casts its
 * value to the domain would fail on a value that the domain refuses, where "no row" is the answer; a
 * write is still checked by the column itself.
 */
export function readType(catalog: Catalog, column: PgAttribute): ReadType {
  const outer = column.getType()
  const { type, notNull, hasDefault, dimensions } = followDomains(catalog, outer)
  const deep = Math.max(dimensions, column.attndims ?? 0) > 1
  const domain = type?.typtype === 'e' && outer !== type && ({ domain: true } as const)
  return { type: { ...arrayOrOne(catalog, type, deep), ...domain }, notNull, hasDefault }
}

function arrayOrOne(catalog: Catalog, type: PgType | undefined, deep: boolean): ColumnType {
  if (!isArray(type)) return single(catalog, type, false)
  const element = followDomains(catalog, type?.getElemType()).type
  // Declared with several dimensions, or an array of a domain over arrays: no list of GraphQL has its shape.
  if (deep || isArray(element)) return asText(type)
  return single(catalog, element, true)
}

function single(catalog: Catalog, type: PgType | undefined, array: boolean): ColumnType {
  if (!type) return asText(type)
  const base = { ...nameOf(type), array, compares: comparesOf(catalog, type) }
  if (type.typtype === 'e') return { ...base, kind: 'enum', enum: typeId(type) }
  if (type.typtype === 'r' || type.typtype === 'm') return rangeType(catalog, type, base)
  if (type.typtype === 'c') return compositeType(catalog, type, base)
  return { ...base, kind: kindOf(base) }
}

type Base = Omit<ColumnType, 'kind'>

function kindOf({ schema, name }: Base): TypeKind {
  if (schema !== 'pg_catalog') return name === 'citext' ? 'text' : 'other'
  return (Object.hasOwn(KINDS, name) && KINDS[name]) || 'other'
}

// A range of arrays, rows or ranges has no type of its own in GraphQL that anybody would recognize.
function rangeType(catalog: Catalog, type: PgType, base: Base): ColumnType {
  const { pg } = catalog
  const range = pg.ranges.find(({ rngtypid, rngmultitypid }) => [rngtypid, rngmultitypid].includes(type._id))
  const bound = pg.getType({ id: range?.rngsubtype ?? '' })
  // Of a domain its operators want values of the domain itself, which would check them where they only ask.
  if (bound?.typtype === 'd') return asText(type, base.array)
  const of = isArray(bound) ? undefined : inside(single(catalog, bound, false))
  if (!of || of.kind === 'range' || of.kind === 'composite') return asText(type, base.array)
  return { ...base, kind: 'range', range: { of, multi: type.typtype === 'm' } }
}

// The row type of a table is not taken apart: its fields would come and go with the table's columns.
function compositeType(catalog: Catalog, type: PgType, base: Base): ColumnType {
  const found = type.getClass()
  const fields = found?.relkind === 'c' ? attributesOf(found).map((field) => fieldOf(catalog, field)) : []
  if (fields.length === 0) return asText(type, base.array)
  return { ...base, kind: 'composite', composite: typeId(type), fields }
}

/** @throws CONFIG_INVALID  its comment holds a tag that is none */
function fieldOf(catalog: Catalog, attribute: PgAttribute): CompositeField {
  const faults: string[] = []
  const owner = `the attribute ${idOf(attribute.getClass())}.${attribute.attname}`
  const tags = ['name', 'deprecated'] as const
  const read = readComment(attribute.getDescription(), { owner, tags, faults })
  if (faults.length > 0) fail('CONFIG_INVALID', faults.join('\n  '))
  const { name, deprecated } = read.tags
  return {
    name: attribute.attname,
    field: name ?? camelCase(attribute.attname),
    type: inside(readType(catalog, attribute).type),
    ...(read.comment !== undefined && { comment: read.comment }),
    ...(deprecated !== undefined && { deprecated }),
  }
}

// A column of money is read through a cast to numeric; inside another value it comes with its currency.
function inside(type: ColumnType): ColumnType {
  return type.schema === 'pg_catalog' && type.name === 'money' ? { ...type, kind: 'other' } : type
}

function asText(type: PgType | undefined, array = false): ColumnType {
  const name = type ? nameOf(type) : { schema: 'pg_catalog', name: 'text' }
  return { ...name, kind: 'other', array, compares: 'none' }
}

// The btree order of jsonb is one that nobody would ask for: by the number of keys first.
function comparesOf(catalog: Catalog, type: PgType | undefined): ColumnType['compares'] {
  if (!type) return 'none'
  const found = catalog.compares(type)
  return found === 'order' && nameOf(type).name === 'jsonb' ? 'equality' : found
}

function nameOf(type: PgType): { schema: string; name: string } {
  return { schema: type.getNamespace()?.nspname ?? 'pg_catalog', name: type.typname }
}

/** 'schema.name'. */
export function typeId(type: PgType): string {
  return `${type.getNamespace()?.nspname ?? ''}.${type.typname}`
}

interface Domains {
  readonly type: PgType | undefined
  readonly notNull: boolean
  readonly hasDefault: boolean
  readonly dimensions: number
}

function followDomains({ pg }: Catalog, start: PgType | undefined): Domains {
  let type = start
  let notNull = false
  let hasDefault = false
  let dimensions = 0
  while (type?.typtype === 'd') {
    notNull ||= type.typnotnull === true
    hasDefault ||= type.typdefault !== null
    dimensions = Math.max(dimensions, type.typndims ?? 0)
    type = pg.getType({ id: type.typbasetype ?? '' })
  }
  return { type, notNull, hasDefault, dimensions }
}

// int2vector, name and point also have an element type and are no arrays: the element's own array type
// has to lead back.
function isArray(type: PgType | undefined): boolean {
  return type !== undefined && type.getElemType()?.typarray === type._id
}
