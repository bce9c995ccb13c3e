/**
 * Keys: uniqueness and foreign keys look past policies. A unique key without the tenant column tells
 * one tenant what another has; such a foreign key lets a row of one hang on a row of another, whose
 * delete then takes it along.
 */

import { quoted, quotedList } from '../quote.ts'
import type { ForeignKeyFacts, IndexFacts, SafetyQuestion, TableFacts } from './facts.ts'
import { advice, type Finding, tableId, tableSql, unsafe } from './finding.ts'

export function keyFindings(table: TableFacts, question: SafetyQuestion): Finding[] {
  const { column, own } = question
  // In a tenant's own schema or database there is nobody else whom a key could tell or keep waiting.
  const ofAll = own
    ? []
    : [
        ...table.indexes.flatMap((index) => uniqueFindings(table, index, column)),
        ...leadingIndexFindings(table, column),
      ]
  return [...ofAll, ...unusableFindings(table, column)]
}

/** Apart from the others and to be mended after them: the key that one refers to has to be there first. */
export function foreignKeyFindings(table: TableFacts, question: SafetyQuestion): Finding[] {
  return table.foreignKeys.flatMap((key) => foreignKeyFinding(table, key, question))
}

function uniqueFindings(table: TableFacts, index: IndexFacts, column: string): Finding[] {
  if (!index.unique && !index.exclusion) return []
  const id = tableId(table)
  if (index.exclusion && index.columns.includes(column) && comparesTenants(index, column)) {
    const reason = `its exclusion constraint ${index.name} compares ${column} otherwise than by "=": rows of one tenant are in the way of another's.`
    return [unsafe('unique-key', reason, undefined, id)]
  }
  if (index.columns[0] === column) return []
  const kind = index.primary ? 'primary key' : index.exclusion ? 'exclusion constraint' : 'unique key'
  const sql = widened(table, index, column)
  if (index.columns.includes(column)) {
    const reason = `its ${kind} ${index.name} does not start with ${column}: a tenant's rows lie apart in it.`
    return [
      advice('key-order', reason, sql, id, sql === undefined ? undefined : { kind: 'key', table, index }),
    ]
  }
  const reason = `its ${kind} ${index.name} does not hold ${column}: uniqueness looks past policies and tells one tenant what another has.`
  return [
    unsafe('unique-key', reason, sql, id, sql === undefined ? undefined : { kind: 'key', table, index }),
  ]
}

/** Whether an exclusion holds between rows of different tenants: 'EXCLUDE USING gist (tenant_id WITH <>, …)'. */
function comparesTenants({ definition }: IndexFacts, column: string): boolean {
  const parts = definition?.slice(definition.indexOf('(') + 1).split(', ') ?? []
  const part = parts.find((text) => [column, quoted(column)].some((name) => text.startsWith(`${name} `)))
  return !/ WITH =\)?(?: |$)/.test(part ?? '')
}

/** The same key with the tenant column in front; undefined where it would be a guess. */
function widened(table: TableFacts, index: IndexFacts, column: string): string | undefined {
  if (index.exclusion) return exchangeExclusion(table, index, column).join('\n')
  const columns = index.columns.filter((name) => name !== null && name !== column)
  const plain = !index.columns.includes(null) && !index.partial
  if (index.constraint && plain) {
    const kind = index.primary ? 'primary key' : 'unique'
    const list = quotedList([column, ...(columns as string[])])
    // What leans on a key without the tenant column lacks it too, and has a finding that adds it again.
    const cascade = index.columns.includes(column) ? '' : ' cascade'
    return `alter table ${tableSql(table)} drop constraint ${quoted(index.name)}${cascade},\n  add constraint ${quoted(index.name)} ${kind} ${list};`
  }
  if (index.columns.includes(column)) return undefined
  const name = quoted(index.name)
  const definition = `create unique index ${name} on ${tableSql(table)} ${indexBody(index, column)}`
  return `drop index ${quoted(table.schema, index.name)};\n${definition};`
}

/** What follows `on <table>` in the definition of this index, with the tenant column in front. */
export function indexBody({ method, body, columns, constraint }: IndexFacts, column: string): string {
  if (!columns.includes(column)) return `using ${quoted(method)} (${quoted(column)}, ${body}`
  // Only keys of plain columns are put in another order: an expression or an operator class has its place.
  const others = columns.filter((name) => name !== null && name !== column)
  const rest = constraint ? body.replace(/^(?:[^")]|"(?:[^"]|"")*")*\)/, '') : ''
  return `using ${quoted(method)} ${quotedList([column, ...(others as string[])])}${rest}`
}

/**
 * The same exclusion with the tenant in front. It cannot be built beside the old one, and the table is held while
 * it is. GiST compares plain types with the help of btree_gist, which an owner of a database may make.
 */
export function exchangeExclusion(table: TableFacts, index: IndexFacts, column: string): string[] {
  const definition = index.definition?.replace('(', () => `(${quoted(column)} WITH =, `)
  const name = quoted(index.name)
  return [
    ...(index.method === 'gist' ? ['create extension if not exists btree_gist with schema shardgate;'] : []),
    `alter table ${tableSql(table)} drop constraint ${name};`,
    `alter table ${tableSql(table)} add constraint ${name} ${definition};`,
  ]
}

function foreignKeyFinding(
  table: TableFacts,
  key: ForeignKeyFacts,
  { column, own }: SafetyQuestion,
): Finding[] {
  if (!key.otherIsTenant) return []
  const at = key.columns.indexOf(column)
  const id = tableId(table)
  const isBound = at >= 0 && key.otherColumns[at] === column
  if (!isBound && !own) {
    const other = `${key.otherSchema}.${key.otherTable}`
    const reason = `its foreign key ${key.name} to ${other} does not hold ${column} on both sides: a row can hang on another tenant's row, and its delete then takes it along.`
    return [
      unsafe('foreign-key', reason, withTenant(table, key, column), id, { kind: 'foreign-key', table, key }),
    ]
  }
  if (!key.valid) return [notValid(table, key)]
  const setsAll = 'nd'.includes(key.onDelete) && key.onDeleteColumns.length === 0
  if (!setsAll || !isBound) return []
  const reason = `its foreign key ${key.name} sets ${column} too when the other row is deleted, so that this delete always fails.`
  return [
    advice('foreign-key-delete', reason, withTenant(table, key, column), id, {
      kind: 'foreign-key',
      table,
      key,
    }),
  ]
}

function notValid(table: TableFacts, key: ForeignKeyFacts): Finding {
  const reason = `its foreign key ${key.name} was never checked against the rows that were there before it.`
  const sql = `alter table ${tableSql(table)} validate constraint ${quoted(key.name)};`
  return advice('foreign-key-valid', reason, sql, tableId(table), { kind: 'validate', table, key })
}

const ACTIONS: Readonly<Record<string, string>> = {
  r: 'restrict',
  c: 'cascade',
  n: 'set null',
  d: 'set default',
}

function withTenant(table: TableFacts, key: ForeignKeyFacts, column: string): string {
  const name = quoted(key.name)
  return [
    `alter table ${tableSql(table)} drop constraint if exists ${name},`,
    `  add constraint ${name} ${foreignKeyClause(key, column)};`,
  ].join('\n')
}

/**
 * The same foreign key with the tenant column on both sides: 'foreign key (…) references …'. One that was nothing but
 * the tenant, to the table of the tenants, names it twice: (tenant, tenant) to (tenant, id). MATCH FULL is not kept:
 * with the tenant, which is never null, it would forbid every other null.
 */
export function foreignKeyClause(key: ForeignKeyFacts, column: string): string {
  const pairs = key.columns.map((own, i) => [own, key.otherColumns[i] ?? ''] as const)
  const kept = pairs.filter(([, other]) => other !== column)
  const own = kept.map(([name]) => name)
  const other = kept.map(([, name]) => name)
  const set = (key.onDeleteColumns.length > 0 ? key.onDeleteColumns : own).filter((name) => name !== column)
  const sets = 'nd'.includes(key.onDelete)
  const onDelete = sets && set.length === 0 ? undefined : ACTIONS[key.onDelete]
  const onlyThese = sets ? ` ${quotedList(set)}` : ''
  // An update cannot set single columns, and setting the tenant to null always fails.
  const onUpdate = 'nd'.includes(key.onUpdate) ? undefined : ACTIONS[key.onUpdate]
  return [
    `foreign key ${quotedList([column, ...own])}`,
    `  references ${quoted(key.otherSchema, key.otherTable)} ${quotedList([column, ...other])}`,
    ...(onDelete ? [`  on delete ${onDelete}${onlyThese}`] : []),
    ...(onUpdate ? [`  on update ${onUpdate}`] : []),
    ...(key.deferrable ? [`  deferrable${key.deferred ? ' initially deferred' : ''}`] : []),
  ].join('\n')
}

function leadingIndexFindings(table: TableFacts, column: string): Finding[] {
  const leads = table.indexes.some((index) => index.valid && !index.partial && index.columns[0] === column)
  if (leads || table.isPartition || table.kind === 'f') return []
  const reason = `no index starts with ${column}: every query reads the rows of all tenants.`
  return [
    advice(
      'tenant-index',
      reason,
      `create index on ${tableSql(table)} (${quoted(column)});`,
      tableId(table),
      {
        kind: 'tenant-index',
        table,
      },
    ),
  ]
}

// Postgres asks no operator about hidden rows that might tell of them, so under policies such a column
// of an index only filters.
function unusableFindings(table: TableFacts, column: string): Finding[] {
  const indexed = table.indexes.flatMap(({ columns, leakproof }) =>
    columns.map((name, i) => (leakproof[i] === false ? (name ?? 'an expression') : undefined)),
  )
  const names = new Set([...table.opaque, ...indexed.filter((name) => name !== undefined)])
  names.delete(column)
  if (names.size === 0 || table.isPartition) return []
  const reason = `no index can be searched by ${[...names].sort().join(', ')} under row-level security: comparisons of these types are not leakproof, so a filter reads all rows of the tenant.`
  return [advice('index-unusable', reason, undefined, tableId(table))]
}
