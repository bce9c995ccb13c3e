/** Column values between Postgres text and GraphQL: out for resolvers, in for filters and mutations. */

import { fail } from '../../base/errors.ts'
import { type Value, wireText } from '../../db/sql.ts'
import type { ColumnType } from '../../model/types.ts'
import {
  type ArrayItem,
  arrayLiteral,
  multirangeLiteral,
  parseArray,
  parseMultirange,
  parseRange,
  parseRow,
  type RangeText,
  rangeLiteral,
  rowLiteral,
} from './literals.ts'
import { JsonInput, parseJson } from './scalars.ts'

type Reader = (text: string | null) => unknown

/**
 * The reader of a column: Postgres text to the value that GraphQL serializes. Ranges become objects with
 * the fields of `RangeText`, row types objects by the GraphQL names of their fields.
 *
 * @throws VALUE_UNREADABLE  from the reader: an array of several dimensions, where a list was declared
 */
export function reader(type: ColumnType): Reader {
  const one = readOne(type)
  if (!type.array) return (text) => (text === null ? null : one(text))
  const item = (found: ArrayItem): unknown => {
    if (found === null) return null
    return typeof found === 'string' ? one(found) : refuseDimensions()
  }
  return (text) => (text === null ? null : parseArray(text, delimiterOf(type)).map(item))
}

function readOne(type: ColumnType): (text: string) => unknown {
  switch (type.kind) {
    case 'boolean':
      return (text) => text === 't'
    case 'int':
    case 'float':
      return Number
    case 'json':
      return parseJson
    case 'range':
      return readRange(type)
    case 'composite':
      return readFields(type)
    default:
      return (text) => text
  }
}

function readRange({ range }: ColumnType): (text: string) => unknown {
  const bound = reader(range!.of)
  const read = (found: RangeText) => ({ ...found, lower: bound(found.lower), upper: bound(found.upper) })
  return range!.multi ? (text) => parseMultirange(text).map(read) : (text) => read(parseRange(text))
}

function readFields({ fields = [] }: ColumnType): (text: string) => unknown {
  const readers = fields.map(({ type }) => reader(type))
  return (text) => {
    const values = parseRow(text)
    return Object.fromEntries(fields.map(({ field }, i) => [field, readers[i]!(values[i] ?? null)]))
  }
}

function refuseDimensions(): never {
  return fail('VALUE_UNREADABLE', 'A list was wanted; the array in the database has several dimensions.')
}

// Of all types of Postgres one parts the items of its arrays by something else.
function delimiterOf({ schema, name }: ColumnType): string {
  return schema === 'pg_catalog' && name === 'box' ? ';' : ','
}

/**
 * An argument, or a value as its reader gives it, as a parameter for a column of `type`.
 *
 * A list stands for an array or a multirange where the type is one, otherwise for several values of the type.
 *
 * @throws BAD_USER_INPUT  money that is not finite
 */
export function toParameter(value: unknown, type?: ColumnType): Value {
  if (value === null || value === undefined) return null
  if (value instanceof JsonInput) return value.text
  if (Array.isArray(value)) return listParameter(value, type)
  if (type?.kind === 'decimal' && type.name === 'money' && !Number.isFinite(Number(value))) refuseMoney()
  if (type?.kind === 'json') return JSON.stringify(value)
  if (type?.range) return rangeLiteral(rangeText(value as RangeValue, type.range.of))
  if (type?.fields) return rowParameter(value as Readonly<Record<string, unknown>>, type)
  return value as Value
}

// Postgres would call it an unsupported feature, which is the code of other things too.
function refuseMoney(): never {
  return fail('BAD_USER_INPUT', 'An amount of money was wanted; what came is not finite.')
}

function listParameter(list: readonly unknown[], type: ColumnType | undefined): Value {
  const isSet = type?.range?.multi && !type.array && !list.some(Array.isArray)
  if (isSet) return multirangeLiteral(list.map((item) => rangeText(item as RangeValue, type.range!.of)))
  if (type?.kind === 'json' && !type.array && !list.some((item) => item instanceof JsonInput))
    return JSON.stringify(list)
  const items = list.map((item) => toParameter(item, type && { ...type, array: false }))
  const delimiter = type ? delimiterOf(type) : ','
  return delimiter === ',' ? items : arrayLiteral(items.map(wireText), delimiter)
}

type RangeValue = { readonly [Key in keyof RangeText]?: unknown }

function rangeText(value: RangeValue, of: ColumnType): RangeText {
  return {
    lower: wireText(toParameter(value.lower, of)),
    upper: wireText(toParameter(value.upper, of)),
    lowerInclusive: value.lowerInclusive !== false,
    upperInclusive: value.upperInclusive === true,
    isEmpty: value.isEmpty === true,
  }
}

function rowParameter(value: Readonly<Record<string, unknown>>, { fields = [] }: ColumnType): string {
  return rowLiteral(fields.map(({ field, type }) => wireText(toParameter(value[field], type))))
}
