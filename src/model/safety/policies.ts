/** Row-level security: is it on, does it bind the owner too, and does a policy that nobody can widen
 * hold each table's rows to the tenant of the transaction? */

import { quoted } from '../quote.ts'
import { type TenantBinding, tenantBinding } from './expression.ts'
import type { FunctionFacts, PolicyFacts, SafetyQuestion, TableFacts } from './facts.ts'
import { advice, atOnce, type Finding, tableId, tableSql, tenantSql, unsafe } from './finding.ts'

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
    ...permissiveFindings(table, applying, question),
    ...narrowFindings(table, restrictive, question),
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
    const sql = [
      ...openToOthers(table),
      `alter table ${name} enable row level security;`,
      `alter table ${name} force row level security;`,
    ]
    const reason = `${lead}row-level security is off: every tenant sees every row.`
    return [unsafe('row-security', reason, sql.join('\n'), id, atOnce(table))]
  }
  if (table.forced) return []
  const reason = `${lead}row-level security is not forced: the owner, and whatever runs with its rights, sees every row.`
  const sql = [...openToOwner(table), `alter table ${name} force row level security;`]
  return [unsafe('row-security-forced', reason, sql.join('\n'), id, atOnce(table))]
}

// Other programs use an adopted table too, as its owner or with a right that somebody gave them. They go on
// seeing what they saw: the tenant's policy is for the app role alone, and the rest stays as it was.
function openToOthers(table: TableFacts): string[] {
  const permissive = table.policies.filter((policy) => policy.permissive)
  const open = permissive.some(
    (policy) => policy.everyone && policy.command === '*' && policy.using === 'true',
  )
  // Where no permissive policy is for the app role, the finding about that lets everybody in.
  return open || !permissive.some(({ applies }) => applies) ? [] : policySql(table, 'tenant_rows', OPEN)
}

function openToOwner(table: TableFacts): string[] {
  // A restrictive policy for all was made to bind the owner as well.
  if (table.policies.some((policy) => !policy.permissive && policy.everyone)) return []
  return policySql(table, 'owner_rows', `to ${quoted(table.owner)} ${OPEN}`)
}

const OPEN = 'using (true) with check (true)'

/** A policy under a name that is not taken by another one. */
function policySql(table: TableFacts, wanted: string, rule: string, replace = ''): string[] {
  const taken = table.policies.map((policy) => policy.name).filter((name) => name !== replace)
  let name = wanted
  for (let n = 2; taken.includes(name); n++) name = `${wanted}_${n}`
  const on = `${quoted(name)} on ${tableSql(table)}`
  return [`drop policy if exists ${on};`, `create policy ${on} ${rule};`]
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
  if (open.length > 0) return [notIsolated(table, restrictive, open, question)]
  const found = bindings.filter((binding) => binding !== undefined)
  return styleFindings(table, found, question)
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
  question: SafetyQuestion,
): Finding {
  const names = restrictive.map(({ name }) => name).join(', ')
  const wanted = `${quoted(question.column)} = ${tenantSql(table)}`
  const reason =
    restrictive.length === 0
      ? 'no restrictive policy holds its rows to the tenant; permissive policies are OR-ed, so that any later one widens them.'
      : `its restrictive policies (${names}) do not hold ${open.join(', ')} to the tenant; wanted ${wanted}, for reading and for writing.`
  return unsafe('tenant-policy', reason, isolationSql(table, question), tableId(table), atOnce(table))
}

function isolationSql(table: TableFacts, { column, appRole }: SafetyQuestion): string {
  const rule = `(${quoted(column)} = ${tenantSql(table)})`
  const policy = `as restrictive to ${quoted(appRole)} using ${rule} with check ${rule}`
  const own = table.policies.find(({ name, permissive }) => name === ISOLATION && !permissive)
  return policySql(table, ISOLATION, policy, own?.name).join('\n')
}

const ISOLATION = 'tenant_isolation'

function styleFindings(
  table: TableFacts,
  found: readonly TenantBinding[],
  question: SafetyQuestion,
): Finding[] {
  const sql = isolationSql(table, question)
  const id = tableId(table)
  const perRow = 'its policy asks for the tenant once a row; in a subselect it is asked once a statement.'
  const empty =
    "its policy compares with '' after a transaction has ended; shardgate.current_tenant() gives null."
  return [
    ...(found.every(({ once }) => once) ? [] : [advice('policy-once', perRow, sql, id, atOnce(table))]),
    ...(found.every(({ emptyIsNull }) => emptyIsNull)
      ? []
      : [advice('policy-empty', empty, sql, id, atOnce(table))]),
  ]
}

// Restrictive policies only narrow: without a permissive one the app role sees no row at all.
function permissiveFindings(
  table: TableFacts,
  applying: readonly PolicyFacts[],
  { appRole }: SafetyQuestion,
): Finding[] {
  if (applying.some((policy) => policy.permissive)) return []
  const whom = table.rowSecurity ? `to ${quoted(appRole)} ` : ''
  const sql = policySql(table, 'tenant_rows', `${whom}${OPEN}`).join('\n')
  const reason = 'no permissive policy lets the app role in: it will see no rows.'
  return [advice('policy-permissive', reason, sql, tableId(table), atOnce(table))]
}

// What another program's policy asks (the database user, say, or a table that only it may read) does not hold
// for the gateway. Whom it was made for only a person knows, so nothing mends it unasked.
function narrowFindings(
  table: TableFacts,
  restrictive: readonly PolicyFacts[],
  { column, appRole }: SafetyQuestion,
): Finding[] {
  const rules = ({ using, check }: PolicyFacts): string[] =>
    [using, check].filter((rule) => rule !== null && rule !== 'true') as string[]
  const narrow = restrictive.filter(
    // The finding about the tenant's policy replaces one of that name.
    (policy) => policy.name !== ISOLATION && rules(policy).some((rule) => !tenantBinding(rule, column)),
  )
  return narrow.map((policy) => {
    const reason = `its restrictive policy ${policy.name} holds for the app role ${appRole} too, and is about something else than the tenant: it may hide rows from it, or fail. When it is meant for other roles, name them.`
    const others = table.users.map((name) => quoted(name)).join(', ')
    const sql = `alter policy ${quoted(policy.name)} on ${tableSql(table)} to ${others};`
    return advice('policy-narrow', reason, policy.everyone ? sql : undefined, tableId(table))
  })
}
