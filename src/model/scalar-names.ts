/** The GraphQL scalar of each Postgres type, by name: what the API is made of, and what names it takes for that. */

import type { ColumnType, TypeKind } from './types.ts'

type Scalars = Readonly<Record<Exclude<TypeKind, 'enum' | 'range' | 'composite'>, string>>

const BY_KIND = {
  boolean: 'Boolean',
  int: 'Int',
  bigint: 'BigInt',
  decimal: 'Decimal',
  float: 'Float',
  text: 'String',
  uuid: 'UUID',
  date: 'Date',
  time: 'Time',
  datetime: 'DateTime',
  interval: 'Interval',
  json: 'JSON',
  bytes: 'Bytes',
  other: 'PgText',
} as const satisfies Scalars

/** Types of Postgres that are text to us and still have a scalar, because people know them by name. */
const BY_NAME = {
  inet: 'Inet',
  cidr: 'Cidr',
  macaddr: 'MacAddress',
  macaddr8: 'MacAddress',
  bit: 'BitString',
  varbit: 'BitString',
  xml: 'XML',
  tsvector: 'TsVector',
  tsquery: 'TsQuery',
  pg_lsn: 'PgLsn',
  point: 'PgPoint',
  line: 'PgLine',
  lseg: 'PgLineSegment',
  box: 'PgBox',
  path: 'PgPath',
  polygon: 'PgPolygon',
  circle: 'PgCircle',
} as const

export type ScalarName = (typeof BY_KIND)[keyof typeof BY_KIND] | RareScalar
type RareScalar = (typeof BY_NAME)[keyof typeof BY_NAME]

const GRAPHQL: ReadonlySet<string> = new Set(['String', 'Int', 'Float', 'Boolean', 'ID'])

/** Scalars that every schema has beside those of GraphQL. */
export const OWN_SCALARS: readonly string[] = Object.values(BY_KIND).filter((name) => !GRAPHQL.has(name))

/** Scalars that a schema has when some column is of their type, and whose names are free otherwise. */
export const RARE_SCALARS: readonly RareScalar[] = [...new Set(Object.values(BY_NAME))]

/** The scalar of one value (of the element, for arrays). Not for enums, ranges and composites. */
export function scalarName({ kind, schema, name }: ColumnType): ScalarName {
  if (kind !== 'other') return BY_KIND[kind as keyof typeof BY_KIND]
  return (schema === 'pg_catalog' && BY_NAME[name as keyof typeof BY_NAME]) || 'PgText'
}
