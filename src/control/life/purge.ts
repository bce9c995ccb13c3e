/**
 * Erasing a tenant for good, and the proof of it.
 *
 *     offboarded ──▶ purging ──▶ rows, home, exports removed ──▶ scanned ──▶ receipt, tombstone; the tenant is gone
 *
 * Everything is counted and hashed before anything goes. From the moment that the directory has it as `purging`, routers
 * do not see the tenant any more and there is no way back; what is killed is gone on with. The receipt is written as the
 * last, with the removal of the tenant's row, in one transaction: there is none while a row of the tenant remains.
 */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import { contentHash, type TableHash } from '../copy/hash.ts'
import { requireNoMove } from '../move/open-moves.ts'
import { runOperation } from '../operations/run.ts'
import { findRunning } from '../operations/store.ts'
import type { Kind, Report } from '../operations/types.ts'
import { DEFAULT_TENANCY, type Fleet, onDirectory } from '../reach.ts'
import { writeReceipt } from './purge-end.ts'
import {
  closeForGood,
  countAll,
  emptyTables,
  leaveNothing,
  lookThrough,
  type PurgeInput,
  type PurgeMemory,
  takeExports,
} from './purge-steps.ts'
import { findSubject, onPlace, type Place, requireSubject, type Subject } from './subject.ts'
import { findTombstone } from './tombstones.ts'

export interface PurgeRequest {
  /** The tenant's name as the operator has typed it. */
  readonly name: string
  /** Before its quarantine has ended; wants a reason. */
  readonly force?: boolean
  readonly reason?: string
}

export interface PurgeResult {
  readonly tenant: TenantId
  readonly rows: number
  readonly receipt: number
  readonly sha256: string
}

export const PURGE: Kind<PurgeInput, PurgeMemory> = {
  name: 'tenant.purge',
  steps: [countAll, closeForGood, emptyTables, leaveNothing, takeExports, lookThrough, writeReceipt],
  whyNotAbort: ({ memory, tenant }) =>
    memory.closed
      ? `Rows of ${tenant} may be gone by now, so its purge cannot be undone, only finished.`
      : undefined,
}

/**
 * Purge a tenant in quarantine, or go on with its purge.
 *
 * @throws TENANT_UNKNOWN  there is no such tenant
 * @throws REFUSED         it is not in quarantine, or the quarantine has not ended, or the name is not its name
 * @throws USAGE           force without a reason
 * @throws TENANT_BUSY     another operation on it runs, or is unfinished, or a move of it could still be rolled back
 */
export async function purgeTenant(
  fleet: Fleet,
  tenant: TenantId,
  request: PurgeRequest,
  report?: Report,
): Promise<PurgeResult> {
  const { force = false, reason } = request
  if (force && !reason) fail('USAGE', '--force wants a --reason, which stands in the receipt.')
  await onDirectory(fleet.directoryUrl, (directory) => requireName(directory, tenant, request.name))
  const input: PurgeInput = { ...(force && { forced: true }), ...(reason !== undefined && { reason }) }
  const require = async (directory: Client): Promise<void> => {
    await requireNoMove(directory, tenant)
    const subject = await requireName(directory, tenant, request.name)
    if (subject) requireEnd(subject, force)
  }
  return runPurge(fleet, tenant, input, require, report)
}

/** Purge what a restored backup has brought back of a tenant that was purged. @throws REFUSED  there is nothing */
export async function purgeRevived(
  fleet: Fleet,
  tenant: TenantId,
  require: (directory: Client) => Promise<void>,
  reason?: string,
  report?: Report,
): Promise<PurgeResult> {
  const input: PurgeInput = { revived: true, ...(reason !== undefined && { reason }) }
  return runPurge(fleet, tenant, input, require, report)
}

async function runPurge(
  fleet: Fleet,
  tenant: TenantId,
  input: PurgeInput,
  require: (directory: Client) => Promise<void>,
  report?: Report,
): Promise<PurgeResult> {
  const request = { tenant, input, require, ...(report && { report }) }
  const { rows, receipt, sha256 } = await runOperation(fleet, PURGE, request)
  return { tenant, rows, receipt, sha256 }
}

async function requireName(directory: Client, tenant: TenantId, name: string): Promise<Subject | null> {
  const subject = await findSubject(directory, tenant)
  if (!subject) return requirePurging(directory, tenant)
  if (subject.name === name) return subject
  return fail(
    'REFUSED',
    `That is not the name of tenant ${tenant}.`,
    { tenant },
    {
      hint: `Nothing was changed. "shardgate tenant show ${tenant}" shows its name.`,
    },
  )
}

// The row goes with the last step; killed right after it, only the end of the operation is missing.
async function requirePurging(directory: Client, tenant: TenantId): Promise<null> {
  if ((await findRunning(directory, tenant, PURGE.name))?.kind === PURGE.name) return null
  const tombstone = await findTombstone(directory, tenant)
  if (!tombstone) await requireSubject(directory, tenant)
  return fail(
    'TENANT_UNKNOWN',
    `${tenant} was purged at ${tombstone?.purgedAt}.`,
    { tenant },
    {
      hint: `See "shardgate tenant receipt ${tenant}".`,
    },
  )
}

function requireEnd(subject: Subject, force: boolean): void {
  const { state, tenant, mayBePurged, purgeAfter } = subject
  if (state !== 'offboarded') {
    const hint = `Nothing was changed. Type "shardgate tenant offboard ${tenant}" first.`
    fail('REFUSED', `${tenant} is ${state}; a tenant is purged from its quarantine.`, { tenant }, { hint })
  }
  if (mayBePurged || force) return
  const hint = 'Nothing was changed. To purge it earlier: --force --reason "…".'
  fail('REFUSED', `The quarantine of ${tenant} lasts until ${purgeAfter}.`, { tenant }, { hint })
}

export interface PurgePreview extends Place {
  readonly tenant: TenantId
  readonly state: string
  readonly purgeAfter: string | null
  readonly tables: readonly TableHash[]
  readonly rows: number
  /** What would be done, in order. */
  readonly steps: readonly string[]
}

/** Count what a purge would remove. Changes nothing. Throws as `purgeTenant`, but for the end of the quarantine. */
export function previewPurge(fleet: Fleet, tenant: TenantId): Promise<PurgePreview> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const subject = await requireSubject(directory, tenant)
    const { shard, isolation, namespace, state, purgeAfter } = subject
    const tenancy = fleet.tenancy ?? DEFAULT_TENANCY
    const counted = await onPlace(fleet, directory, subject, (client) =>
      contentHash(client, { home: subject, tenancy: { global: [], ...tenancy }, tenant }),
    )
    const { tables, rows } = counted
    return { tenant, shard, isolation, namespace, state, purgeAfter, tables, rows, steps: stepsOf(subject) }
  })
}

function stepsOf({ isolation, namespace, shard }: Subject): string[] {
  const home = {
    shared: `delete its rows from the tables of ${shard}, children first`,
    schema: `drop the schema ${namespace} on ${shard} and its role, and rows left in shared tables`,
    database: `drop the database ${namespace} on ${shard}, and rows left in shared tables`,
  }
  return [
    'count and hash its rows',
    'hide it from all gateways, for good',
    home[isolation],
    'leave a fence in the state "purged"',
    'remove its exports',
    'look through every table for rows that are left',
    'write the receipt and remove it from the directory, with what it has used',
  ]
}
