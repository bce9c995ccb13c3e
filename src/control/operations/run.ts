/**
 * Running an operation: one at a time for a tenant, each step written down as soon as it is done.
 *
 * Whoever runs one holds a lock of the directory's, for as long as its session lives: a process that was killed has
 * let go of it, and nobody waits for a time to pass.
 */

import { canonicalJson } from '../../base/canonical.ts'
import { fail } from '../../base/errors.ts'
import { noFailpoints } from '../../base/failpoints.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { type Fleet, onDirectory, reasonOf } from '../reach.ts'
import { endOperation, findRunning, insertOperation, keepError, keepStep, resumed } from './store.ts'
import type { At, Kind, OperationRecord, Report } from './types.ts'

export interface Request<Input> {
  /** Null for an operation on the whole fleet. */
  readonly tenant: TenantId | null
  readonly input: Input
  readonly report?: Report
  /**
   * Looks at the directory once nobody else can change the tenant, and before anything is written; throws when the
   * request cannot be. Not called for an operation that goes on.
   */
  readonly require?: (directory: Client) => Promise<void>
}

/**
 * Run an operation to its end, from where it was left if it was begun before with the same input.
 *
 * @returns what its steps have left
 * @throws TENANT_BUSY            another operation on the tenant runs now, or was begun and not finished
 * @throws DIRECTORY_UNAVAILABLE  the directory cannot be reached
 * @throws                        what its steps throw; it stays unfinished then
 */
export function runOperation<Input extends object, Memory extends object>(
  fleet: Fleet,
  kind: Kind<Input, Memory>,
  request: Request<Input>,
): Promise<Memory> {
  const { tenant, input, report = () => {}, require = async () => {} } = request
  const operator = operatorOf(fleet)
  return alone(fleet, tenant, kind.name, async (directory) => {
    const running = await findRunning(directory, tenant, kind.name)
    if (running) requireSame(running, kind.name, input)
    else await require(directory)
    const record = running ?? (await insertOperation(directory, { kind: kind.name, tenant, input, operator }))
    if (running) await resumed(directory, operator, running)
    const memory = await advance(kind, record, { fleet, directory, tenant, input, report })
    await endOperation(directory, operator, record, 'done')
    return memory
  })
}

async function advance<Input, Memory>(
  kind: Kind<Input, Memory>,
  record: OperationRecord,
  place: Omit<At<Input, Memory>, 'memory' | 'operation'>,
): Promise<Memory> {
  const { failpoints = noFailpoints } = place.fleet
  let memory = record.memory as Partial<Memory>
  for (const step of kind.steps) {
    if (record.done.includes(step.name)) continue
    try {
      await failpoints.hit(`before ${kind.name} ${step.name}`)
      const left = (await step.run({ ...place, memory, operation: record.id })) ?? {}
      await failpoints.hit(`after ${kind.name} ${step.name}`)
      await keepStep(place.directory, record.id, step.name, left)
      memory = { ...memory, ...left }
    } catch (error) {
      // The first error says what went wrong; that it could not be written down would only hide it.
      await keepError(place.directory, record.id, `${step.name}: ${reasonOf(error)}`).catch(() => {})
      throw error
    }
  }
  return memory as Memory
}

function requireSame(running: OperationRecord, kind: string, input: object): void {
  if (running.kind === kind && canonicalJson(running.input) === canonicalJson(input)) return
  fail('TENANT_BUSY', `${unfinished(running)} ${wayOut(running)}`, { operation: Number(running.id) })
}

/** 'tenant.purge of acme, begun by ann at …, is not finished.' */
export function unfinished({ id, kind, tenant, operator, startedAt }: OperationRecord): string {
  const whose = tenant === null ? '' : ` of ${tenant}`
  return `Operation ${id} (${kind}${whose}), begun by ${operator} at ${startedAt}, is not finished.`
}

export function wayOut({ id, kind, input }: OperationRecord): string {
  if (kind === MOVE_KIND) return `See "shardgate move show ${(input as { move?: string }).move}".`
  return `Type "shardgate operation resume ${id}" or "shardgate operation abort ${id}" first.`
}

/**
 * Run `work` while nobody else runs an operation on the tenant, or of that kind on the whole fleet.
 *
 * @throws TENANT_BUSY  somebody does
 */
export function alone<T>(
  fleet: Fleet,
  tenant: TenantId | null,
  kind: string,
  work: (directory: Client) => Promise<T>,
): Promise<T> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const key = lockKey(tenant, kind)
    const [lock] = await directory.query(compile(sql`select pg_try_advisory_lock(${key}) as mine`))
    if (lock?.mine !== 't') return busy(directory, tenant, kind)
    try {
      return await work(directory)
    } finally {
      // A connection that is gone has let go of its locks.
      await directory.query(compile(sql`select pg_advisory_unlock(${key})`)).catch(() => {})
    }
  })
}

/** Operations that moves hold their tenants by: their rows are run and undone by the moves' own verbs. */
export const MOVE_KIND = 'tenant.move'

const OPERATION = 5349

/** The key of the lock that whoever runs an operation on the tenant holds (`alone`). */
export function lockKey(tenant: TenantId | null, kind: string): SQL {
  const whose = tenant === null ? `kind ${kind}` : `tenant ${tenant}`
  return sql`hashtextextended(${sql.value(whose)}::text, ${sql.literal(OPERATION)})`
}

async function busy(directory: Client, tenant: TenantId | null, kind: string): Promise<never> {
  const running = await findRunning(directory, tenant, kind)
  const what = running ? `${running.operator} runs ${running.kind}` : 'Somebody else works'
  const whose = tenant === null ? 'the fleet' : tenant
  return fail('TENANT_BUSY', `${what} on ${whose} at this moment.`, {}, { hint: 'Wait for its end.' })
}

export const operatorOf = ({ operator = 'unknown' }: Fleet): string => operator
