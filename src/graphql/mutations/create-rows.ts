/** Creates rows with their children, and rows that may be there already. */

import { fail } from '../../base/errors.ts'
import type { Row } from '../../db/batch.ts'
import { wireText } from '../../db/sql.ts'
import type { Table } from '../../model/types.ts'
import { BrokenConstraint } from '../constraints.ts'
import type { GatewayContext } from '../context.ts'
import { columnOf } from '../plan/fragments.ts'
import { type Changes, insertStatement, lockStatement, upsertStatement } from '../plan/writes.ts'
import { attached, childRelations, childrenIn, withoutChildren } from './children.ts'
import { changesOf, type Fields, fieldsOf } from './fields.ts'
import { HOOKS_OF } from './hooks.ts'
import { each, inOrder, leftOut, runWrite } from './run.ts'
import type { Path, RowWriter, Upsert, WriterParts } from './types.ts'

type UpdateFound = (
  table: Table,
  rows: readonly Row[],
  patch: Fields,
  context: GatewayContext,
) => Promise<Row[]>

/** Levels of children below a row, as deep as an honest form goes. */
const CHILD_LEVELS_MAX = 5

export function createRows(
  parts: WriterParts,
  updateFound: UpdateFound,
): Pick<RowWriter, 'create' | 'upsert'> {
  async function create(
    table: Table,
    inputs: readonly Fields[],
    context: GatewayContext,
    path: Path = [],
  ): Promise<Row[]> {
    if (path.length > CHILD_LEVELS_MAX) tooDeep(path)
    context.scope.countWrites(inputs.length, parts.rowsMax())
    const hooks = parts.hooks(table)
    const asked = await each(inputs, (input) => hooks.beforeCreate(input, context))
    const relations = childRelations(table, parts.tables)
    const given = asked.map((input) => changesOf(table, withoutChildren(input, relations)))
    const rows = await insert(table, given, context, path)
    await createChildren(table, asked, rows, context, path)
    if (hooks.has('afterCreate')) await each(rows, (row) => hooks.afterCreate(fieldsOf(table, row), context))
    return rows
  }

  async function createChildren(
    table: Table,
    inputs: readonly Fields[],
    rows: readonly Row[],
    context: GatewayContext,
    path: Path,
  ): Promise<void> {
    for (const child of childRelations(table, parts.tables)) {
      const children = inputs.flatMap((input, i) =>
        childrenIn(input, child).map((fields) => attached(table, rows[i]!, child, fields)),
      )
      if (children.length > 0) await create(child.target, children, context, [...path, child.relation.field])
    }
  }

  async function upsert(table: Table, input: Fields, how: Upsert, context: GatewayContext): Promise<Row> {
    const hooks = parts.hooks(table)
    // Only a hook has to know beforehand which of the two it will be.
    if (hooks.has(...HOOKS_OF.upsert)) {
      return upsertFound(table, input, how, context)
    }
    context.scope.countWrites(1, parts.rowsMax())
    const changes = changesOf(table, withoutChildren(input, childRelations(table, parts.tables)))
    const statement = upsertStatement(table, context.scope.identity.tenant, changes, how.key, how.update)
    const [row] = await runWrite(context, table, statement)
    if (!row) return inTheWay()
    await createChildren(table, [input], [row], context, [])
    return row
  }

  async function upsertFound(
    table: Table,
    input: Fields,
    how: Upsert,
    context: GatewayContext,
  ): Promise<Row> {
    const columns = withoutChildren(input, childRelations(table, parts.tables))
    const key = changesOf(table, pick(table, columns, how.key)).map(({ value }) => wireText(value))
    const { tenant } = context.scope.identity
    const by = table.columns.filter(({ name }) => how.key.includes(name)).map(({ name }) => name)
    const locked = await runWrite(context, table, lockStatement(table, tenant, by, [key], 'update'))
    const [found] = inOrder(locked)
    if (!found) return createNew(table, input, how, context)
    context.scope.countWrites(1, parts.rowsMax())
    const [row] = await updateFound(table, [found], pick(table, columns, how.update), context)
    if (!row) return inTheWay()
    await createChildren(table, [input], [row], context, [])
    return row
  }

  /** A row that was not there a moment ago; if it is now, the same operation will find it when it comes again. */
  async function createNew(table: Table, input: Fields, how: Upsert, context: GatewayContext): Promise<Row> {
    const [row] = await create(table, [input], context).catch((error: unknown) => {
      const fields = how.key.map((name) => columnOf(table, name).field)
      const isKey =
        error instanceof BrokenConstraint &&
        error.failure.kind === 'UNIQUE' &&
        error.failure.path.length === 0 &&
        error.failure.columns.every((field) => fields.includes(field))
      if (isKey) inTheWay()
      throw error
    })
    return row ?? inTheWay()
  }

  return { create, upsert }
}

/** One statement for the rows that give the same columns; the rows come back in the order in which they were given. */
async function insert(
  table: Table,
  rows: readonly Changes[],
  context: GatewayContext,
  path: Path,
): Promise<Row[]> {
  const { tenant } = context.scope.identity
  const made: Row[] = []
  const columns = (i: number): string => JSON.stringify(rows[i]!.map(({ column }) => column.name))
  for (const [, places] of Map.groupBy(rows.keys(), columns)) {
    const statement = insertStatement(
      table,
      tenant,
      places.map((i) => rows[i]!),
    )
    const found = await runWrite(context, table, statement, path)
    if (found.length !== places.length) leftOut(table)
    places.forEach((place, i) => {
      made[place] = found[i]!
    })
  }
  return made
}

function pick(table: Table, input: Fields, names: readonly string[]): Fields {
  const fields = names.map((name) => columnOf(table, name).field)
  return Object.fromEntries(Object.entries(input).filter(([field]) => fields.includes(field)))
}

function tooDeep(path: Path): never {
  const sentence = `"${path.join('.')}" is nested too deep; ${CHILD_LEVELS_MAX} levels of children can be created at once.`
  return fail('QUERY_TOO_COMPLEX', sentence, { limit: 'childLevels', allowed: CHILD_LEVELS_MAX })
}

function inTheWay(): never {
  return fail('CONFLICT', 'Another operation of the tenant has written the same row at the same time.')
}
