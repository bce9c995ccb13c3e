/** A record of a move as it stands when it is new; what a test is about goes over it. */

import type { MoveRecord } from '../../src/control/move/types.ts'

export const NEW_MOVE: Omit<MoveRecord, 'tenant' | 'source' | 'target' | 'state'> = {
  id: '1',
  path: 'live',
  wanted: 'run',
  plan: null,
  position: 0,
  operation: null,
  token: '1',
  runner: 'test',
  isHeld: true,
  progress: {},
  times: {},
  memory: {},
  pauseMs: null,
  windowUntil: null,
  receipt: null,
  error: null,
  operator: 'test',
  createdAt: '2026-01-01 00:00:00+00',
  changedAt: '2026-01-01 00:00:00+00',
}
