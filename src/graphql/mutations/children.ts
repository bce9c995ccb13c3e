/**
 * Children that are created together with their row: rows of another table whose foreign key points at it.
 *
 * The key comes from the parent as the database has just returned it, so that defaults and sequences count.
 */

import { fail } from '../../base/errors.ts'
import type { Row } from '../../db/batch.ts'
import type { Column, Relation, Table } from '../../model/types.ts'
import { reader } from '../values/text.ts'
import { createColumns, type Fields, isGiven, textOf } from './fields.ts'

export interface ChildRelation {
  readonly relation: Relation
  readonly target: Table
}

/** Relations by which children can be created; their fields are part of the input. */
export function childRelations(table: Table, tables: ReadonlyMap<string, Table>): ChildRelation[] {
  return table.relations.flatMap((relation) => {
    const target = tables.get(relation.target)
    if (!target?.can.create || !relation.inverse) return []
    const pointsBy = relation.columns.map(({ other }) => target.columns.find(({ name }) => name === other))
    const child = { relation, target }
    const canPoint = pointsBy.every((column) => column && !column.readOnly)
    return canPoint && childColumns(child).length > 0 ? [child] : []
  })
}

/** Columns that a child gives itself: all that a row may give, without those that point at its parent. */
export function childColumns({ relation, target }: ChildRelation): Column[] {
  return createColumns(target).filter(({ name }) => !relation.columns.some(({ other }) => other === name))
}

/** The children that an input gives for a relation. */
export function childrenIn(input: Fields, { relation }: ChildRelation): Fields[] {
  const given = isGiven(input, relation.field) ? input[relation.field] : null
  if (given === null) return []
  return Array.isArray(given) ? given : [given as Fields]
}

/** The input without its children: columns alone. */
export function withoutChildren(input: Fields, relations: readonly ChildRelation[]): Fields {
  const names = new Set(relations.map(({ relation }) => relation.field))
  return Object.fromEntries(Object.entries(input).filter(([key]) => !names.has(key)))
}

/**
 * A child's input with the key of its parent.
 *
 * @throws BAD_USER_INPUT  the parent has no value that a child could point to
 */
export function attached(table: Table, row: Row, { relation, target }: ChildRelation, child: Fields): Fields {
  const key = relation.columns.map(({ own, other }) => {
    const text = textOf(table, row, own)
    const column = target.columns.find(({ name }) => name === other)!
    if (text === null) {
      fail(
        'BAD_USER_INPUT',
        `"${relation.field}" cannot be created: the ${table.typeName} has no ${fieldOf(table, own)} that they could point to.`,
      )
    }
    return [column.field, reader(column.type)(text)]
  })
  return { ...child, ...Object.fromEntries(key) }
}

function fieldOf(table: Table, name: string): string {
  return table.columns.find((column) => column.name === name)?.field ?? name
}
