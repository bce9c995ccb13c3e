/** What is printed of moves: as an operator reads it, in lists, one by one, and while they are made. */

import { describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { logged, movesTeller } from '../../src/commands/move-progress.ts'
import { listText, millisecondsText, noteOf, routeText, showText } from '../../src/commands/move-text.ts'
import { watchLine, watchMoves } from '../../src/commands/move-watch.ts'
import { TRIES } from '../../src/control/move/queue.ts'
import { MOVE_STATES } from '../../src/control/move/states.ts'
import type { MoveRecord } from '../../src/control/move/types.ts'

const side = (shard: string, isolation: 'shared' | 'schema' = 'shared', epoch = 1) => ({
  shard,
  isolation,
  namespace: 'app',
  epoch,
})

const MOVE: MoveRecord = {
  id: '12',
  tenant: tenantId('acme'),
  source: side('shard-a'),
  target: side('shard-b', 'shared', 2),
  path: 'live',
  state: 'copied',
  wanted: 'run',
  plan: null,
  position: 0,
  operation: '4',
  token: '7',
  runner: 'host 4711',
  isHeld: true,
  progress: { phase: 'app.tasks', rows: 78_000, rowsTotal: 150_000 },
  times: {
    queued: '2026-11-23 15:07:21.68733+00',
    claimed: '2026-11-23 15:07:21.7591+00',
    prepared: '2026-11-23 15:07:22.32227+00',
    copied: '2026-11-23 15:09:27+00',
  },
  memory: { rows: 150_000, bytes: 31_000_000 },
  pauseMs: null,
  windowUntil: null,
  receipt: null,
  error: null,
  operator: 'ann',
  createdAt: '2026-11-23 15:07:21.687339+00',
  changedAt: '2026-11-23 15:09:27.1+00',
}
const such = (other: Partial<MoveRecord>): MoveRecord => ({ ...MOVE, ...other })

/** A terminal or a pipe that keeps what is written. */
function output(isTTY: boolean, columns = 80) {
  const written: string[] = []
  return { isTTY, columns, written, write: (text: string) => written.push(text) }
}

describe('the list', () => {
  it('says of each move where it goes, how far it is, and what is to know', () => {
    const settled = such({
      id: '9',
      tenant: tenantId('globex'),
      target: side('shard-b', 'schema'),
      state: 'settled',
      isHeld: false,
      windowUntil: '2026-11-23 16:09:30.1+00',
    })
    expect(listText([settled, MOVE], false)).toBe(
      [
        'MOVE  TENANT  FROM → TO                        STATE    SINCE        NOTE',
        '   9  globex  shard-a shared → shard-b schema  settled  11-23 15:09  back until 16:09',
        '  12  acme    shard-a → shard-b                copied   11-23 15:09  app.tasks',
        '',
      ].join('\n'),
    )
  })

  it('fits a terminal of 80 columns, and is whole in a pipe', () => {
    const failed = such({ isHeld: false, error: `x: ${'long '.repeat(60)}`, memory: { failures: TRIES } })
    for (const line of listText([failed], false, 80).split('\n')) expect(line.length).toBeLessThanOrEqual(80)
    expect(listText([failed], false)).toContain('long '.repeat(60).trim())
  })

  it('tells who is to do something', () => {
    const notes: readonly (readonly [Partial<MoveRecord>, string])[] = [
      [{ isHeld: false }, 'waits for its turn'],
      [{ wanted: 'pause' }, 'pauses soon'],
      [{ wanted: 'pause', isHeld: false }, 'paused'],
      [{ wanted: 'cancel' }, 'is being cancelled'],
      [{ isHeld: false, error: 'a\nb', memory: { failures: 1 } }, 'failed, again soon: a'],
      [{ isHeld: false, error: 'a\nb', memory: { failures: TRIES } }, 'left: a'],
      [
        { state: 'aborted', isHeld: false, error: 'Cancelled by the operator.' },
        'Cancelled by the operator.',
      ],
      [{ state: 'done', isHeld: false, pauseMs: 41.3 }, 'writes held for 41 ms'],
      [{ state: 'settled', windowUntil: '2026-11-23 16:09:30.1+00' }, 'back until 16:09'],
      [{ state: 'settled', windowUntil: '2026-11-24 01:09:30.1+00' }, 'back until 11-24 01:09'],
      [{ state: 'rolled-back', isHeld: false, pauseMs: 41.3 }, ''],
      [
        { state: 'rolled-back', isHeld: false, pauseMs: 41.3, memory: { returnPauseMs: 52 } },
        'writes held for 52 ms',
      ],
    ]
    for (const [other, note] of notes) expect(noteOf(such(other))).toBe(note)
    expect(listText([such({ isHeld: false })], false)).toContain('Nobody runs them. Type: shardgate move run')
    expect(listText([], false)).toContain('move list --all')
  })

  it('names models only where they change', () => {
    expect(routeText(MOVE)).toBe('shard-a → shard-b')
    expect(routeText({ source: side('shard-a'), target: side('shard-a', 'schema') })).toBe(
      'shared → schema on shard-a',
    )
  })
})

describe('one move', () => {
  it('shows how long it was in each state, and what can be typed', () => {
    const text = showText(MOVE, false)
    expect(text).toContain('asked for  2026-11-23 15:07:21 by ann')
    expect(text).toContain('holds      150,000 rows, 29.6 MB')
    expect(text).toContain('does now   app.tasks, 78,000 of 150,000')
    expect(text).toMatch(/^prepared +2026-11-23 15:07:22 +2 min 5 s$/m)
    expect(text).toMatch(/^copied +2026-11-23 15:09:27$/m)
    expect(text).toContain('Look on: shardgate move watch 12')
  })

  it('has something to type in every state that has not ended, and nothing that is refused there', () => {
    for (const state of MOVE_STATES) {
      const text = showText(such({ state, isHeld: false }), false)
      const verbs = [...text.matchAll(/shardgate move (\w+)/g)].map(([, verb]) => verb)
      const hasEnded = ['done', 'aborted', 'rolled-back'].includes(state)
      expect(verbs.length > 0, state).toBe(!hasEnded)
      expect(verbs.includes('rollback'), state).toBe(state === 'settled')
    }
  })

  it('writes control characters of a name out', () => {
    expect(showText(such({ error: 'bad \u001b[2J name' }), false)).not.toContain('\u001b')
  })
})

it('writes durations as people say them', () => {
  expect([0.4, 41.6, 1_440, 59_900, 125_000].map(millisecondsText)).toEqual([
    '0 ms',
    '42 ms',
    '1.4 s',
    '59.9 s',
    '2 min 5 s',
  ])
})

describe('looking on', () => {
  const clockOf = (steps: number[]) => ({ now: () => 0, elapsed: () => steps.shift() ?? 100_000 })

  it('draws one line a move over the one before, with what is left, no wider than the terminal', async () => {
    const looks = [
      [MOVE],
      [such({ progress: { phase: 'app.tasks', rows: 114_000, rowsTotal: 150_000 } })],
      [such({ state: 'settled', isHeld: false, windowUntil: '2026-11-23 16:09:30+00' })],
    ]
    const terminal = output(true, 110)
    const read = async () => looks.shift()!
    await watchMoves({
      read,
      output: terminal,
      signal: new AbortController().signal,
      clock: clockOf([0, 10_000]),
      lookMs: 1,
    })
    expect(terminal.written).toHaveLength(3)
    expect(terminal.written[0]).toMatch(
      /^acme {2}shard-a → shard-b {2}●●●○○○○ copied {2}█{8}░{8} 52 %, 78,000 of 150,000/,
    )
    expect(terminal.written[1]).toContain('\u001b[1A\u001b[Jacme  ')
    expect(terminal.written[1]).toContain(' 76 %, 10 s left, 114,000 of 150,000 (app.tasks)')
    expect(terminal.written[2]).toContain('●●●●●●● settled  back until 16:09')
    for (const text of terminal.written)
      expect(text.replaceAll(/\p{Cc}\[\d*[AJ]/gu, '').trimEnd().length).toBeLessThan(110)
  })

  it('writes a line in a pipe only when something has changed', async () => {
    const at = (rows: number) => [such({ progress: { phase: 'app.tasks', rows, rowsTotal: 100 } })]
    const looks = [at(1), at(2), at(3), at(60), [such({ state: 'aborted', isHeld: false })]]
    const pipe = output(false)
    await watchMoves({
      read: async () => looks.shift()!,
      output: pipe,
      signal: new AbortController().signal,
      clock: clockOf([]),
      lookMs: 1,
    })
    expect(pipe.written.map((text) => /(\d+ %)|aborted/.exec(text)?.[0])).toEqual(['1 %', '60 %', 'aborted'])
    expect(pipe.written.join('')).not.toContain('\u001b')
  })

  it('shows how far the stream is behind', () => {
    const line = watchLine(such({ progress: { phase: 'follow', lagBytes: 1_258_291 } }), '')
    expect(line).toContain('follow, 1.2 MB behind')
  })
})

describe('moves that this command runs', () => {
  it('get a line when they have arrived, and a moving one before, in a terminal', () => {
    const terminal = output(true)
    const { onEvent } = movesTeller(false, terminal)
    onEvent({ kind: 'state', move: such({ state: 'claimed' }), from: null })
    onEvent({ kind: 'progress', move: MOVE, text: 'app.tasks', done: 3, total: 4 })
    onEvent({ kind: 'state', move: such({ state: 'settled', pauseMs: 31 }), from: 'relocated' })
    const text = terminal.written.join('')
    expect(text).toContain('… acme ██████████████████░░░░░░ 3/4')
    expect(text).toContain('move 12 of acme: on shard-b, writes held for 31 ms\n')
  })

  it('share a moving line', () => {
    const terminal = output(true)
    const { onEvent } = movesTeller(false, terminal)
    onEvent({ kind: 'progress', move: MOVE, text: 'app.tasks', done: 1, total: 4 })
    onEvent({
      kind: 'state',
      move: such({ id: '13', tenant: tenantId('globex'), state: 'prepared' }),
      from: 'claimed',
    })
    expect(terminal.written.at(-1)).toContain('… 2 moves: acme app.tasks 25 % · globex prepared')
  })

  it('say why they have failed in one line, and whether that was all', () => {
    const pipe = output(false)
    const { onEvent } = movesTeller(true, pipe)
    const error = new Error('Two things:\n  one.\n  two')
    onEvent({ kind: 'failed', move: MOVE, error, again: true })
    onEvent({ kind: 'waits', move: such({ isHeld: false }), why: 'no place' })
    onEvent({ kind: 'window given up', move: MOVE, gives: such({ tenant: tenantId('globex') }) })
    expect(pipe.written).toEqual([
      '✗ move 12 of acme: Two things: one. two. It is tried again.\n',
      '· move 12 of acme: waits for its turn (moves.atOnce, moves.perShard)\n',
      '· move 12 of acme: its window ends early, globex needs the slot (moves.windows)\n',
    ])
  })

  it('are logged with their names and states alone', () => {
    const error = new Error('no')
    expect([
      ...logged({ kind: 'state', move: MOVE, from: 'prepared' }),
      ...logged({ kind: 'failed', move: MOVE, error, again: false }),
      ...logged({ kind: 'progress', move: MOVE, text: 'app.tasks' }),
    ]).toEqual([
      { kind: 'move.state', move: '12', tenant: 'acme', state: 'copied', from: 'shard-a', to: 'shard-b' },
      { kind: 'move.failed', move: '12', tenant: 'acme', state: 'copied', reason: 'no.', again: false },
    ])
  })
})
