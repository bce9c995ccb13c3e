/** Views: with whose rights they read, and whether everything that they read may be served. */

import { quoted } from '../quote.ts'
import type { SafetyQuestion, ViewFacts } from './facts.ts'
import { atOnce, type Finding, tableId, tableSql, unsafe, WITH_ANOTHER } from './finding.ts'

/** What is wrong with the views themselves. */
export function viewFindings(view: ViewFacts, question: SafetyQuestion): Finding[] {
  if (view.rights.length === 0) return []
  const id = tableId(view)
  if (view.materialized) {
    const reason = 'it is a materialized view, which no policy reaches, and the app role may read it.'
    return [unsafe('materialized-view', reason, revoked(view, question), id, atOnce())]
  }
  if (!view.invoker) {
    const reason =
      "it is a view that reads with its owner's rights, and the app role may use it. With its caller's, whoever else reads it needs rights on the tables."
    const sql = `alter view ${tableSql(view)} set (security_invoker = true);`
    return [unsafe('view-rights', reason, sql, id, atOnce())]
  }
  if (view.strange.length === 0) return []
  const reason = `it reads ${view.strange.join(', ')}, without the column ${question.column} and not in tenancy.global: what it shows of that, every tenant sees. List it there, or take the view away.`
  return [unsafe('view-source', reason, revoked(view, question), id)]
}

/**
 * Views that are as unsafe as what they read: the rights of their caller are no wall where that has none.
 *
 * @param refused  ids of tables and views that are unsafe
 */
export function viewReadFindings(view: ViewFacts, refused: ReadonlySet<string>): Finding[] {
  const culprits = view.reads.filter((id) => refused.has(id))
  if (view.rights.length === 0 || culprits.length === 0) return []
  const reason = `it reads ${culprits.join(', ')}, which is unsafe; safe with that.`
  return [unsafe('view-reads', reason, undefined, tableId(view), WITH_ANOTHER)]
}

function revoked(view: ViewFacts, { appRole }: SafetyQuestion): string {
  return `revoke all on ${tableSql(view)} from public, ${quoted(appRole)};`
}
