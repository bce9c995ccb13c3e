/** What a writer of rows does, and what its parts share. */

import type { Row } from '../../db/batch.ts'
import type { Value } from '../../db/sql.ts'
import type { Table } from '../../model/types.ts'
import type { GatewayContext } from '../context.ts'
import type { Verb } from '../meanings.ts'
import type { Condition } from '../plan/types.ts'
import type { Fields } from './fields.ts'
import type { HookChain } from './hooks.ts'

/** Relations that lead from the input of a mutation to a row below it. */
export type Path = readonly string[]

/** The unique key that tells whether a row is there, and the columns that change when it is. */
export interface Upsert {
  /** Names of columns, without the tenant column; the input gives all of them. */
  readonly key: readonly string[]
  readonly update: readonly string[]
}

/** Which rows, and how many at most: more of them are an error, and nothing is changed. */
export interface Choice {
  readonly where: Condition | null
  readonly atMost: number
}

export interface RowWriter {
  /** Whether code of an extension runs before or after such a write; known when all extensions are there. */
  isHooked(table: Table, verb: Verb): boolean
  /**
   * Rows in the order of `inputs`, with the children that these hold.
   *
   * @throws BrokenConstraint   a rule of the tables refuses one of them
   * @throws QUERY_TOO_COMPLEX  too many rows in one operation, or too many levels of children
   */
  create(table: Table, inputs: readonly Fields[], context: GatewayContext, path?: Path): Promise<Row[]>
  /** @throws as `create` */
  upsert(table: Table, input: Fields, upsert: Upsert, context: GatewayContext): Promise<Row>
  /** The rows with these primary keys; those that do not exist are left out. @throws BrokenConstraint */
  update(table: Table, keys: readonly Value[][], patch: Fields, context: GatewayContext): Promise<Row[]>
  /** @throws AT_MOST_EXCEEDED, BrokenConstraint */
  updateWhere(table: Table, choice: Choice, patch: Fields, context: GatewayContext): Promise<Row[]>
  /** The rows with these primary keys as they were. @throws BrokenConstraint */
  remove(table: Table, keys: readonly Value[][], context: GatewayContext): Promise<Row[]>
  /** @throws AT_MOST_EXCEEDED, BrokenConstraint */
  removeWhere(table: Table, choice: Choice, context: GatewayContext): Promise<Row[]>
}

/** What the parts of a writer share. */
export interface WriterParts {
  readonly tables: ReadonlyMap<string, Table>
  hooks(table: Table): HookChain
  /** Rows that one operation may write, children included. */
  rowsMax(): number
}
