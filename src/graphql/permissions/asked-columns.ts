/**
 * Columns that arguments speak of: who may not read a column may not filter, order, group or look up by it either,
 * for a filter that finds a row or does not tells a value bit by bit.
 *
 * A field of 'TicketFilter', 'TicketOrderBy', 'TicketKey' and the like stands for the field of 'Ticket' that has its
 * name. What stands in the document is seen while it is walked; what comes in variables is looked at here.
 */

import {
  type GraphQLInputType,
  type GraphQLNamedInputType,
  type GraphQLSchema,
  getNamedType,
  isInputObjectType,
  isObjectType,
} from 'graphql'
import { lookupKeys } from '../../model/lookups.ts'
import type { Table } from '../../model/types.ts'

export interface Coordinate {
  /** Name of an object or interface type. */
  readonly type: string
  readonly field: string
}

/** Input type → the object type that its fields speak of. */
export type Subjects = ReadonlyMap<string, string>

const ENDINGS = [
  ...['Filter', 'OrderBy', 'Key', 'ColumnsOrderBy', 'NumbersOrderBy', 'ValuesOrderBy', 'GroupBy'],
  ...['HavingDistinctCounts', 'HavingNumbers', 'HavingExtremes'],
]

export function subjectsOf(tables: readonly Table[]): Subjects {
  return new Map(
    tables.flatMap((table) => {
      const keys = lookupKeys(table).flatMap((key) => key.typeName ?? [])
      return [...ENDINGS.map((ending) => table.typeName + ending), ...keys].map(
        (name) => [name, table.typeName] as const,
      )
    }),
  )
}

/** The field of an object type that `field` of an input type speaks of. */
export function spokenOf(
  schema: GraphQLSchema,
  subjects: Subjects,
  input: GraphQLNamedInputType | undefined | null,
  field: string,
): Coordinate | undefined {
  const type = schema.getType(subjects.get(input?.name ?? '') ?? '')
  return isObjectType(type) && Object.hasOwn(type.getFields(), field) ? { type: type.name, field } : undefined
}

/** A variable of a type that holds input objects. */
export interface InputVariable {
  readonly name: string
  readonly type: GraphQLInputType
}

/** The columns that the values of variables speak of. Values may be anything: they have not been checked yet. */
export function askedColumns(
  schema: GraphQLSchema,
  subjects: Subjects,
  inputs: readonly InputVariable[],
  variables: Readonly<Record<string, unknown>>,
): Coordinate[] {
  const asked: Coordinate[] = []
  const open = inputs.map(({ name, type }): [unknown, GraphQLNamedInputType] => [
    variables[name],
    getNamedType(type),
  ])
  // Not by recursion: the depth of a value is the caller's choice.
  for (let next = open.pop(); next; next = open.pop()) {
    const [value, type] = next
    if (typeof value !== 'object' || value === null || !isInputObjectType(type)) continue
    if (Array.isArray(value)) for (const item of value) open.push([item, type])
    else
      for (const [name, inner] of Object.entries(value)) {
        const field = Object.hasOwn(type.getFields(), name) ? type.getFields()[name] : undefined
        if (!field) continue
        const column = spokenOf(schema, subjects, type, name)
        if (column) asked.push(column)
        open.push([inner, getNamedType(field.type)])
      }
  }
  return asked
}
