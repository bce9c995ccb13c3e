/** Moves that this command runs, as they go: a line for each that has come to its end, a moving one for the others. */

import { styleText } from 'node:util'
import { isGatewayError } from '../base/errors.ts'
import type { Event } from '../base/events.ts'
import type { MovesEvent } from '../control/move/runner.ts'
import { ENDED, type MoveState } from '../control/move/states.ts'
import type { MoveRecord } from '../control/move/types.ts'
import { arrivalText } from './move-text.ts'
import { visible } from './print.ts'
import { terminalProgress } from './progress.ts'

interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export interface MovesTeller {
  readonly onEvent: (event: MovesEvent) => void
  /** Take the moving line away. */
  still(): void
}

/**
 * @param steps  a line for each state, too: for one move, or where nobody sees the moving line
 */
export function movesTeller(steps: boolean, output: Output = process.stderr): MovesTeller {
  const progress = terminalProgress(output)
  const running = new Map<string, Doing>()
  const say = (sign: '✓' | '✗' | '·', text: string): void => {
    progress.still()
    output.write(`${output.isTTY ? styleText(COLOURS[sign], sign) : sign} ${visible(text)}\n`)
  }
  let line = lineOf([])
  const show = (): void => {
    const next = lineOf([...running.values()])
    // A line of its own for each thing that is counted: its speed is measured from there.
    if (next.title !== line.title || next.total !== line.total)
      line = { ...next, tell: progress.moving(next.title) }
    if (running.size > 0) line.tell?.(next.text, next.done, next.total)
  }
  const onEvent = (event: MovesEvent): void => {
    tellEvent(event, { running, say, steps })
    show()
  }
  return { onEvent, still: progress.still }
}

const COLOURS = { '✓': 'green', '✗': 'red', '·': 'gray' } as const

interface Doing {
  readonly move: MoveRecord
  readonly text?: string
  readonly done?: number | undefined
  readonly total?: number | undefined
}

interface Line {
  readonly title: string
  readonly text: string
  readonly done?: number | undefined
  readonly total?: number | undefined
  readonly tell?: (text: string, done?: number, total?: number) => void
}

function lineOf(running: readonly Doing[]): Line {
  const [first] = running
  if (running.length === 1 && first) {
    const { move, text = move.state, done, total } = first
    return { title: move.tenant, text: visible(text), done, total }
  }
  const all = running.map(({ move, text, done, total }) => {
    const part = total ? ` ${Math.floor(((done ?? 0) / total) * 100)} %` : ''
    return `${move.tenant} ${visible(text ?? move.state)}${part}`
  })
  return { title: `${running.length} moves`, text: all.join(' · ') }
}

interface Telling {
  readonly running: Map<string, Doing>
  readonly say: (sign: '✓' | '✗' | '·', text: string) => void
  readonly steps: boolean
}

const RESTING: readonly MoveState[] = [...ENDED, 'settled']

function tellEvent(event: MovesEvent, { running, say, steps }: Telling): void {
  switch (event.kind) {
    case 'state':
      tellState(event, { running, say, steps })
      return
    case 'progress':
      running.set(event.move.id, event)
      return
    case 'failed': {
      const { move, error, again } = event
      running.delete(move.id)
      // Its end was told with its state.
      if (move.state === 'aborted') return
      say('✗', `move ${move.id} of ${move.tenant}: ${sentenceOf(error)}${again ? ' It is tried again.' : ''}`)
      return
    }
    case 'waits': {
      const { move, why } = event
      const reason =
        why === 'another runner'
          ? `is run by ${move.runner}`
          : 'waits for its turn (moves.atOnce, moves.perShard)'
      if (steps) say('·', `move ${move.id} of ${move.tenant}: ${reason}`)
      return
    }
    case 'window given up': {
      const { move, gives } = event
      say(
        '·',
        `move ${move.id} of ${move.tenant}: its window ends early, ${gives.tenant} needs the slot (moves.windows)`,
      )
      return
    }
    case 'directory away':
      say('✗', sentenceOf(event.error))
  }
}

function tellState(
  { move, from }: Extract<MovesEvent, { kind: 'state' }>,
  { running, say, steps }: Telling,
): void {
  const { id, tenant, state } = move
  if (from !== null && RESTING.includes(state)) {
    running.delete(id)
    say(state === 'aborted' ? '✗' : '✓', arrivalText(move))
    return
  }
  running.set(id, { move })
  // Who claims a settled move ends its window, or takes its way back; what of both comes next is told.
  if (steps && state !== 'settled') say('·', `move ${id} of ${tenant}: ${state}`)
}

/** What the log says of an event. */
export function logged(event: MovesEvent): Event[] {
  if (event.kind === 'directory away') return [{ kind: 'directory.down', reason: sentenceOf(event.error) }]
  const { id, tenant, state, source, target } = event.move
  const about = { move: id, tenant, state }
  switch (event.kind) {
    case 'state':
      return [{ kind: 'move.state', ...about, from: source.shard, to: target.shard }]
    case 'failed':
      return [{ kind: 'move.failed', ...about, reason: sentenceOf(event.error), again: event.again }]
    case 'window given up':
      return [{ kind: 'move.window', move: id, tenant, gives: event.gives.tenant }]
    case 'progress':
    case 'waits':
      return []
  }
}

function sentenceOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const lines = text.split('\n').map((line) => line.trim())
  const whole = lines.join(' ')
  return isGatewayError(error) || /[.!]$/.test(whole) ? whole : `${whole}.`
}
