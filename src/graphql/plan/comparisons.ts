/**
 * One operator on one value as SQL.
 *
 * What an operator is in Postgres depends on the type: `contains` is LIKE on a text, @> on an array, on JSON and on
 * a range, >>= on a network. The column is cast where it may be of a domain over its type: Postgres finds
 * no operator between text[] and an array of a domain.
 */

import { type SQL, sql, type Value } from '../../db/sql.ts'
import type { ColumnType } from '../../model/types.ts'
import { cast, castList, castTo, symbol } from './fragments.ts'
import { changed } from './slots.ts'
import type { JsonPlace, Operator } from './types.ts'

type Symbols = Partial<Record<Operator, SQL>>

const ORDER: Symbols = { eq: sql`=`, neq: sql`<>`, gt: sql`>`, gte: sql`>=`, lt: sql`<`, lte: sql`<=` }
const LIKE = sql`~~`
const TEXT: Symbols = { like: LIKE, ilike: sql`~~*`, startsWith: LIKE, endsWith: LIKE, contains: LIKE }
const SET: Symbols = { eq: sql`=`, contains: sql`@>`, containedBy: sql`<@`, overlaps: sql`&&` }
const RANGE: Symbols = { ...SET, before: sql`<<`, after: sql`>>`, adjacent: sql`-|-` }
const NETWORK: Symbols = { contains: sql`>>=`, containedBy: sql`<<=` }

const builtIn = (kind: ColumnType['kind'], name: string): ColumnType => {
  return { kind, schema: 'pg_catalog', name, array: false, compares: 'order' }
}
const TEXT_TYPE = builtIn('text', 'text')
const TEXT_LIST: ColumnType = { ...TEXT_TYPE, array: true }
const JSONB = builtIn('json', 'jsonb')
/** What a value inside JSON is compared as. */
export const JSON_TYPES: Record<JsonPlace['as'], ColumnType> = {
  string: TEXT_TYPE,
  number: builtIn('decimal', 'numeric'),
  boolean: builtIn('boolean', 'bool'),
  any: JSONB,
}

/** Whether `found`, a value of `type`, stands to `value` as `operator` says: true, false or null. */
export function comparison(found: SQL, type: ColumnType, operator: Operator, value: Value): SQL {
  if (operator === 'isNull') return isNull(found, type, value === true)
  if (type.array) return ofArray(found, type, operator, value)
  if (type.kind === 'json') return ofJson(found, operator, value)
  if (type.kind === 'range') return ofRange(found, type, operator, value)
  if (operator === 'search') return ofWords(found, type, value)
  if (type.kind === 'text' && operator in TEXT)
    return sql`${found} ${symbol(type, TEXT[operator]!)} ${cast(pattern(operator, value), TEXT_TYPE)}`
  if (operator in NETWORK) return sql`${found} ${NETWORK[operator]!} ${cast(value, type)}`
  if (operator === 'in') return sql`${found} ${symbol(type, ORDER.eq!)} any(${castList(value, type)})`
  if (operator === 'notIn') return sql`${found} ${symbol(type, ORDER.neq!)} all(${castList(value, type)})`
  return sql`${found} ${symbol(type, ORDER[operator]!)} ${cast(value, type)}`
}

// `is null` is also true of a row type whose fields are all null.
function isNull(found: SQL, { kind, array }: ColumnType, wanted: boolean): SQL {
  if (kind === 'composite' && !array)
    return wanted ? sql`${found} is not distinct from null` : sql`${found} is distinct from null`
  return wanted ? sql`${found} is null` : sql`${found} is not null`
}

function ofArray(column: SQL, type: ColumnType, operator: Operator, value: Value): SQL {
  const found = castTo(column, type)
  if (operator === 'isEmpty') return isIt(value, sql`cardinality(${found}) = 0`)
  const element = { ...type, array: false }
  if (operator === 'has') return sql`${cast(value, element)} ${symbol(element, ORDER.eq!)} any(${found})`
  return sql`${found} ${SET[operator]!} ${cast(value, type)}`
}

// `json` has no operators of its own; as jsonb it has.
function ofJson(column: SQL, operator: Operator, value: Value): SQL {
  const found = castTo(column, JSONB)
  if (operator === 'hasKey') return sql`${found} ? ${cast(value, TEXT_TYPE)}`
  if (operator === 'hasAnyKey') return sql`${found} ?| ${cast(value, TEXT_LIST)}`
  if (operator === 'hasAllKeys') return sql`${found} ?& ${cast(value, TEXT_LIST)}`
  return sql`${found} ${SET[operator]!} ${cast(value, JSONB)}`
}

/** The value at a place in a JSON column; null where there is none of that kind. */
export function jsonValue(column: SQL, { path, as }: JsonPlace): SQL {
  const place = sql`(${castTo(column, JSONB)} #> ${cast(path, TEXT_LIST)})`
  if (as === 'any') return place
  const text = sql`case jsonb_typeof${place} when ${sql.literal(as)} then ${place} #>> '{}' end`
  return castTo(sql`(${text})`, JSON_TYPES[as])
}

function ofRange(found: SQL, type: ColumnType, operator: Operator, value: Value): SQL {
  if (operator === 'isEmpty') return isIt(value, sql`isempty(${found})`)
  if (operator === 'containsValue' && type.range) return sql`${found} @> ${cast(value, type.range.of)}`
  return sql`${found} ${RANGE[operator]!} ${cast(value, type)}`
}

// The first 100,000 characters: a tsvector holds a megabyte, and one longer text would fail the whole list.
// The configuration is the database's own (default_text_search_config), as whoever set it up wants its words.
function ofWords(found: SQL, { kind }: ColumnType, value: Value): SQL {
  const words = kind === 'text' ? sql`to_tsvector(left(${castTo(found, TEXT_TYPE)}, 100000))` : found
  return sql`${words} @@ websearch_to_tsquery(${cast(value, TEXT_TYPE)})`
}

function isIt(wanted: Value, condition: SQL): SQL {
  return wanted === true ? condition : sql`not ${condition}`
}

function pattern(operator: Operator, value: Value): Value {
  const literal = (text: Value): string => String(text).replace(/[\\%_]/g, '\\$&')
  if (operator === 'startsWith') return changed(value, (text) => `${literal(text)}%`)
  if (operator === 'endsWith') return changed(value, (text) => `%${literal(text)}`)
  return operator === 'contains' ? changed(value, (text) => `%${literal(text)}%`) : value
}
