/** Values in the words of a GraphQL document. */

import { type GraphQLInputType, isEnumType, isInputObjectType, isListType, isNonNullType } from 'graphql'

/** A JSON value in the words of the document. */
export function literal(type: GraphQLInputType, value: unknown): string {
  if (isNonNullType(type)) return literal(type.ofType, value)
  if (value === null) return 'null'
  if (isListType(type)) {
    return `[${(value as unknown[]).map((item) => literal(type.ofType, item)).join(', ')}]`
  }
  if (isEnumType(type)) return String(value)
  if (!isInputObjectType(type)) return jsonLiteral(value)
  const fields = type.getFields()
  const parts = Object.entries(value as object).map(
    ([name, item]) => `${name}: ${literal(fields[name]!.type, item)}`,
  )
  return `{ ${parts.join(', ')} }`
}

/** Whether a document can hold `value`: every key is a name, though those of a JSON value may be anything, and no text breaks off within a character. */
export function isWritable(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value !== 'object' || value === null) return true
  const keys = Array.isArray(value) ? [] : Object.keys(value)
  return keys.every((key) => /^[_A-Za-z]\w*$/.test(key)) && Object.values(value).every(isWritable)
}

// Values of scalars such as JSON may be objects; GraphQL writes their keys without quotes.
function jsonLiteral(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonLiteral).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{ ${Object.entries(value)
    .map(([key, item]) => `${key}: ${jsonLiteral(item)}`)
    .join(', ')} }`
}
