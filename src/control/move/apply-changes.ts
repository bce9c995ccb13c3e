/**
 * The statement that does to a row at the other end what was done to it at this one. Each meets exactly one row: an
 * update that meets none, or two, is no change that was missed but a difference between both ends.
 *
 * Values are parameters, cast to the types of the other end's columns. One text for each shape of a change, so that a
 * connection prepares it once.
 */

import { fail } from '../../base/errors.ts'
import type { Change, Old, Tuple } from '../../db/pgoutput.ts'
import { UNCHANGED } from '../../db/pgoutput.ts'
import { compile, type SQL, type Statement, sql, type Value } from '../../db/sql.ts'
import type { Route } from './routes.ts'

export type RowChange = Extract<Change, { readonly row: Tuple } | { readonly kind: 'delete' }>

/** A statement, and what Postgres has to say when it has met its one row. */
export interface Applied {
  readonly statement: Statement
  readonly tag: string
  /** For people: 'update of app.tasks'. */
  readonly what: string
}

/** The statements of one table. */
export class TableApplier {
  readonly #route: Route
  readonly #shapes = new Map<string, Shape>()

  constructor(route: Route) {
    this.#route = route
  }

  /** @throws REFUSED  the row is another tenant's, or not known by a key */
  statement(change: RowChange): Applied {
    this.#requireTenant(change)
    const shape = this.#shapeOf(change)
    const { text, name } = shape.statement
    const values = shape.slots.map((slot) => this.#valueOf(slot, change))
    const statement = name === undefined ? { text, values } : { text, values, name }
    return { statement, tag: shape.tag, what: `${change.kind} of ${this.#route.id}` }
  }

  /** Keys that the change touches, without the tenant: of the row as it was and as it is. */
  keys(change: RowChange): string[][] {
    const { key } = this.#route
    if (!key) return [[]]
    const row = change.kind === 'delete' ? null : change.row
    const old = change.kind === 'insert' ? null : (change.old?.tuple ?? null)
    const keyIn = (tuple: Tuple): string[] => key.map((at) => text(tuple[at]) ?? text(old?.[at]) ?? '')
    const is = row && keyIn(row)
    const was = old && keyIn(old)
    if (!is || !was) return [is ?? was ?? []]
    return is.every((value, i) => value === was[i]) ? [is] : [was, is]
  }

  #valueOf(slot: Slot, change: RowChange): Value {
    if (slot === 'tenant') return this.#route.tenant?.text ?? null
    const value = tupleOf(change, slot.of)?.[slot.at]
    if (typeof value === 'string' || value === null) return value
    const sentence = `An ${change.kind} of ${this.#route.id} came without a value that is needed.`
    return fail('REFUSED', sentence, { table: this.#route.id })
  }

  #requireTenant(change: RowChange): void {
    const { tenant, id, key } = this.#route
    if (!tenant) return
    const old = change.kind === 'insert' ? null : change.old
    const isOther = (tuple: Tuple | undefined): boolean =>
      tuple !== undefined && tuple[tenant.at] !== tenant.text
    // An old key has the tenant's column only where it is part of the key.
    const wasOther =
      old && (old.is === 'row' || typeof old.tuple[tenant.at] === 'string') && isOther(old.tuple)
    if (!wasOther && !isOther(tupleOf(change, 'row'))) return
    const hint = key ? `Look for rows of ${id} whose tenant column was changed.` : undefined
    fail(
      'REFUSED',
      `A change of ${id} is about a row of another tenant.`,
      { table: id },
      hint === undefined ? {} : { hint },
    )
  }

  #shapeOf(change: RowChange): Shape {
    const name = this.#shapeName(change)
    const known = this.#shapes.get(name)
    if (known) return known
    const shape = shapeOf(statementOf(this.#route, change), TAGS[change.kind])
    // A row that nothing is set of is only looked for.
    const made = shape.statement.text.startsWith('select') ? { ...shape, tag: 'SELECT 1' } : shape
    const asInsert = made.statement.text.startsWith('with') ? { ...made, tag: TAGS.insert } : made
    this.#shapes.set(name, asInsert)
    return asInsert
  }

  #shapeName(change: RowChange): string {
    const nulls = this.#route.key ? '' : nullsOf(tupleOf(change, 'old'))
    if (change.kind !== 'update') return `${change.kind} ${nulls}`
    const left = change.row.map((value) => (value === UNCHANGED ? 'u' : '.')).join('')
    return `${change.old?.is} ${left} ${isRenumbered(this.#route, change)} ${nulls}`
  }
}

const nullsOf = (tuple: Tuple = []): string => tuple.map((value) => (value === null ? '0' : '.')).join('')

const TAGS = { insert: 'INSERT 0 1', update: 'UPDATE 1', delete: 'DELETE 1' } as const

function tupleOf(change: RowChange, of: 'row' | 'old'): Tuple | undefined {
  if (of === 'row') return change.kind === 'delete' ? undefined : change.row
  return change.kind === 'insert' ? undefined : change.old?.tuple
}

const text = (value: Tuple[number] | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined

type Slot = 'tenant' | { readonly of: 'row' | 'old'; readonly at: number }

interface Shape {
  readonly statement: Statement
  /** Whose value each parameter has. */
  readonly slots: readonly Slot[]
  readonly tag: string
}

// While a statement is composed, the names of slots stand in for their values.
function shapeOf(composed: SQL, tag: string): Shape {
  const statement = compile(composed)
  const slots = statement.values.map((value): Slot => {
    const [of, at] = String(value).split(' ')
    return of === 'row' || of === 'old' ? { of, at: Number(at) } : 'tenant'
  })
  return { statement, slots, tag }
}

function statementOf(route: Route, change: RowChange): SQL {
  if (change.kind === 'insert') return insert(route)
  if (change.kind === 'delete') return sql`delete from ${target(route)} where ${its(route, change.old)}`
  return isRenumbered(route, change) ? replace(route, change) : update(route, change)
}

const all = (route: Route): number[] => route.columns.map((_, at) => at)

const column = ({ columns }: Route, at: number): SQL => sql.identifier(columns[at]!.name)

const value = ({ columns }: Route, of: 'row' | 'old', at: number): SQL =>
  sql`${sql.value(`${of} ${at}`)}::${sql.identifier(...columns[at]!.type)}`

const list = (parts: readonly SQL[]): SQL => sql.join([...parts], ', ')

const named = ({ table }: Route): SQL => sql.identifier(table.schema, table.name)

/** `only "app"."tasks" as t` */
function target(route: Route, alias: 't' | 'o' = 't'): SQL {
  return sql`${route.table.partitioned ? sql.blank : sql`only `}${named(route)} as ${sql.identifier(alias)}`
}

function insert(route: Route): SQL {
  const at = all(route)
  const columns = list(at.map((i) => column(route, i)))
  // Also of identity columns that are "generated always".
  return sql`insert into ${named(route)} (${columns}) overriding system value values (${list(at.map((i) => value(route, 'row', i)))})`
}

type Update = Extract<RowChange, { readonly kind: 'update' }>

function update(route: Route, { row, old }: Update): SQL {
  const isSet = (at: number): boolean =>
    row[at] !== UNCHANGED && at !== route.tenant?.at && route.columns[at]?.always === false
  // A key that was not sent is the same as before.
  const set = all(route).filter((at) => isSet(at) && (old !== null || !route.key?.includes(at)))
  if (set.length === 0) return sql`select from ${target(route)} where ${its(route, old)} for update`
  const list_ = list(set.map((at) => sql`${column(route, at)} = ${value(route, 'row', at)}`))
  return sql`update ${target(route)} set ${list_} where ${its(route, old)}`
}

/**
 * Whether an update has given the row another number in a column that no UPDATE can set at the other end, or may have:
 * what it was is known of keys and of whole rows.
 */
function isRenumbered({ columns, key }: Route, { row, old }: Update): boolean {
  return columns.some(({ always }, at) => {
    if (!always) return false
    if (old?.is === 'row' || (old && key?.includes(at))) return old.tuple[at] !== row[at]
    return !key?.includes(at)
  })
}

/** The same by removing the row and writing it anew, with what was not sent taken from the old one. */
function replace(route: Route, { row, old }: Update): SQL {
  const at = all(route)
  const taken = at.map((i) => (row[i] === UNCHANGED ? sql`old.${column(route, i)}` : value(route, 'row', i)))
  return sql`with old as (delete from ${target(route)} where ${its(route, old)} returning t.*)
    insert into ${named(route)} (${list(at.map((i) => column(route, i)))}) overriding system value
    select ${list(taken)} from old`
}

/** The condition that is true of the one row of a change. */
function its(route: Route, old: Old | null): SQL {
  if (!route.key) return one(route, old)
  const of = old ? 'old' : 'row'
  const keys = route.key.map((at) => sql`t.${column(route, at)} = ${value(route, of, at)}`)
  const conditions = [...ofTenant(route, 't'), ...keys]
  return sql.join(conditions, ' and ')
}

function ofTenant({ table: { tenant } }: Route, alias: 't' | 'o'): SQL[] {
  if (!tenant) return []
  const own = sql`${sql.identifier(alias)}.${sql.identifier(tenant.column)}`
  return [sql`${own} = ${sql.value('tenant')}::${sql.identifier(...tenant.type)}`]
}

/**
 * Of rows that nothing tells apart any one will do, but only one. They are compared as the text that Postgres writes of
 * a row, in which null is not '' and -0 is not 0; a type like json has no other way to be compared. What can be compared
 * by value is so before that: it may be found by an index, and few rows are left to be written out.
 */
function one(route: Route, old: Old | null): SQL {
  const at = all(route).filter((i) => i !== route.tenant?.at)
  const is = list(at.map((i) => sql`o.${column(route, i)}`))
  const was = list(at.map((i) => value(route, 'old', i)))
  const alike = at
    .filter((i) => route.columns[i]?.comparable)
    .map((i) => {
      if (old?.tuple[i] === null) return sql`o.${column(route, i)} is null`
      return sql`o.${column(route, i)} = ${value(route, 'old', i)}`
    })
  const conditions = [...ofTenant(route, 'o'), ...alike, sql`row(${is})::text = (select row(${was})::text)`]
  return sql`(t.tableoid, t.ctid) = (
    select o.tableoid, o.ctid from ${target(route, 'o')} where ${sql.join(conditions, ' and ')} limit 1)`
}
