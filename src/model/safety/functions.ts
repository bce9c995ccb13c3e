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
  return reachedFrom(policy.calls, functions)
}

function reachedFrom(oids: readonly string[], functions: readonly FunctionFacts[]): FunctionFacts[] {
  const byOid = new Map(functions.map((found) => [found.oid, found]))
  const byName = Map.groupBy(functions, ({ name }) => name)
  const reached = new Set<FunctionFacts>()
  const next = oids.flatMap((oid) => byOid.get(oid) ?? [])
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

/**
 * SECURITY DEFINER functions of the served schemas that the app role may call, and that may reach rows of tenants
 * with their owner's rights. One that can be seen to reach none is left alone.
 *
 * @param names  of the tables and views that hold rows of tenants, in small letters
 */
export function definerFindings(
  functions: readonly FunctionFacts[],
  names: ReadonlySet<string>,
  question: SafetyQuestion,
): Finding[] {
  const schemas = new Set([...question.schemas, 'shardgate'])
  return functions
    .filter((found) => found.definer && found.callable && !found.trigger && schemas.has(found.schema))
    .filter((found) => mayReach(found, names, functions))
    .map(({ signature }) =>
      unsafe(
        'function-definer',
        `${signature} is SECURITY DEFINER and the app role may call it: it runs with its owner's rights, past the app role's own. Whoever else calls it needs a grant of its own then.`,
        `revoke execute on function ${signature} from public, ${quoted(question.appRole)};`,
        undefined,
        atOnce(),
      ),
    )
}

// SQL that is put together at run time, or that a function of Postgres runs, names its tables where nobody sees it.
const DYNAMIC = /\b(?:execute|\w+_to_xml\w*|ts_stat|ts_rewrite|dblink\w*|u&)/i

function mayReach(
  start: FunctionFacts,
  names: ReadonlySet<string>,
  functions: readonly FunctionFacts[],
): boolean {
  return [start, ...reachedFrom([start.oid], functions)].some(({ language, body, source, reads }) => {
    if (!['sql', 'plpgsql'].includes(language)) return true
    if (body) return reads.some((name) => names.has(name.toLowerCase()))
    if (DYNAMIC.test(source)) return true
    // A quoted name may hold anything; what is compared is every word of the text, and every quoted name.
    const words = source.toLowerCase().match(/"(?:[^"]|"")*"|[\p{L}\p{N}_$]+/gu) ?? []
    return words.some((word) => names.has(word.replace(/^"|"$/g, '').replaceAll('""', '"')))
  })
}

/** Our own functions that are no longer as we made them. */
export function ownFunctionFindings(functions: readonly FunctionFacts[]): Finding[] {
  const own = functions.filter(({ schema }) => schema === 'shardgate')
  return own.flatMap(({ name, signature, volatility, definer }) => {
    const wanted = OWN[name]
    if (wanted === undefined || (volatility === wanted && !definer)) return []
    const reason = `${signature} is not as Shardgate made it: tenants would be fenced by what was true before, or by another's rights. Run "shardgate setup".`
    return [unsafe('own-functions', reason)]
  })
}

// F15: lock and epoch have to be read by two statements, which only a VOLATILE function does. F2: IMMUTABLE is kept.
const OWN: Readonly<Record<string, string>> = { begin_tenant: 'v', current_tenant: 's' }
