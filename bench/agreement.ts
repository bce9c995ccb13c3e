/**
 * Whether all servers say the same: before anything is timed, each is asked the same things for the same tenants, and
 * the leaves of their answers have to be equal, in their order.
 *
 * Names of fields that hold others differ between servers and are left out. Numbers may come as text, moments in any
 * form of the same moment, cursors as any text, and the groups of Q6 in any order.
 */

import { bodyOf, type Caller } from './load.ts'
import type { OperationName } from './operations.ts'
import type { ServerPlan } from './servers.ts'

export interface Asked {
  readonly plan: ServerPlan
  readonly port: number
}

/** @throws naming operation, tenant and servers where two answers differ */
export async function requireAgreement(
  servers: readonly Asked[],
  callers: readonly Caller[],
  operations: readonly OperationName[],
): Promise<number> {
  let compared = 0
  for (const operation of operations) {
    for (const [turn, caller] of callers.entries()) {
      const answers = await Promise.all(servers.map((server) => leavesFrom(server, operation, caller, turn)))
      for (const [i, answer] of answers.entries()) {
        requireSame({ operation, caller }, servers[0]!, answers[0]!, servers[i]!, answer)
      }
      compared += answers.length
    }
  }
  return compared
}

interface Question {
  readonly operation: OperationName
  readonly caller: Caller
}

function requireSame(
  { operation, caller }: Question,
  a: Asked,
  one: string[],
  b: Asked,
  other: string[],
): void {
  const length = Math.max(one.length, other.length)
  for (let i = 0; i < length; i++) {
    if (one[i] === other[i]) continue
    throw new Error(
      `${operation} for tenant ${caller.tenant.id}: value ${i} of ${length} is ${one[i]} from ${a.plan.name} ` +
        `and ${other[i]} from ${b.plan.name}.`,
    )
  }
}

async function leavesFrom(
  { plan, port }: Asked,
  operation: OperationName,
  caller: Caller,
  turn: number,
): Promise<string[]> {
  const { token, body } = bodyOf(operation, caller, turn, plan.dialect)
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
  const response = await fetch(`http://127.0.0.1:${port}/graphql`, { method: 'POST', headers, body })
  const answer = (await response.json()) as { data?: unknown; errors?: unknown }
  if (answer.errors || answer.data === undefined || answer.data === null) {
    throw new Error(`${plan.name} does not answer ${operation}: ${JSON.stringify(answer).slice(0, 500)}`)
  }
  const leaves = leavesOf(answer.data)
  if (leaves.length === 0) throw new Error(`${plan.name} gives nothing for ${operation}.`)
  return operation === 'Q6' ? leaves.toSorted() : leaves
}

function leavesOf(value: unknown, name = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => leavesOf(item, name))
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).flatMap(([key, item]) => leavesOf(item, key))
  return [leafOf(value, name)]
}

function leafOf(value: unknown, name: string): string {
  if (name === 'endCursor') return value ? 'a cursor' : 'no cursor'
  if (name.endsWith('At')) return new Date(String(value)).toISOString()
  return String(value)
}
