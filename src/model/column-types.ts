/** From a Postgres type to how its values behave: domains followed down, arrays by their element. */

import type { PgAttribute, PgType } from 'pg-introspection'
import type { Catalog } from './catalog.ts'
import type { ColumnType, TypeKind } from './types.ts'

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
  const outer = followDomains(catalog, column.getType())
  const element = isArray(outer.type) ? followDomains(catalog, outer.type?.getElemType()) : undefined
  const base = element?.type ?? outer.type
  return {
    type: columnType(base, element !== undefined),
    notNull: outer.notNull,
    hasDefault: outer.hasDefault,
  }
}

function columnType(type: PgType | undefined, array: boolean): ColumnType {
  const schema = type?.getNamespace()?.nspname ?? 'pg_catalog'
  const name = type?.typname ?? 'unknown'
  if (type?.typtype === 'e')
    return { kind: 'enum', schema, name, array, enum: `${schema}.${name}`, compares: 'order' }
  return { kind: kindOf(schema, name), schema, name, array, compares: 'order' }
}

function kindOf(schema: string, name: string): TypeKind {
  if (schema !== 'pg_catalog') return name === 'citext' ? 'text' : 'other'
  return (Object.hasOwn(KINDS, name) && KINDS[name]) || 'other'
}

interface Domains {
  readonly type: PgType | undefined
  readonly notNull: boolean
  readonly hasDefault: boolean
}

function followDomains(catalog: Catalog, start: PgType | undefined): Domains {
  let type = start
  let notNull = false
  let hasDefault = false
  while (type?.typtype === 'd') {
    notNull ||= type.typnotnull === true
    hasDefault ||= type.typdefault !== null
    type = catalog.pg.getType({ id: type.typbasetype ?? '' })
  }
  return { type, notNull, hasDefault }
}

// int2vector, name and point also have an element type and are no arrays: the element's own array type
// has to lead back.
function isArray(type: PgType | undefined): boolean {
  return type !== undefined && type.getElemType()?.typarray === type._id
}
