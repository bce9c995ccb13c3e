/**
 * Relations: each foreign key between two served tables, seen from both sides.
 *
 *     tickets.author_id → users      on Ticket: author        on User: ticketsByAuthor
 *     comments.ticket_id → tickets   on Comment: ticket       on Ticket: comments
 *     comments.parent_id → comments  on Comment: parent       and: commentsByParent
 *
 * The tenant column is part of the key in Postgres and no part of the relation here: every statement
 * is bound to one tenant anyway.
 */

import type { PgClass, PgConstraint } from 'pg-introspection'
import { idOf } from './catalog.ts'
import { camelCase, pascalCase, referenceName } from './names.ts'
import { foreignKeysOf, isOmitted, type RelationSetting, type TableSetting } from './settings.ts'
import type { Relation, Table } from './types.ts'

interface Pair {
  readonly own: string
  readonly other: string
}

interface ForeignKey {
  readonly constraint: string
  readonly setting: RelationSetting
  readonly child: Table
  readonly parent: Table
  readonly pairs: readonly Pair[]
  /** Whether a child may name a row that is not there. */
  readonly nullable: boolean
  /** Whether a parent has one child at most. */
  readonly unique: boolean
}

/** Columns of primary and foreign keys by table id, those that foreign keys point to among them. */
export function neededColumns(classes: readonly PgClass[]): ReadonlyMap<string, ReadonlySet<string>> {
  const needed = new Map(classes.map((found) => [idOf(found), new Set<string>()]))
  for (const found of classes) {
    for (const constraint of found
      .getConstraints()
      .filter(({ contype }) => contype === 'p' || contype === 'f')) {
      for (const { attname } of constraint.getAttributes() ?? []) needed.get(idOf(found))?.add(attname)
      if (constraint.contype === 'p') continue
      const parent = needed.get(idOf(constraint.getForeignClass()))
      for (const { attname } of constraint.getForeignAttributes() ?? []) parent?.add(attname)
    }
  }
  return needed
}

/** Relations by table id; those of the table's own foreign keys first, each part sorted by constraint. */
export function relationsOf(
  classes: readonly PgClass[],
  tables: readonly Table[],
  settings: ReadonlyMap<string, TableSetting>,
): ReadonlyMap<string, readonly Relation[]> {
  const byId = new Map(tables.map((table) => [table.id, table]))
  const keys = classes.flatMap((found) => relationKeys(found, byId, settings.get(idOf(found))!))
  return new Map(tables.map((table) => [table.id, [...toParents(table, keys), ...toChildren(table, keys)]]))
}

function relationKeys(
  found: PgClass,
  tables: ReadonlyMap<string, Table>,
  { relations }: TableSetting,
): ForeignKey[] {
  const keys = foreignKeysOf(found)
    .filter(isPlain)
    .sort((a, b) => (a.conname < b.conname ? -1 : 1))
    .flatMap((constraint) => foreignKeyOf(constraint, tables, relations.get(constraint.conname)!) ?? [])
  // Two constraints that say the same are one relation.
  const same = (a: ForeignKey, b: ForeignKey): boolean =>
    a.parent === b.parent && JSON.stringify(a.pairs) === JSON.stringify(b.pairs)
  return keys.filter((key, i) => keys.findIndex((other) => same(key, other)) === i)
}

// A temporal key (PERIOD) matches by containment, which is no join of equal columns.
function isPlain(constraint: PgConstraint): boolean {
  return constraint.conperiod !== true
}

function foreignKeyOf(
  constraint: PgConstraint,
  tables: ReadonlyMap<string, Table>,
  setting: RelationSetting,
): ForeignKey | undefined {
  const child = tables.get(idOf(constraint.getClass()))
  const parent = tables.get(idOf(constraint.getForeignClass()))
  if (!child || !parent) return undefined
  const own = (constraint.getAttributes() ?? []).map((attribute) => attribute.attname)
  const other = (constraint.getForeignAttributes() ?? []).map((attribute) => attribute.attname)
  const all = own.map((name, i) => ({ own: name, other: other[i] ?? '' }))
  const pairs = all.filter((pair) => pair.own !== child.tenantColumn && pair.other !== parent.tenantColumn)
  const crossed = all.some(
    (pair) => (pair.own === child.tenantColumn) !== (pair.other === parent.tenantColumn),
  )
  // A key that takes the tenant from another column would lead out of the tenant.
  if (pairs.length === 0 || crossed || !pairs.every(isServed(child, parent))) return undefined
  return {
    constraint: constraint.conname,
    setting,
    child,
    parent,
    pairs,
    nullable:
      !isProven(constraint) || mayBeForeign(all, parent) || pairs.some((pair) => isNullable(child, pair.own)),
    unique: isUnique(child, new Set(pairs.map((pair) => pair.own))),
  }
}

// Columns that the serving role may not read lead nowhere.
function isServed(child: Table, parent: Table): (pair: Pair) => boolean {
  const [own, other] = [child, parent].map(({ columns }) => new Set(columns.map(({ name }) => name)))
  return (pair) => own!.has(pair.own) && other!.has(pair.other)
}

// Without the tenant in its key a row may point to another tenant's, which is not there for the caller.
function mayBeForeign(pairs: readonly Pair[], { tenantColumn }: Table): boolean {
  return tenantColumn !== null && !pairs.some((pair) => pair.other === tenantColumn)
}

// NOT VALID and NOT ENFORCED keys leave room for rows without a parent.
function isProven(constraint: PgConstraint): boolean {
  return constraint.convalidated === true && constraint.conenforced !== false
}

function isNullable(table: Table, column: string): boolean {
  return table.columns.find(({ name }) => name === column)?.nullable ?? true
}

function isUnique(table: Table, columns: ReadonlySet<string>): boolean {
  const keys = [table.primaryKey, ...table.uniques.map((key) => key.columns)]
  return keys
    .map((key) => key.filter((column) => column !== table.tenantColumn))
    .some((key) => key.length > 0 && key.every((column) => columns.has(column)))
}

function toParents(table: Table, keys: readonly ForeignKey[]): Relation[] {
  return keys
    .filter((key) => key.child === table && !isOmitted(key.setting))
    .map((key) => ({
      field: key.setting.name ?? childField(key, keys),
      kind: 'one' as const,
      target: key.parent.id,
      columns: key.pairs,
      constraint: key.constraint,
      nullable: key.nullable,
      ...about(key, key.parent),
    }))
}

function toChildren(table: Table, keys: readonly ForeignKey[]): Relation[] {
  return keys
    .filter((key) => key.parent === table && !isOmitted(key.setting))
    .sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))
    .map((key) => ({
      field: key.setting.inverseName ?? parentField(key, keys),
      kind: key.unique ? ('one' as const) : ('many' as const),
      target: key.child.id,
      inverse: true as const,
      columns: key.pairs.map((pair) => ({ own: pair.other, other: pair.own })),
      constraint: key.constraint,
      nullable: key.unique,
      ...about(key, key.child),
    }))
}

// The comment on a foreign key speaks of the constraint; what leads to a table that goes goes with it.
function about({ setting }: ForeignKey, target: Table): { deprecated?: string } {
  const deprecated = setting.deprecated ?? target.deprecated
  return deprecated === undefined ? {} : { deprecated }
}

function sortKey(key: ForeignKey): string {
  return `${key.child.id}\n${key.constraint}`
}

/** `author` for author_id; else the parent's own name, told apart by column where there are several. */
function childField(key: ForeignKey, keys: readonly ForeignKey[]): string {
  const siblings = keys.filter((other) => other.child === key.child)
  const name = nameInColumn(key)
  if (name) {
    const alone = siblings.filter((other) => nameInColumn(other) === name).length === 1
    return alone ? camelCase(name) : `${key.parent.oneField}By${byColumns(key)}`
  }
  const rivals = siblings.filter((other) => other.parent === key.parent && !nameInColumn(other))
  // A column `country` that points at countries has taken the name for itself.
  const taken = key.pairs.some((pair) => camelCase(pair.own) === key.parent.oneField)
  return rivals.length === 1 && !taken ? key.parent.oneField : `${key.parent.oneField}By${byColumns(key)}`
}

/** `comments` when that says it all; `ticketsByAuthor` when there is a second way, or to oneself. */
function parentField(key: ForeignKey, keys: readonly ForeignKey[]): string {
  const name = key.unique ? key.child.oneField : key.child.manyField
  const rivals = keys.filter((other) => other.child === key.child && other.parent === key.parent)
  return rivals.length === 1 && key.child !== key.parent ? name : `${name}By${byColumns(key)}`
}

function nameInColumn(key: ForeignKey): string | undefined {
  const [only, ...more] = key.pairs
  return only && more.length === 0 ? referenceName(only.own) : undefined
}

function byColumns(key: ForeignKey): string {
  return key.pairs.map((pair) => pascalCase(referenceName(pair.own) ?? pair.own)).join('')
}
