/** Row-level security: is it on, does it bind the owner too, and does a policy that nobody can widen
 * hold each table's rows to the tenant of the transaction? */

import { quoted } from '../quote.ts'
import { type TenantBinding, tenantBinding } from './expression.ts'
import type { FunctionFacts, PolicyFacts, SafetyQuestion, TableFacts } from './facts.ts'
import { advice, type Finding, tableId, tableSql, tenantSql, unsafe } from './finding.ts'

export function policyFindings(
  table: TableFacts,
  functions: readonly FunctionFacts[],
  question: SafetyQuestion,
): Finding[] {
  if (!isReachable(table)) return []
  const applying = table.policies.filter((policy) => policy.applies)
  const restrictive = applying.filter((policy) => !policy.permissive)
  return [
    ...switchFindings(table),
    ...isolationFindings(table, restrictive, functions, question),
    ...permissiveFindings(table, applying),
  ]
}

// A partition or a child that the app role cannot name is only read through its parent, and there the
// parent's policies hold.
function isReachable(table: TableFacts): boolean {
  const granted = table.rights.some((right) => ['select', 'insert', 'update', 'delete'].includes(right))
  return table.parents.length === 0 || granted
}

function switchFindings(table: TableFacts): Finding[] {
  const id = tableId(table)
  const name = tableSql(table)
  const part = table.parents[0]
  const lead = part
    ? `it inherits from ${part}, whose policies do not hold when it is named directly, and the app role may name it; `
    : ''
  if (!table.rowSecurity) {
    const sql = `alter table ${name} enable row level security;\nalter table ${name} force row level security;`
    return [unsafe('row-security', `${lead}row-level security is off: every tenant sees every row.`, sql, id)]
  }
  if (table.forced) return []
  return [
    unsafe(
      'row-security-forced',
      `${lead}row-level security is not forced: the owner, and whatever runs with its rights, sees every row.`,
      `alter table ${name} force row level security;`,
      id,
    ),
  ]
}

const COMMANDS = [
  { code: 'r', verb: 'select', reads: true, writes: false },
  { code: 'a', verb: 'insert', reads: false, writes: true },
  { code: 'w', verb: 'update', reads: true, writes: true },
  { code: 'd', verb: 'delete', reads: true, writes: false },
] as const

type Command = (typeof COMMANDS)[number]

function isolationFindings(
  table: TableFacts,
  restrictive: readonly PolicyFacts[],
  functions: readonly FunctionFacts[],
  question: SafetyQuestion,
): Finding[] {
  const genuine = restrictive.filter((policy) => !hasImpostors(policy, functions))
  const bindings = COMMANDS.map((command) => bindingFor(command, genuine, question.column))
  const open = COMMANDS.filter((_, i) => !bindings[i]).map(({ verb }) => verb)
  if (open.length > 0) return [notIsolated(table, restrictive, open, question.column)]
  const found = bindings.filter((binding) => binding !== undefined)
  return styleFindings(table, found, question.column)
}

// A function or an operator of somebody else's may look like ours in print, because names that the
// search path finds are printed without their schema.
function hasImpostors(policy: PolicyFacts, functions: readonly FunctionFacts[]): boolean {
  const called = functions.filter((found) => policy.calls.includes(found.oid))
  const lookalike = called.some(
    ({ schema, name }) =>
      ['current_setting', 'nullif'].includes(name) || (name === 'current_tenant' && schema !== 'shardgate'),
  )
  return lookalike || policy.operators.includes('=')
}

// Restrictive policies are AND-ed, so one that binds is enough, for what is read and what is written.
function bindingFor(
  command: Command,
  policies: readonly PolicyFacts[],
  column: string,
): TenantBinding | undefined {
  const relevant = policies.filter((policy) => policy.command === '*' || policy.command === command.code)
  const reads = relevant.map((policy) => bindingIn(policy.using, column)).find(Boolean)
  const writes = relevant.map((policy) => bindingIn(policy.check ?? policy.using, column)).find(Boolean)
  if ((command.reads && !reads) || (command.writes && !writes)) return undefined
  const all = [command.reads ? reads : undefined, command.writes ? writes : undefined].filter(Boolean)
  return {
    once: all.every((binding) => binding?.once),
    emptyIsNull: all.every((binding) => binding?.emptyIsNull),
  }
}

function bindingIn(expression: string | null, column: string): TenantBinding | undefined {
  return expression === null ? undefined : tenantBinding(expression, column)
}

function notIsolated(
  table: TableFacts,
  restrictive: readonly PolicyFacts[],
  open: readonly string[],
  column: string,
): Finding {
  const names = restrictive.map(({ name }) => name).join(', ')
  const wanted = `${quoted(column)} = ${tenantSql(table)}`
  const reason =
    restrictive.length === 0
      ? 'no restrictive policy holds its rows to the tenant; permissive policies are OR-ed, so that any later one widens them.'
      : `its restrictive policies (${names}) do not hold ${open.join(', ')} to the tenant; wanted ${wanted}, for reading and for writing.`
  return unsafe('tenant-policy', reason, isolationSql(table, column), tableId(table))
}

function isolationSql(table: TableFacts, column: string): string {
  const name = tableSql(table)
  const rule = `(${quoted(column)} = ${tenantSql(table)})`
  return [
    `drop policy if exists tenant_isolation on ${name};`,
    `create policy tenant_isolation on ${name} as restrictive using ${rule} with check ${rule};`,
  ].join('\n')
}

function styleFindings(table: TableFacts, found: readonly TenantBinding[], column: string): Finding[] {
  const sql = isolationSql(table, column)
  const id = tableId(table)
  const perRow = 'its policy asks for the tenant once a row; in a subselect it is asked once a statement.'
  const empty =
    "its policy compares with '' after a transaction has ended; shardgate.current_tenant() gives null."
  return [
    ...(found.every(({ once }) => once) ? [] : [advice('policy-once', perRow, sql, id)]),
    ...(found.every(({ emptyIsNull }) => emptyIsNull) ? [] : [advice('policy-empty', empty, sql, id)]),
  ]
}

// Restrictive policies only narrow: without a permissive one the app role sees no row at all.
function permissiveFindings(table: TableFacts, applying: readonly PolicyFacts[]): Finding[] {
  if (applying.some((policy) => policy.permissive)) return []
  const sql = `create policy tenant_rows on ${tableSql(table)} using (true) with check (true);`
  const reason = 'no permissive policy lets the app role in: it will see no rows.'
  return [advice('policy-permissive', reason, sql, tableId(table))]
}
