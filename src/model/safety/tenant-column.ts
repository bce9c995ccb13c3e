/** The tenant column: always there, never empty, and equal only to itself. */

import { quoted } from '../quote.ts'
import { refusesEmpty } from './expression.ts'
import type { SafetyQuestion, TableFacts } from './facts.ts'
import { type Finding, tableId, tableSql, unsafe } from './finding.ts'

const TYPES = ['text', 'character varying', 'uuid', 'smallint', 'integer', 'bigint']

export function tenantColumnFindings(table: TableFacts, question: SafetyQuestion): Finding[] {
  const { column } = question
  const inherited = table.isPartition // Its column and checks are its parent's.
  return inherited
    ? []
    : [...typeFindings(table, column), ...nullFindings(table, column), ...emptyFindings(table, column)]
}

function typeFindings(table: TableFacts, column: string): Finding[] {
  const id = tableId(table)
  const name = quoted(column)
  if (!TYPES.includes(table.tenantType)) {
    const reason = `its column ${column} is of type ${table.tenantType}, whose equality may take two ids for one; wanted ${TYPES.join(', ')}.`
    return [
      unsafe('tenant-type', reason, `alter table ${tableSql(table)} alter column ${name} type text;`, id),
    ]
  }
  if (table.tenantCollationExact) return []
  const reason = `the collation of its column ${column} is not deterministic: it takes two different ids for one.`
  const sql = `alter table ${tableSql(table)} alter column ${name} type ${table.tenantType} collate "C";`
  return [unsafe('tenant-type', reason, sql, id)]
}

function nullFindings(table: TableFacts, column: string): Finding[] {
  if (table.tenantNotNull) return []
  const reason = `its column ${column} may be null: such a row belongs to nobody, and its foreign keys are not checked.`
  const sql = `alter table ${tableSql(table)} alter column ${quoted(column)} set not null;`
  return [unsafe('tenant-not-null', reason, sql, tableId(table), { kind: 'not-null', table })]
}

// A transaction's setting is '' once it has ended: a row of the tenant '' would be everybody's.
function emptyFindings(table: TableFacts, column: string): Finding[] {
  if (!['text', 'character varying'].includes(table.tenantType)) return []
  const refused =
    table.checks.some((check) => refusesEmpty(check, column)) ||
    table.domainChecks.some((check) => refusesEmpty(check, 'VALUE'))
  if (refused) return []
  const reason = `nothing keeps '' out of its column ${column}: a row with the empty tenant is visible to whoever has not said which tenant it is.`
  const sql = `alter table ${tableSql(table)} add check (${quoted(column)} <> '');`
  return [unsafe('tenant-not-empty', reason, sql, tableId(table), { kind: 'not-empty', table })]
}
