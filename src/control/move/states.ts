/**
 * The states of a move and what may happen in each: a total table, numbered as in docs/moves.md. The store writes a
 * state only along it (store.ts), and the model of the protocol walks it (test/control/move/model.ts).
 *
 *     queued ▶ claimed ▶ prepared ▶ copied ▶ ready ▶ frozen ▶ relocated ▶ settled ▶ cleaning ▶ done
 *                 │         │         │        │       │          ║           │
 *                 └────────▶ aborting ▶ aborted ◀──────┘          ║           └▶ returning ▶ return-frozen ▶ returned ▶ rolled-back
 *                                                  point of no return
 */

export const MOVE_STATES = [
  /** S0: asked for; nobody has begun. */
  'queued',
  /** S1: the tenant is held, the epoch of the target is drawn. */
  'claimed',
  /** S2: the target's home is there, empty and frozen. */
  'prepared',
  /** S3: the rows of one moment are on the target (live path). */
  'copied',
  /** S4: the target has caught up, both sides hold the same, the way back is proven. */
  'ready',
  /** S5: the source refuses writes. */
  'frozen',
  /** S6: the directory points at the target. Behind the point of no return. */
  'relocated',
  /** S7: the source refuses everybody, the target takes writes; the way back is open until the window ends. */
  'settled',
  /** S8: the source's rows are being removed. */
  'cleaning',
  /** S9 */
  'done',
  /** S10: what was made on the target is being removed; the source serves. */
  'aborting',
  /** S11 */
  'aborted',
  /** S12: the source catches up with what was written on the target since. */
  'returning',
  /** S13: the target refuses writes. */
  'return-frozen',
  /** S14: the directory points at the source again. Behind the point of no return of the way back. */
  'returned',
  /** S15 */
  'rolled-back',
] as const

export type MoveState = (typeof MOVE_STATES)[number]

export const MOVE_EVENTS = [
  /** E1: the step that belongs to the state has done its work, or there is none on this path. */
  'done',
  /** E2: it failed, was cut off, or its runner was lost, and somebody takes the move on again. */
  'retried',
  /** E3: the operator cancels, or the move cannot go on. */
  'cancelled',
  /** E4: the operator wants the tenant back where it was. */
  'rolled back',
  /** E5: the window has ended, or the operator ends it. */
  'completed',
] as const

export type MoveEvent = (typeof MOVE_EVENTS)[number]

type Row = Readonly<Record<MoveEvent, MoveState | null>>

const NOWHERE: Row = {
  done: null,
  retried: null,
  cancelled: null,
  'rolled back': null,
  completed: null,
}

/** Where an event leads; null where it is refused. */
export const TRANSITIONS: Readonly<Record<MoveState, Row>> = {
  queued: { ...NOWHERE, done: 'claimed', retried: 'queued', cancelled: 'aborted' },
  claimed: { ...NOWHERE, done: 'prepared', retried: 'claimed', cancelled: 'aborting' },
  // On the still path S2 and S3 ask for nothing: the rows are copied inside the freeze.
  prepared: { ...NOWHERE, done: 'copied', retried: 'prepared', cancelled: 'aborting' },
  copied: { ...NOWHERE, done: 'ready', retried: 'copied', cancelled: 'aborting' },
  ready: { ...NOWHERE, done: 'frozen', retried: 'ready', cancelled: 'aborting' },
  // A freeze that was not finished is given up: the source is opened again before anything else.
  frozen: { ...NOWHERE, done: 'relocated', retried: 'ready', cancelled: 'aborting' },
  relocated: { ...NOWHERE, done: 'settled', retried: 'relocated' },
  settled: { ...NOWHERE, retried: 'settled', 'rolled back': 'returning', completed: 'cleaning' },
  cleaning: { ...NOWHERE, done: 'done', retried: 'cleaning', completed: 'cleaning' },
  done: NOWHERE,
  aborting: { ...NOWHERE, done: 'aborted', retried: 'aborting', cancelled: 'aborting' },
  aborted: NOWHERE,
  // Cancelling the way back leaves the tenant where it has settled.
  returning: {
    ...NOWHERE,
    done: 'return-frozen',
    retried: 'returning',
    cancelled: 'settled',
    'rolled back': 'returning',
  },
  // Given up like the freeze on the way there: the target is opened again before anything else.
  'return-frozen': {
    ...NOWHERE,
    done: 'returned',
    retried: 'returning',
    cancelled: 'settled',
    'rolled back': 'returning',
  },
  returned: { ...NOWHERE, done: 'rolled-back', retried: 'returned', 'rolled back': 'returned' },
  'rolled-back': NOWHERE,
}

/** States in which nobody has anything to do. */
export const ENDED: readonly MoveState[] = ['done', 'aborted', 'rolled-back']
