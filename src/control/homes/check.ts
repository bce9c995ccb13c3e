/** Whether a new home keeps its tenant apart; asked before anybody is sent there. */

import { fail } from '../../base/errors.ts'
import type { Queryable } from '../../db/client.ts'
import { checkSafety, type SafetyQuestion } from '../../model/safety.ts'
import { DEFAULT_TENANCY, type Fleet } from '../reach.ts'
import type { Home } from './reach-home.ts'

/** Reasons in one message; the rest is counted. */
const SHOWN = 5

/**
 * @param role  the role that reads and writes the tables
 * @throws TABLE_UNSAFE  with the reasons
 */
export async function requireSafe(db: Queryable, fleet: Fleet, home: Home, role: string): Promise<void> {
  const findings = await checkSafety(db, safetyQuestion(fleet.tenancy ?? DEFAULT_TENANCY, home, role))
  const reasons = findings
    .filter(({ severity }) => severity === 'unsafe')
    .map(({ table, reason }) => (table === undefined ? reason : `${table}: ${reason}`))
  if (reasons.length === 0) return
  const rest = reasons.length > SHOWN ? [`and ${reasons.length - SHOWN} more.`] : []
  const lines = [...reasons.slice(0, SHOWN), ...rest].map((reason) => `\n  ${reason}`).join('')
  const { tenant, shard } = home
  fail(
    'TABLE_UNSAFE',
    `The tables of ${tenant} would not be safe, so it was not made:${lines}`,
    { tenant, shard },
    {
      hint: 'Mend the migrations ("shardgate doctor" prints the SQL for the shared tables), then run the command again.',
    },
  )
}

/** What to ask of a home: a tenant's schema stands in the place of the first served one; its database has them all. */
export function safetyQuestion(
  tenancy: NonNullable<Fleet['tenancy']>,
  { isolation, namespace }: Pick<Home, 'isolation' | 'namespace'>,
  appRole: string,
): SafetyQuestion {
  const { column, schemas, global = [] } = tenancy
  if (isolation === 'database') return { column, schemas, global, appRole, own: true }
  const shared = `${schemas[0]}.`
  const own = global
    .filter((id) => id.startsWith(shared))
    .map((id) => `${namespace}.${id.slice(shared.length)}`)
  return { column, schemas: [namespace], global: own, appRole, own: true }
}
