/** The fields at the top of an operation with the values of a request: from the results of their statements to its answer. */

import type { Row } from '../../db/batch.ts'
import { NAMES_MAX, ofTable } from '../cache/names.ts'
import type { AnswerBounds, RowCount } from './answer.ts'
import type { RootField } from './root-fields.ts'
import { StepBack } from './step-back.ts'
import type { Asked } from './unit.ts'

export type AskedField = Asked & Pick<RootField, 'key'>

/** A write is bounded before it is sent. */
export const UNBOUNDED: AnswerBounds = { rows: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }

/**
 * @param results  of all statements, in their order
 * @param count    told of the rows
 * @throws StepBack  it would be larger than an answer may be
 */
export function textOf(
  asked: readonly AskedField[],
  results: readonly Row[][],
  bounds: AnswerBounds,
  count: RowCount,
): string {
  let next = 0
  let text = ''
  for (const { key, statements, write } of asked) {
    const found = results.slice(next, next + statements.length)
    next += statements.length
    text += `${text === '' ? '' : ','}${key}${write(found, bounds, count)}`
    if (text.length > bounds.bytes) throw new StepBack()
  }
  return `{"data":{${text}}}`
}

/** Names of what the answer hangs on (cache/names.ts). */
export function namesOf(asked: readonly AskedField[], results: readonly Row[][]): string[] {
  let next = 0
  const found = asked.flatMap(({ statements, names }) => {
    const own = results.slice(next, next + statements.length)
    next += statements.length
    return names(own)
  })
  if (found.length <= NAMES_MAX) return found
  return [...new Set(asked.flatMap(({ tables }) => tables.map(({ id }) => ofTable(id))))]
}
