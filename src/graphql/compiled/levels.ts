/**
 * Levels: the plan of a root field as plain data. A level is the rows of one table at one place of the operation, or
 * measures of a list; it becomes one CTE of the statement and one tag in its answer.
 *
 *     tickets { nodes { author comments { nodes } } totalCount }
 *
 *     0 rows of tickets · 1 rows of comments, by parent · 2 users, each once · 3 the count
 */

import type { Table } from '../../model/types.ts'
import type { Groups, Measure } from '../plan/aggregate-types.ts'
import type { Variables } from './arguments.ts'
import type { ListSource } from './sources.ts'

/** Columns of the rows of a level that lead to another one. */
export interface Parent {
  readonly level: RowLevel
  readonly own: readonly string[]
}

interface Leveled {
  readonly tag: number
  readonly table: Table
  /** Columns of `table` that hold a parent's key; empty at the root. */
  readonly by: readonly string[]
  /** Where the keys come from; of a list exactly one. */
  readonly parents: Parent[]
  /** Places in a row of what leads to it: its parent's key, or its number. Set by layout.ts, as the next two. */
  links: readonly number[]
  /** Of its columns. */
  cells: readonly number[]
  /** Of the first of those values that hang on the arguments of a request. */
  more: number
}

export interface RowLevel extends Leveled {
  /** A page of a list, the row that others refer to, or the row at the root that the arguments name. */
  readonly kind: 'list' | 'one' | 'row'
  /** Of a list. */
  readonly source: ListSource | null
  /** Names of the columns that are read; they stand at `cells` of a row. */
  readonly columns: string[]
  /** Of a row at the root: there may be several, numbered as their keys are. */
  readonly isNumbered?: boolean
  /** Of a list: one row more than it shows is read, which tells whether there are further ones. */
  peeks?: boolean
  /** Whether the columns of the list's order are read too, behind the others. */
  hasCursors: boolean
  /** Below a write: bytes of a value, at most. Postgres refuses a row that could not be written out: see faults.ts. */
  bytesMax?: number
}

export interface MeasureLevel extends Leveled {
  readonly kind: 'measures'
  readonly source: ListSource
  readonly measures: readonly Measure[]
  /** Groups, by the arguments of a request; null for one row about the whole list. */
  readonly groups: GroupSource | null
}

export interface GroupSource {
  readonly isConstant: boolean
  /** @throws GatewayError  the arguments are refused */
  of(variables: Variables): { readonly groups: Groups; readonly measures: readonly Measure[] }
}

export type Level = RowLevel | MeasureLevel

/** The place of a column in the rows of a level; it is read from now on. */
export function placeOf(level: RowLevel, column: string): number {
  const known = level.columns.indexOf(column)
  return known >= 0 ? known : level.columns.push(column) - 1
}
