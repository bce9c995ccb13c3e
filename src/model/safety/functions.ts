/** Functions: those that policies lean on, and those that run with other rights than their caller's. */

import { quoted } from '../quote.ts'
import type { FunctionFacts, PolicyFacts, SafetyQuestion, TableFacts } from './facts.ts'
import { atOnce, type Finding, tableId, unsafe } from './finding.ts'

/**
 * Policies that reach an IMMUTABLE function. Such a function is folded into the plan of a prepared
 * statement; when it reads the tenant, the next tenant on that connection gets the first one's rows.
 */
export function policyFunctionFindings(table: TableFacts, functions: readonly FunctionFacts[]): Finding[] {
  return table.policies.flatMap((policy) =>
    reachedBy(policy, functions)
      .filter(({ volatility }) => volatility === 'i')
      .map((found) =>
        unsafe(
          'policy-function',
          `its policy ${policy.name} reaches ${found.signature}, which is IMMUTABLE: the result is kept in prepared plans, and the next tenant on the connection gets the rows of the one before.`,
          `alter function ${found.signature} stable;`,
          tableId(table),
          atOnce(),
        ),
      ),
  )
}

// The catalogs know what a policy calls, but not what a function whose body is a text calls: there every
// name before a parenthesis counts as a call of each function of that name.
function reachedBy(policy: PolicyFacts, functions: readonly FunctionFacts[]): FunctionFacts[] {
  const byOid = new Map(functions.map((found) => [found.oid, found]))
  const byName = Map.groupBy(functions, ({ name }) => name)
  const reached = new Set<FunctionFacts>()
  const next = policy.calls.flatMap((oid) => byOid.get(oid) ?? [])
  for (let found = next.pop(); found; found = next.pop()) {
    if (reached.has(found)) continue
    reached.add(found)
    next.push(...found.calls.flatMap((oid) => byOid.get(oid) ?? []))
    next.push(...namesCalledIn(found.source).flatMap((name) => byName.get(name) ?? []))
  }
  return [...reached].sort((a, b) => (a.signature < b.signature ? -1 : 1))
}

function namesCalledIn(source: string): string[] {
  const calls = source.matchAll(/(?:"((?:[^"]|"")+)"|([A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*))\s*\(/g)
  return [...calls].map(([, exact, plain]) => exact?.replaceAll('""', '"') ?? (plain ?? '').toLowerCase())
}

/** SECURITY DEFINER functions of the served schemas that the app role may call. */
export function definerFindings(functions: readonly FunctionFacts[], question: SafetyQuestion): Finding[] {
  const schemas = new Set([...question.schemas, 'shardgate'])
  return functions
    .filter((found) => found.definer && found.callable && schemas.has(found.schema))
    .map(({ signature }) =>
      unsafe(
        'function-definer',
        `${signature} is SECURITY DEFINER and the app role may call it: it runs with its owner's rights, past the app role's own.`,
        `revoke execute on function ${signature} from public, ${quoted(question.appRole)};`,
        undefined,
        atOnce(),
      ),
    )
}
