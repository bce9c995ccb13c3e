/** The tenant column: never null and never empty, learnt by Postgres without a table being held. */

import { quoted } from '../model/quote.ts'
import type { TableFacts, TableName } from '../model/safety/facts.ts'
import { tableSql } from '../model/safety/finding.ts'
import { derivedName, hasConstraint, lockOf, mayBeNull, shortly, unhurriedly } from './adopt-text.ts'

/** A check that is validated spares SET NOT NULL its own look at every row, for which it would hold the table. */
export function neverNull(table: TableFacts, column: string): string[] {
  const check = derivedName(`${table.name}_${column}`, 'not_null')
  const name = quoted(column)
  const alter = `alter table ${tableSql(table)}`
  return [
    shortly(
      [
        `${alter} drop constraint if exists ${quoted(check)};`,
        `${alter} add constraint ${quoted(check)} check (${name} is not null) not valid;`,
      ],
      lockOf(table),
      mayBeNull(table, column),
    ),
    validated(table, check),
    shortly(
      [`${alter} alter column ${name} set not null;`, `${alter} drop constraint ${quoted(check)};`],
      lockOf(table),
      hasConstraint(table, check),
    ),
  ]
}

export function neverEmpty(table: TableFacts, column: string): string[] {
  const check = derivedName(`${table.name}_${column}`, 'not_empty')
  const add = `add constraint ${quoted(check)} check (${quoted(column)} <> '') not valid`
  return [
    shortly([`alter table ${tableSql(table)} ${add};`], lockOf(table), `not ${hasConstraint(table, check)}`),
    validated(table, check),
  ]
}

function validated(table: TableName, check: string): string {
  return unhurriedly(
    [`alter table ${tableSql(table)} validate constraint ${quoted(check)};`],
    hasConstraint(table, check),
  )
}

/** An index that starts with the tenant, for a table that has none. */
export function tenantIndex(table: TableFacts, column: string): string[] {
  const named = (name: string): string => quoted(derivedName(`${name}_${column}`, 'shardgate'))
  const on = (place: TableName): string => `on ${tableSql(place)} (${quoted(column)});`
  const places = table.kind === 'p' ? table.leaves : [table]
  const built = places.map(
    (place) => `create index concurrently if not exists ${named(place.name)} ${on(place)}`,
  )
  if (table.kind !== 'p') return built
  return [...built, shortly([`create index if not exists ${named(table.name)} ${on(table)}`], lockOf(table))]
}

/** Names of the indexes that tenantIndex builds. */
export function tenantIndexNames(table: TableFacts, column: string): TableName[] {
  const places = table.kind === 'p' ? table.leaves : [table]
  return places.map(({ schema, name }) => ({
    schema,
    name: derivedName(`${name}_${column}`, 'shardgate'),
  }))
}

/**
 * What to do about rows without a tenant, as lines for a person.
 *
 * @param count  rows found; undefined when they could not be counted
 */
export function orphanOrders(table: TableName, column: string, count: number | undefined): string[] {
  if (count === 0) return []
  const where = `${quoted(column)} is null`
  const rows =
    count === undefined ? 'it may hold rows that have' : `${count} ${count === 1 ? 'row has' : 'rows have'}`
  return [
    `${table.schema}.${table.name}: ${rows} no tenant, and the file stops at the first. Give them one, or remove them:`,
    `  update ${tableSql(table)} set ${quoted(column)} = … where ${where};`,
    `  delete from ${tableSql(table)} where ${where};`,
  ]
}
