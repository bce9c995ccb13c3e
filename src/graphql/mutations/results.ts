/**
 * What mutations answer: rows, or the constraint that they broke.
 *
 * A broken constraint is an answer because forms need it; anything else is an error. Either way the
 * operation's transaction is rolled back (transaction.ts).
 */

import type { GraphQLResolveInfo } from 'graphql'
import type { Row } from '../../db/batch.ts'
import type { Table } from '../../model/types.ts'
import { ConstraintFailure } from '../builder.ts'
import { BrokenConstraint } from '../constraints.ts'
import type { RequestScope } from '../context.ts'
import type { SchemaParts } from '../types.ts'

/** Rows that a bulk mutation has written. */
export interface RowChanges {
  readonly rows: readonly Row[]
}

/** The union of a row and a ConstraintError, for mutations of one row. */
export function rowResult({ builder, types, shared }: SchemaParts, table: Table, verb: string) {
  return builder.unionType(`${verb}${table.typeName}Result`, {
    types: [types(table).row, shared.constraintError],
    resolveType: (value: Row | ConstraintFailure) =>
      value instanceof ConstraintFailure ? 'ConstraintError' : table.typeName,
  })
}

export type ChangesRef = ReturnType<typeof changesType>

export function changesType({ builder, types, sizes }: SchemaParts, table: Table) {
  return builder.objectRef<RowChanges>(`${table.typeName}Changes`).implement({
    description: `What a mutation of several ${table.manyField} has written.`,
    fields: (t) => ({
      nodes: t.field({
        type: [types(table).row],
        nullable: { list: false, items: false },
        description: 'New rows in the order of the input, others in the order of their primary key.',
        resolve: ({ rows }, _args, { scope }) => {
          scope.take(rows.length, sizes().rows)
          return [...rows]
        },
      }),
      count: t.int({ nullable: false, resolve: ({ rows }) => rows.length }),
    }),
  })
}

/** The union of changes and a ConstraintError, for mutations of several rows. */
export function changesResult({ builder, shared }: SchemaParts, name: string, changes: ChangesRef) {
  return builder.unionType(name, {
    types: [changes, shared.constraintError],
    resolveType: (value: RowChanges | ConstraintFailure) =>
      value instanceof ConstraintFailure ? 'ConstraintError' : changes.name,
  })
}

/** Do `work`; a constraint that it breaks is the field's answer. */
export async function answered<T>(
  scope: RequestScope,
  info: GraphQLResolveInfo,
  work: () => Promise<T>,
): Promise<T | ConstraintFailure> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof BrokenConstraint)) throw error
    scope.failedFields.add(String(info.path.key))
    return error.failure
  }
}
