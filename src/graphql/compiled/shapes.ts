/**
 * The shape of a plan: what its statement depends on, without the values. Plans of equal shape are one prepared
 * statement; their values are its parameters.
 *
 * `mapList` and `mapGroups` meet the values of a plan in one order, whether they collect them for a request or put
 * slots in their place for the statement.
 */

import type { Value } from '../../db/sql.ts'
import type { Groups, MeasureCondition } from '../plan/aggregate-types.ts'
import { type Condition, type ListPlan, type OrderTerm, type Position, planText } from '../plan/types.ts'

type Map_ = (value: Value) => Value

/** `plan` with other values. Which rows are passed over, and how many are read, `limitOf` says. */
export function mapList(plan: ListPlan, map: Map_): ListPlan {
  const { where, after, before } = plan
  return {
    ...plan,
    where: where && mapCondition(where, map),
    after: after && mapPosition(after, map),
    before: before && mapPosition(before, map),
  }
}

function mapPosition(position: Position, map: Map_): Position {
  return position.map((value) => (value === null ? null : map(value))) as Position
}

// Whether a value is wanted to be null or empty is written in words, and belongs to the shape.
const WRITTEN: ReadonlySet<string> = new Set(['isNull', 'isEmpty'])

function mapCondition(where: Condition, map: Map_): Condition {
  switch (where.kind) {
    case 'and':
    case 'or':
      return { kind: where.kind, of: where.of.map((part) => mapCondition(part, map)) }
    case 'not':
      return { kind: 'not', of: mapCondition(where.of, map) }
    case 'related':
      return { ...where, where: mapCondition(where.where, map) }
    case 'compare': {
      const { at, operator, value } = where
      const place = at && { ...at, path: map(at.path) as unknown as readonly string[] }
      const given = WRITTEN.has(operator) ? value : map(value)
      return { ...where, ...(place && { at: place }), value: given }
    }
  }
}

/** Equal for lists whose statements differ in nothing but values. */
export function listKey(plan: ListPlan): string {
  const { where, order, backward, after, before, offset } = plan
  return [
    where ? keyOf(where, conditionKey) : '',
    keyOf(order, (terms) => terms.map(orderKey).join()),
    backward ? 'b' : 'f',
    positionKey(after),
    positionKey(before),
    offset > 0 ? 'o' : '',
  ].join('|')
}

// The filter and the order of a document that are no variables are the same objects each time.
const keys = new WeakMap<object, string>()

function keyOf<T extends object>(part: T, make: (part: T) => string): string {
  const known = keys.get(part)
  if (known !== undefined) return known
  const key = make(part)
  keys.set(part, key)
  return key
}

function positionKey(position: Position | null): string {
  return position ? position.map((value) => (value === null ? '0' : '1')).join('') : '-'
}

function orderKey({ by, descending, nullsFirst }: OrderTerm): string {
  const name = by.kind === 'column' ? JSON.stringify(by.column) : planText(by)
  return `${name}${descending ? 'd' : 'a'}${nullsFirst ? 'n' : ''}`
}

function conditionKey(where: Condition): string {
  switch (where.kind) {
    case 'and':
    case 'or':
      return `${where.kind}(${where.of.map(conditionKey).join()})`
    case 'not':
      return `not(${conditionKey(where.of)})`
    case 'related': {
      const { join, quantifier } = where
      const columns = join.columns.map(({ own, other }) => [own, other])
      return `${quantifier}${JSON.stringify([join.table.id, columns])}(${conditionKey(where.where)})`
    }
    case 'compare': {
      const { column, at, operator, value } = where
      return `${JSON.stringify(column)}${at ? `@${at.as}` : ''}.${operator}${WRITTEN.has(operator) ? value : ''}`
    }
  }
}

/** `groups` with other values. */
export function mapGroups(groups: Groups, map: Map_): Groups {
  const { having, timeZone, limit, offset } = groups
  return {
    ...groups,
    timeZone: map(timeZone) as string,
    having: having && mapHaving(having, map),
    limit: map(limit) as number,
    offset: map(offset) as number,
  }
}

function mapHaving(having: MeasureCondition, map: Map_): MeasureCondition {
  if (having.kind === 'not') return { kind: 'not', of: mapHaving(having.of, map) }
  if (having.kind !== 'compare')
    return { kind: having.kind, of: having.of.map((part) => mapHaving(part, map)) }
  return WRITTEN.has(having.operator) ? having : { ...having, value: map(having.value) }
}

/** Equal for groups whose statements differ in nothing but values. */
export function groupsKey({ by, having, order }: Groups): string {
  return JSON.stringify([by, having && havingKey(having), order])
}

function havingKey(having: MeasureCondition): unknown {
  if (having.kind === 'not') return ['not', havingKey(having.of)]
  if (having.kind !== 'compare') return [having.kind, having.of.map(havingKey)]
  const { measure, operator, value } = having
  return [measure, operator, WRITTEN.has(operator) ? value : null]
}
