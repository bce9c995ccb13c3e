/**
 * A move: one tenant on its way from one placement to another.
 *
 *     source ──copy──▶ target      the source serves; changes follow the copy
 *     source ─frozen─▶ target      writes are held at the gateways, reads go on
 *     ─────── commit point: one transaction of the directory ───────
 *     source ◀─follow─ target      the target serves; the way back stays open for the window
 */

import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import type { Isolation } from '../../directory/types.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import type { Report } from '../operations/types.ts'
import type { Fleet } from '../reach.ts'
import type { Proof } from './proof.ts'
import type { MoveState } from './states.ts'

/** One end of a move. */
export interface Side {
  readonly shard: string
  readonly isolation: Isolation
  readonly namespace: string
  readonly epoch: number
}

/** A home that the tenant leaves or enters. */
export interface End {
  readonly where: Whereabouts
  readonly side: Side
}

/** How rows get there: copied while writes are held, or copied while the tenant writes and followed after that. */
export type Path = 'still' | 'live'

export interface Progress {
  readonly phase?: string
  readonly rows?: number
  readonly rowsTotal?: number
  readonly lagBytes?: number
}

/** What steps leave for later ones, and for whoever takes over. */
export interface MoveMemory {
  /** Rows and bytes that the preflight found. */
  readonly rows?: number
  readonly bytes?: number
  readonly predictedCopyMs?: number
  readonly predictedPauseMs?: number
  /** Runs that ended early since it came into its state. */
  readonly failures?: number
  /** Whether the way back is prepared: a slot on the target that was proven before the freeze. */
  readonly hasWayBack?: boolean
  /** On the target: behind it is what the tenant has written there. */
  readonly backMark?: string
  /** The epoch under which the source serves again, once a rollback was begun. */
  readonly returnEpoch?: number
  /** Milliseconds for which writes were held on the way back; absent where its runner was lost on it. */
  readonly returnPauseMs?: number
  /** What the tables held at the last barrier, for the receipt of a move whose runner is lost behind the cutover. */
  readonly barrier?: Proof
}

/** A row of `directory.move`. */
export interface MoveRecord {
  /** Digits. */
  readonly id: string
  readonly tenant: TenantId
  readonly source: Side
  /** Its epoch is 0 until the move is claimed. */
  readonly target: Side
  readonly path: Path | null
  readonly state: MoveState
  /** What the operator wants of whoever runs it. */
  readonly wanted: 'run' | 'pause' | 'cancel'
  readonly plan: string | null
  readonly position: number
  readonly operation: string | null
  readonly token: string | null
  readonly runner: string | null
  /** Whether somebody holds its lease now, by the directory's clock. */
  readonly isHeld: boolean
  readonly progress: Progress
  /** Postgres text of a timestamptz, by state. */
  readonly times: Readonly<Partial<Record<MoveState, string>>>
  readonly memory: MoveMemory
  readonly pauseMs: number | null
  readonly windowUntil: string | null
  readonly receipt: string | null
  readonly error: string | null
  readonly operator: string
  readonly createdAt: string
  readonly changedAt: string
}

/** A move that this process runs: what every part of it is given. */
export interface Moving {
  /** Sessions opened through it carry the move's name and token, and look at the lease first (sessions.ts). */
  readonly fleet: Fleet
  /** A session of the directory's, opened under the same rule. */
  readonly directory: Client
  readonly tenant: TenantId
  readonly record: MoveRecord
  /** Where the tenant comes from, and where it goes to; `shard` reaches it as `fleet` does. */
  readonly source: Whereabouts
  readonly target: Whereabouts
  readonly report: Report
  /** Aborted when the lease is lost, or the operator wants the move to pause or end. */
  readonly signal: AbortSignal
}
