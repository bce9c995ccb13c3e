/** What a table lacks for the moves of tenants: rows that replication finds again, ids that collide with none. */

import { quoted } from '../quote.ts'
import type { IndexFacts, SafetyQuestion, TableFacts } from './facts.ts'
import { advice, atOnce, type Finding, tableId, tableSql, WITH_ANOTHER } from './finding.ts'

export function moveFindings(table: TableFacts, question: SafetyQuestion): Finding[] {
  return [...identityFindings(table, question), ...(question.own ? [] : sequenceFindings(table))]
}

// A change is filtered by tenant, and only columns of the replica identity are known of a row that was changed.
// In a tenant's own schema or database nothing is filtered: whatever finds the row will do.
function identityFindings(table: TableFacts, { column, own }: SafetyQuestion): Finding[] {
  if (own && table.identity !== null && table.identity.length > 0) return []
  if (table.kind !== 'r' || table.identity === null || table.identity.includes(column)) return []
  const id = tableId(table)
  const lack = `its replica identity does not hold ${column}: a move could not follow changes of its rows`
  if (table.identity.length > 0) {
    const reason = `${lack}; a primary key that starts with ${column} mends that.`
    return [advice('move-replica-identity', reason, undefined, id, WITH_ANOTHER)]
  }
  const index = table.indexes.find((found) => canIdentify(found, column))
  if (index) {
    const sql = `alter table ${tableSql(table)} replica identity using index ${quoted(index.name)};`
    return [advice('move-replica-identity', `${lack}.`, sql, id, atOnce(table))]
  }
  const reason = `${lack}; without a key, each change is written to the log with the whole row.`
  return [
    advice('move-replica-identity', reason, `alter table ${tableSql(table)} replica identity full;`, id),
  ]
}

function canIdentify(
  { unique, valid, partial, immediate, notNull, columns }: IndexFacts,
  column: string,
): boolean {
  return (
    unique && valid && !partial && immediate && notNull && !columns.includes(null) && columns.includes(column)
  )
}

function sequenceFindings(table: TableFacts): Finding[] {
  if (table.counted.length === 0 || table.isPartition) return []
  const reason = `${table.counted.join(', ')} of its key is counted by a sequence, for all tenants together: it tells one how much the others write, and after a move the counts of two shards meet. A uuid does neither.`
  return [advice('move-sequence', reason, undefined, tableId(table))]
}
