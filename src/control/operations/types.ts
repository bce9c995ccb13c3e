/**
 * Operations: what an operator does that takes long or happens in several places, as named steps that are written
 * down one by one.
 *
 *     begun ──▶ step ──▶ step ──▶ … ──▶ done
 *                 │  killed, or it failed: the same command, or `operation resume`, goes on here
 *                 └──▶ `operation abort`: what was done is undone, the latest step first ──▶ aborted
 *
 * A step may be killed at any moment and is then run again, so it finds what it has done already.
 */

import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import type { Fleet } from '../reach.ts'

/** Told what a step is doing, and how much of it is done where that can be counted. */
export type Report = (text: string, done?: number, total?: number) => void

/** Where an operation stands. */
export interface At<Input, Memory> {
  readonly fleet: Fleet
  /** Holds the lock of the operation; nothing else may end its session. */
  readonly directory: Client
  /** Null for an operation on the whole fleet. */
  readonly tenant: TenantId | null
  readonly input: Input
  /** What the steps before have left. */
  readonly memory: Readonly<Partial<Memory>>
  readonly report: Report
  /** The operation's id. */
  readonly operation: string
}

export interface Step<Input, Memory> {
  /** In words: 'delete rows'. Once in a kind, and never changed: it is written down. */
  readonly name: string
  /** Idempotent. What it returns is kept for later steps. */
  run(at: At<Input, Memory>): Promise<Partial<Memory> | undefined>
  /** Idempotent, also where `run` has not begun. Without it there is nothing to undo. */
  undo?(at: At<Input, Memory>): Promise<void>
}

export interface Kind<Input, Memory> {
  /** 'tenant.purge' */
  readonly name: string
  readonly steps: readonly Step<Input, Memory>[]
  /** Why it can no longer be undone, as a sentence; undefined while it can. */
  whyNotAbort?(at: At<Input, Memory>): string | undefined
}

/** A row of `directory.operation`. */
export interface OperationRecord {
  readonly id: string
  readonly kind: string
  readonly tenant: TenantId | null
  readonly input: object
  readonly memory: object
  /** Names of the steps that are done. */
  readonly done: readonly string[]
  readonly state: 'running' | 'done' | 'aborted'
  /** Why its last run ended early. */
  readonly error: string | null
  readonly operator: string
  readonly startedAt: string
  readonly changedAt: string
}
