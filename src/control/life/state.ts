/**
 * Opening and closing a tenant: suspended, read-only, active; and the quarantine before the purge, with the way back.
 *
 *     active ◀──▶ read-only ◀──▶ suspended            suspend, read-only, resume
 *        └───────────┴──────────────┴──▶ offboarded   offboard; restore leads back to what it was
 *
 * The order of fence and directory is told in fence.ts. A shard that is down cannot be told, so there the directory is
 * closed alone, which gateways hear of within a second, and the operation stays unfinished until the shard knows too.
 */

import { fail, isGatewayError } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import type { TenantState } from '../../directory/types.ts'
import { runOperation } from '../operations/run.ts'
import { findRunning } from '../operations/store.ts'
import type { At, Kind, Step } from '../operations/types.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { fenceOf, isClosing, setFence } from './fence.ts'
import { type LifeState, onPlace, requireSubject, type Subject } from './subject.ts'

/** What an operator wants of a tenant's state. */
export type StateChange = 'suspend' | 'resume' | 'read-only' | 'offboard' | 'restore'

export interface StateInput {
  /** Why, for those who come later. */
  readonly reason?: string
  /** Of an offboarding: days of quarantine. */
  readonly days?: number
}

interface StateMemory {
  readonly from: TenantState
  readonly to: TenantState
  /** Whether the shard knows. */
  readonly told: boolean
  /** Of a tenant in quarantine: when that began and ends, for the way back. */
  readonly quarantine?: { readonly since: string; readonly until: string }
}

export interface StateResult {
  readonly tenant: TenantId
  readonly from: LifeState
  readonly to: TenantState
  /** False when it was so already. */
  readonly changed: boolean
  /** Of a tenant in quarantine: from when on it may be purged. */
  readonly purgeAfter: string | null
}

type StateAt = At<StateInput, StateMemory>
type StateKind = Kind<StateInput, StateMemory>

/** The states that each change leads from, beside the one it leads to. */
const FROM: Readonly<Record<StateChange, readonly LifeState[]>> = {
  suspend: ['active', 'read-only'],
  resume: ['suspended', 'read-only'],
  'read-only': ['active', 'suspended'],
  offboard: ['active', 'read-only', 'suspended'],
  restore: ['offboarded'],
}

const TO = {
  suspend: 'suspended',
  resume: 'active',
  'read-only': 'read-only',
  offboard: 'offboarded',
} as const

/**
 * Change a tenant's state. In the state that is wanted already nothing changes.
 *
 * @throws TENANT_UNKNOWN     there is no such tenant
 * @throws REFUSED            its state does not lead there
 * @throws TENANT_BUSY        another operation on it runs, or is unfinished
 * @throws SHARD_UNAVAILABLE  its shard is down: what closes has closed in the directory, what opens has not begun
 */
export async function changeState(
  fleet: Fleet,
  change: StateChange,
  tenant: TenantId,
  input: StateInput = {},
): Promise<StateResult> {
  const before = await onDirectory(fleet.directoryUrl, async (directory) => {
    const subject = await requireSubject(directory, tenant)
    const running = await findRunning(directory, tenant, STATE_KINDS[change].name)
    return { ...subject, isDone: running === null && isThere(subject, change) }
  })
  const { state, purgeAfter } = before
  if (before.isDone) return { tenant, from: state, to: state as TenantState, changed: false, purgeAfter }
  const require = async (directory: Client): Promise<void> => {
    const subject = await requireSubject(directory, tenant)
    requireWay(subject, change)
    // What opens with its shard down would be open in the directory alone, and help nobody.
    if (!isClosing(stateOf(subject), target(subject, change)))
      await onPlace(fleet, directory, subject, async () => {})
  }
  const { from, to } = await runOperation(fleet, STATE_KINDS[change], { tenant, input, require })
  const after = await onDirectory(fleet.directoryUrl, (directory) => requireSubject(directory, tenant))
  return { tenant, from, to, changed: true, purgeAfter: after.purgeAfter }
}

function isThere({ state }: Subject, change: StateChange): boolean {
  return change !== 'restore' && state === TO[change]
}

function requireWay(subject: Subject, change: StateChange): void {
  const { state, tenant } = subject
  if (FROM[change].includes(state) || isThere(subject, change)) return
  fail(
    'REFUSED',
    `${tenant} is ${state}; "${change}" wants one that is ${FROM[change].join(' or ')}.`,
    {},
    {
      hint: hintFor(subject),
    },
  )
}

function hintFor({ state, tenant }: Subject): string {
  if (state === 'offboarded') return `Type "shardgate tenant restore ${tenant}" first.`
  if (state === 'creating')
    return `Type "shardgate tenant create ${tenant}" first, which finishes its creation.`
  if (state === 'purging') return 'Its rows are being removed; see "shardgate operation list".'
  return 'Nothing was changed.'
}

function target({ tenant, stateBefore }: Subject, change: StateChange): TenantState {
  if (change !== 'restore') return TO[change]
  return stateBefore ?? fail('REFUSED', `${tenant} is not in quarantine.`)
}

function stateOf({ state, tenant }: Subject): TenantState {
  if (state !== 'creating' && state !== 'purging') return state
  return fail('REFUSED', `${tenant} is ${state}.`)
}

function stateKind(change: StateChange): StateKind {
  return {
    name: `tenant.${change}`,
    steps: [
      {
        name: 'look',
        async run({ directory, tenant }) {
          const subject = await requireSubject(directory, idOf(tenant))
          const { offboardedAt: since, purgeAfter: until } = subject
          const quarantine = since !== null && until !== null && { quarantine: { since, until } }
          return { from: stateOf(subject), to: target(subject, change), ...quarantine }
        },
      },
      CLOSE,
      WRITE,
      TELL,
    ],
  }
}

const CLOSE: Step<StateInput, StateMemory> = {
  name: 'close the fence',
  async run(at) {
    const { from, to } = wayOf(at)
    if (!isClosing(from, to)) return { told: false }
    try {
      await tell(at, to)
      return { told: true }
    } catch (error) {
      // The directory must not stay open because the shard is down; the last step tells it.
      if (isGatewayError(error, 'SHARD_UNAVAILABLE')) return { told: false }
      throw error
    }
  },
  async undo(at) {
    const { memory } = at
    if (memory.from && memory.to && isClosing(memory.from, memory.to)) await tell(at, memory.from)
  },
}

const WRITE: Step<StateInput, StateMemory> = {
  name: 'write the directory',
  async run(at) {
    const { from, to } = wayOf(at)
    await writeState(at, from, to)
    return undefined
  },
  async undo(at) {
    const { from, to } = at.memory
    if (from && to) await writeState(at, to, from)
  },
}

const TELL: Step<StateInput, StateMemory> = {
  name: 'tell the shard',
  async run(at) {
    const { to, told } = wayOf(at)
    if (told) return undefined
    try {
      await tell(at, to)
      return { told: true }
    } catch (cause) {
      if (!isGatewayError(cause, 'SHARD_UNAVAILABLE')) throw cause
      const sentence = `${at.tenant} is ${to} in the directory, and gateways hear of it within a second, but its shard could not be told. ${cause.message}`
      const hint = `When it is back: "shardgate operation resume ${at.operation}".`
      return fail('SHARD_UNAVAILABLE', sentence, {}, { cause, hint })
    }
  },
  async undo(at) {
    const { from, to } = at.memory
    if (from && to && !isClosing(from, to)) await tell(at, from)
  },
}

function wayOf({ memory }: StateAt): StateMemory {
  const { from, to, told = false } = memory
  if (from && to) return { from, to, told }
  throw new Error('the step "look" has left nothing')
}

async function tell({ fleet, directory, tenant }: StateAt, state: TenantState): Promise<void> {
  const subject = await requireSubject(directory, idOf(tenant))
  await setFence(fleet, directory, subject, fenceOf(state))
}

async function writeState(at: StateAt, from: TenantState, to: TenantState): Promise<void> {
  const { directory, fleet, input, memory } = at
  const days = input.days ?? fleet.quarantineDays ?? 30
  const { since = null, until = null } = memory.quarantine ?? {}
  const isOffboarded = sql.value(to === 'offboarded')
  await directory.query(
    compile(sql`
      update directory.tenant set state = ${sql.value(to)},
        state_before = case when ${isOffboarded} then ${sql.value(from)} end,
        offboarded_at = case when ${isOffboarded} then coalesce(${sql.value(since)}::timestamptz, now()) end,
        purge_after = case when ${isOffboarded}
          then coalesce(${sql.value(until)}::timestamptz, now() + ${sql.value(days)}::int * interval '1 day') end
      where id = ${sql.value(at.tenant)} and state = ${sql.value(from)} and state <> ${sql.value(to)}`),
  )
}

function idOf(tenant: TenantId | null): TenantId {
  if (tenant !== null) return tenant
  throw new Error('an operation on a tenant has one')
}

/** The kinds by what they do; operations/kinds.ts lists them. */
export const STATE_KINDS: Readonly<Record<StateChange, StateKind>> = {
  suspend: stateKind('suspend'),
  resume: stateKind('resume'),
  'read-only': stateKind('read-only'),
  offboard: stateKind('offboard'),
  restore: stateKind('restore'),
}
