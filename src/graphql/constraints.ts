/** A broken constraint as an answer: which rule, which columns, in words that hold no row data. */

import { GatewayError } from '../base/errors.ts'
import { violation } from '../db/connection.ts'
import type { Table } from '../model/types.ts'
import { ConstraintFailure } from './builder.ts'

const KINDS = {
  // RESTRICT, since Postgres 18; before it is 23503 as well.
  '23001': 'FOREIGN_KEY',
  '23502': 'NOT_NULL',
  '23503': 'FOREIGN_KEY',
  '23505': 'UNIQUE',
  '23514': 'CHECK',
  '23P01': 'EXCLUSION',
} as const

/** A write that a constraint has refused: an answer where a mutation can give one, an error everywhere else. */
export class BrokenConstraint extends GatewayError {
  readonly failure: ConstraintFailure

  constructor(failure: ConstraintFailure, cause: unknown) {
    super('BAD_USER_INPUT', failure.message, { kind: failure.kind, sqlState: failure.sqlState }, { cause })
    this.failure = failure
  }
}

/**
 * The failure that `error` reports for a write to `table`; undefined when it reports something else.
 *
 * @param path  relations that lead to `table` from the input of the mutation
 */
export function constraintFailure(
  table: Table,
  error: unknown,
  path: readonly string[],
): ConstraintFailure | undefined {
  const broken = violation(error)
  const kind = broken && KINDS[broken.state as keyof typeof KINDS]
  if (!kind) return undefined
  const columns = fieldsOf(table, columnsOf(table, broken.constraint, broken.column))
  return new ConstraintFailure({
    kind,
    message: sentence(kind, table, columns),
    constraint: broken.constraint ?? null,
    columns,
    path: [...path],
    sqlState: broken.state,
  })
}

function columnsOf(
  table: Table,
  constraint: string | undefined,
  column: string | undefined,
): readonly string[] {
  if (column) return [column]
  if (constraint !== undefined && constraint === table.primaryKeyName) return table.primaryKey
  const key = [...table.uniques, ...(table.checks ?? [])].find(({ name }) => name === constraint)
  const relation = table.relations.find(
    (candidate) => candidate.constraint === constraint && !candidate.inverse,
  )
  return key?.columns ?? relation?.columns.map(({ own }) => own) ?? []
}

function fieldsOf(table: Table, columns: readonly string[]): string[] {
  const shown = table.columns.filter(({ can }) => can.read)
  return columns.flatMap((name) => shown.find((column) => column.name === name)?.field ?? [])
}

function sentence(kind: ConstraintFailure['kind'], { typeName }: Table, columns: string[]): string {
  const named = columns.length > 0 ? columns.join(' and ') : 'value in what a constraint looks at'
  switch (kind) {
    case 'UNIQUE':
      return `Another ${typeName} has the same ${named}.`
    case 'FOREIGN_KEY':
      return columns.length > 0
        ? `There is no row that ${named} could point to.`
        : `Other rows still point to this ${typeName}, or it points to none.`
    case 'NOT_NULL':
      return columns.length > 0 ? `A value is wanted for ${named}.` : 'A value is wanted where there is none.'
    case 'CHECK':
      return columns.length > 0
        ? `A check does not allow this value of ${named}.`
        : `A value of the ${typeName} is not allowed by a check.`
    case 'EXCLUSION':
      return `Another ${typeName} is in the way of this one.`
  }
}
