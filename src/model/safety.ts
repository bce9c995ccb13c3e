/**
 * Is a shard safe to serve? Reads its catalogs and says what could let one tenant's rows reach another,
 * each with the reason and the SQL that mends it.
 *
 * Policies are only one wall of it: keys, views, partitions, functions and the rights of roles all lead
 * past them. What a check does not understand it calls unsafe, never safe.
 */

import type { Queryable } from '../db/client.ts'
import { FUNCTIONS_SQL, GLOBALS_SQL, OWN_TABLES_SQL, ROLE_SQL, VIEWS_SQL } from './safety/catalog-sql.ts'
import {
  type FunctionFacts,
  type GlobalFacts,
  type RoleFacts,
  readFacts,
  type SafetyQuestion,
  type TableFacts,
  type ViewFacts,
} from './safety/facts.ts'
import { type Finding, unsafe } from './safety/finding.ts'
import { definerFindings, ownFunctionFindings, policyFunctionFindings } from './safety/functions.ts'
import { foreignKeyFindings, keyFindings } from './safety/keys.ts'
import { moveFindings } from './safety/moves.ts'
import { policyFindings } from './safety/policies.ts'
import { globalFindings, ownTableFindings, roleFindings, tableRightFindings } from './safety/rights.ts'
import { serverFindings } from './safety/server.ts'
import { TABLES_SQL } from './safety/table-sql.ts'
import { tenantColumnFindings } from './safety/tenant-column.ts'
import { viewFindings, viewReadFindings } from './safety/views.ts'

export type { SafetyQuestion } from './safety/facts.ts'
export type { Finding, Mend } from './safety/finding.ts'

/**
 * Everything that is wrong, the shard's own findings first, then table by table; the SQL mends when it
 * is run in this order. Any role can ask: the catalogs are public.
 */
export async function checkSafety(db: Queryable, question: SafetyQuestion): Promise<Finding[]> {
  const role = await readFacts<RoleFacts>(db, ROLE_SQL, question)
  if (!role) {
    const reason = `there is no role ${question.appRole} on this server.`
    return [unsafe('role-missing', reason)]
  }
  const shard = [...serverFindings(role), ...roleFindings(role, question)]
  // A superuser has every right there is; telling each of them would hide the one that matters.
  return role.superuser ? shard : [...shard, ...(await objectFindings(db, question))]
}

/** Ids of the tables and views that must not be served. */
export function unsafeTables(findings: readonly Finding[]): ReadonlySet<string> {
  const found = findings.filter((finding) => finding.severity === 'unsafe')
  return new Set(found.flatMap((finding) => finding.table ?? []))
}

/** Findings for which nothing on the shard must be served. */
export function unsafeShard(findings: readonly Finding[]): Finding[] {
  return findings.filter((finding) => finding.severity === 'unsafe' && finding.table === undefined)
}

async function objectFindings(db: Queryable, question: SafetyQuestion): Promise<Finding[]> {
  const read = async <T>(text: string): Promise<T[]> => (await readFacts<T[]>(db, text, question)) ?? []
  const functions = await read<FunctionFacts>(FUNCTIONS_SQL)
  const ownTables = await read<string>(OWN_TABLES_SQL)
  const tables = await read<TableFacts>(TABLES_SQL)
  const globals = await read<GlobalFacts>(GLOBALS_SQL)
  const views = await read<ViewFacts>(VIEWS_SQL)
  const found = [
    ...tables.flatMap((table) => tableFindings(table, functions, question)),
    ...tables.flatMap((table) => foreignKeyFindings(table, question)),
    ...globals.flatMap((table) => globalFindings(table, question)),
    ...views.flatMap((view) => viewFindings(view, question)),
  ]
  const refused = unsafeTables(found)
  return [
    ...ownTableFindings(ownTables, question),
    ...ownFunctionFindings(functions),
    ...definerFindings(functions, namesOf(tables, views), question),
    ...found,
    ...views.flatMap((view) => viewReadFindings(view, refused)),
  ]
}

/** Names under which rows of tenants can be read. */
function namesOf(tables: readonly TableFacts[], views: readonly ViewFacts[]): ReadonlySet<string> {
  return new Set([...tables, ...views].map(({ name }) => name.toLowerCase()))
}

function tableFindings(
  table: TableFacts,
  functions: readonly FunctionFacts[],
  question: SafetyQuestion,
): Finding[] {
  return [
    ...policyFindings(table, functions, question),
    ...policyFunctionFindings(table, functions),
    ...tenantColumnFindings(table, question),
    ...keyFindings(table, question),
    ...tableRightFindings(table, question),
    ...moveFindings(table, question),
  ]
}
