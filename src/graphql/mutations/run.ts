/** One statement that writes, for a request: what it breaks is told in terms of the table that it writes. */

import { fail } from '../../base/errors.ts'
import type { Row } from '../../db/batch.ts'
import { raisedState, sqlState } from '../../db/connection.ts'
import type { Statement } from '../../db/sql.ts'
import type { Table } from '../../model/types.ts'
import { BrokenConstraint, constraintFailure } from '../constraints.ts'
import type { GatewayContext } from '../context.ts'

/** Postgres refuses the role, or a policy of the user's refuses the row. */
const FORBIDDEN = '42501'
/** The key of an upsert is a constraint that is checked late. */
const DEFERRABLE_KEY = '55000'
const RAISED_HINT = 'A trigger raised an exception; whoever made the tables knows what it wants.'

/**
 * @param path  relations that lead to `table` from the input of the mutation
 * @throws BrokenConstraint  a constraint refuses the write
 * @throws FORBIDDEN         the tables do not let the gateway do this, or a trigger of theirs raises an exception
 * @throws                   what the scope throws
 */
export async function runWrite(
  { scope }: GatewayContext,
  table: Table,
  statement: Statement,
  path: readonly string[] = [],
): Promise<Row[]> {
  try {
    const [rows = []] = await scope.run([statement])
    scope.loaders.clear()
    return rows
  } catch (error) {
    const failure = constraintFailure(table, error, path)
    if (failure) throw new BrokenConstraint(failure, error)
    if (sqlState(error) === FORBIDDEN) {
      fail('FORBIDDEN', `The tables do not allow this change of a ${table.typeName}.`, {}, { cause: error })
    }
    // Without its words, which may quote rows; the state is the rule's name for programs.
    const raised = raisedState(error)
    if (raised) {
      const sentence = `A rule of the tables refuses this change of a ${table.typeName}.`
      fail('FORBIDDEN', sentence, { sqlState: raised }, { cause: error, hint: RAISED_HINT })
    }
    if (sqlState(error) === DEFERRABLE_KEY) {
      fail(
        'BAD_USER_INPUT',
        'The key that "on" names is checked late and cannot be used here.',
        {},
        { cause: error },
      )
    }
    throw error
  }
}

/** Rows that carry the number of their key in front, in the order of the keys; a missing one is left out. */
export function inOrder(rows: readonly Row[]): Row[] {
  return [...rows].sort(([a], [b]) => Number(a) - Number(b)).map(([, ...row]) => row)
}

/** One after the other: hooks write on one connection, and in the order of their rows. */
export async function each<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const done: R[] = []
  for (const item of items) done.push(await work(item))
  return done
}

/** Fewer rows came back than were written: what belongs to which of them cannot be told. */
export function leftOut({ typeName }: Table): never {
  return fail('FORBIDDEN', `A trigger of the tables left out a ${typeName}; nothing was kept.`)
}
