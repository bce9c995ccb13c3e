/** Column values between Postgres text and GraphQL: out for resolvers, in for filters and mutations. */

import { parse as parseArray } from 'postgres-array'
import type { Value } from '../db/sql.ts'
import type { ColumnType } from '../model/types.ts'
import { JsonInput } from './scalars.ts'

/** The reader of a column: Postgres text to the value that GraphQL serializes. */
export function reader(type: ColumnType): (text: string | null) => unknown {
  const one = readOne(type)
  if (!type.array) return (text) => (text === null ? null : one(text))
  return (text) => (text === null ? null : parseArray(text, (item) => (item === null ? null : one(item))))
}

function readOne(type: ColumnType): (text: string) => unknown {
  switch (type.kind) {
    case 'boolean':
      return (text) => text === 't'
    case 'int':
    case 'float':
      return Number
    case 'json':
      return (text) => JSON.parse(text)
    default:
      return (text) => text
  }
}

/** An argument as a parameter for a column: JSON as its text, lists as lists. */
export function toParameter(value: unknown): Value {
  if (value instanceof JsonInput) return value.text
  if (Array.isArray(value)) return value.map((item) => toParameter(item))
  return (value ?? null) as Value
}
