/**
 * Queries about every column of a schema, one kind after the other, for values that chance meets too seldom: as they
 * are, beside others, as cursors, as keys of groups and as measures.
 */

import {
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isObjectType,
} from 'graphql'
import { listFields } from './schema-source.ts'

/** Rows that are looked at one by one where one of them may not be readable: a list of lists. */
const ROWS = 6

/** Queries whose answers may have errors: a value that cannot be read takes its whole answer with it. */
export function* sweepQueries(schema: GraphQLSchema, tables?: readonly string[]): Generator<string> {
  for (const { name, row } of listFields(schema)) {
    if (tables && !tables.includes(name)) continue
    const columns = columnsOf(row)
    const all = columns.map(({ text }) => text).join(' ')
    yield `{ ${name}(first: 30) { nodes { ${all} } } }`
    yield `{ ${name}(first: 30) { nodes { ${all} } totalCount edges { cursor } } }`
    yield* measured(schema, name)
    for (const column of columns) yield* aboutColumn(schema, name, row, column)
  }
}

interface SweptColumn {
  readonly name: string
  /** With what is selected of it. */
  readonly text: string
  readonly isList: boolean
}

function columnsOf(row: GraphQLObjectType): SweptColumn[] {
  return Object.values(row.getFields()).flatMap(({ name, args, type }) => {
    const below = args.length === 0 ? selectionOf(type, 4) : undefined
    return below === undefined
      ? []
      : [{ name, text: `${name}${below}`, isList: isListType(getNullableType(type)) }]
  })
}

/** What to select of a value, '' for a leaf; undefined for an object that is no value. */
function selectionOf(type: GraphQLOutputType, depth: number): string | undefined {
  const named = getNamedType(type)
  if (isLeafType(named)) return ''
  if (!isObjectType(named) || depth === 0 || named.getFields().id) return undefined
  const parts = Object.values(named.getFields()).flatMap((field) => {
    const below = selectionOf(field.type, depth - 1)
    return below === undefined ? [] : [`${field.name}${below}`]
  })
  return ` { ${parts.join(' ')} }`
}

function* aboutColumn(
  schema: GraphQLSchema,
  list: string,
  row: GraphQLObjectType,
  { name, text, isList }: SweptColumn,
): Generator<string> {
  const pages = Array.from({ length: ROWS }, (_, at) => `first: 1, offset: ${at}`)
  for (const page of isList ? pages : ['first: 30']) {
    yield `{ ${list}(${page}) { nodes { ${text} } } }`
    yield `{ ${list}(${page}) { nodes { ${text} } totalCount } }`
  }
  if (hasInput(schema, `${row.name}OrderBy`, name, isEnumType)) {
    yield `{ ${list}(orderBy: [{ ${name}: ASC }]) { totalCount edges { cursor } } }`
    yield `{ ${list}(last: 30, orderBy: [{ ${name}: DESC_NULLS_LAST }]) { edges { cursor } pageInfo { startCursor } } }`
  }
  if (hasInput(schema, `${row.name}GroupBy`, name, isEnumType)) {
    const isOrdered = hasInput(schema, `${row.name}ValuesOrderBy`, name, isEnumType)
    const order = isOrdered ? `, orderBy: [{ key: { ${name}: DESC } }]` : ''
    const groups = `groups(by: [{ ${name}: VALUE }]${order}) { key { ${text} } count }`
    yield `{ ${list} { ${groups} } }`
    yield `{ ${list} { ${groups} totalCount } }`
  }
}

function hasInput(
  schema: GraphQLSchema,
  type: string,
  field: string,
  is: (type: ReturnType<typeof getNamedType>) => boolean,
): boolean {
  const found = schema.getType(type)
  const input = isInputObjectType(found) ? found.getFields()[field] : undefined
  return input !== undefined && is(getNamedType(input.type))
}

function* measured(schema: GraphQLSchema, list: string): Generator<string> {
  const connection = getNamedType(schema.getQueryType()?.getFields()[list]?.type)
  const aggregates = isObjectType(connection)
    ? getNamedType(connection.getFields().aggregates?.type)
    : undefined
  if (!isObjectType(aggregates)) return
  const kinds = Object.values(aggregates.getFields()).map((field) => `${field.name}${measures(field)}`)
  for (const kind of kinds) {
    yield `{ ${list} { aggregates { ${kind} } } }`
    yield `{ ${list} { aggregates { ${kind} } totalCount } }`
  }
}

function measures({ type }: GraphQLField<unknown, unknown>): string {
  return selectionOf(type, 3) ?? ''
}
