/** `shardgate move watch`: moves as the directory tells of them, whoever runs them. */

import { type Clock, sleep, systemClock } from '../base/time.ts'
import { sizeText } from '../control/advise.ts'
import { isLeft } from '../control/move/queue.ts'
import { ENDED, type MoveState } from '../control/move/states.ts'
import type { MoveRecord } from '../control/move/types.ts'
import { noteOf, routeText } from './move-text.ts'
import { visible } from './print.ts'
import { durationText } from './progress.ts'

interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export interface WatchOptions {
  /** Moves to show, as they are now; those that have ended since among them. */
  readonly read: () => Promise<readonly MoveRecord[]>
  readonly output: Output
  readonly signal: AbortSignal
  readonly clock?: Clock
  /** Milliseconds between two looks; default is 500. */
  readonly lookMs?: number
}

/** Show moves until nothing of them goes on by itself, or `signal`. */
export async function watchMoves({
  read,
  output,
  signal,
  clock = systemClock,
  lookMs = 500,
}: WatchOptions): Promise<void> {
  const view = output.isTTY ? drawing(output) : telling(output)
  const speeds = new Map<string, Since>()
  while (!signal.aborted) {
    const moves = await read()
    view(moves, (move) => leftText(move, speeds, clock))
    if (moves.every(isResting)) return
    await sleep(lookMs, signal)
  }
}

/** Whether nobody does anything for it now, nor will by himself. */
export const isResting = (move: MoveRecord): boolean =>
  ENDED.includes(move.state) || (isLeft(move) && !move.isHeld)

interface Since {
  readonly key: string
  readonly rows: number
  readonly at: number
}

/** ', 12 s left' of what is counted; '' while there is nothing to reckon with. */
function leftText(move: MoveRecord, speeds: Map<string, Since>, clock: Clock): string {
  const { rows, rowsTotal, phase } = move.progress
  if (rows === undefined || !rowsTotal) return ''
  const key = `${move.state} ${phase} ${rowsTotal}`
  const since = speeds.get(move.id)
  if (since?.key !== key) {
    speeds.set(move.id, { key, rows, at: clock.elapsed() })
    return ''
  }
  const perSecond = (rows - since.rows) / ((clock.elapsed() - since.at) / 1_000)
  return perSecond > 0 && rows < rowsTotal ? `, ${durationText((rowsTotal - rows) / perSecond)} left` : ''
}

type View = (moves: readonly MoveRecord[], left: (move: MoveRecord) => string) => void

/** On a terminal: each look is drawn over the one before. */
function drawing(output: Output): View {
  let drawn = 0
  return (moves, left) => {
    const columns = output.columns ?? 80
    const widths = {
      tenant: Math.max(...moves.map(({ tenant }) => tenant.length)),
      route: Math.max(...moves.map((move) => routeText(move).length)),
    }
    const lines = moves.map((move) => watchLine(move, left(move), widths).slice(0, columns - 1))
    const up = drawn > 0 ? `\x1b[${drawn}A\x1b[J` : ''
    output.write(`${up}${lines.map((line) => `${line}\n`).join('')}`)
    drawn = lines.length
  }
}

/** Elsewhere: a line whenever a move has come into another state, or is a quarter further. */
function telling(output: Output): View {
  const told = new Map<string, string>()
  return (moves, left) => {
    for (const move of moves) {
      const { rows = 0, rowsTotal = 0, phase } = move.progress
      const quarter = rowsTotal > 0 ? Math.floor((rows / rowsTotal) * 4) : 0
      const about = `${move.state} ${noteOf(move) === phase ? phase : noteOf(move)} ${quarter}`
      if (told.get(move.id) !== about) output.write(`${watchLine(move, left(move))}\n`)
      told.set(move.id, about)
    }
  }
}

/** States on the way there, and on the way back: how far a move is. */
const WAY: readonly MoveState[] = ['claimed', 'prepared', 'copied', 'ready', 'frozen', 'relocated', 'settled']
const BAR = 16

/** 'acme  shard-a → shard-b  ●●●○○○○ copied  ████░░ 52 %, 12 s left, 78,000 of 150,000 (app.tasks)' */
export function watchLine(move: MoveRecord, left: string, widths = { tenant: 0, route: 0 }): string {
  const { tenant, state } = move
  const done = WAY.indexOf(state) + 1
  const dots = done > 0 || state === 'queued' ? `${'●'.repeat(done)}${'○'.repeat(WAY.length - done)} ` : ''
  const who = `${tenant.padEnd(widths.tenant)}  ${routeText(move).padEnd(widths.route)}`
  return visible(`${who}  ${dots}${state}  ${doingText(move, left)}`)
}

function doingText(move: MoveRecord, left: string): string {
  const { rows, rowsTotal, phase = '', lagBytes } = move.progress
  if (!move.isHeld) return noteOf(move)
  const lag = lagBytes ? `, ${sizeText(lagBytes)} behind` : ''
  if (rows === undefined || !rowsTotal) return `${noteOf(move)}${lag}`
  const part = Math.min(1, rows / rowsTotal)
  const full = Math.round(part * BAR)
  const bar = `${'█'.repeat(full)}${'░'.repeat(BAR - full)}`
  const numbers = `${Math.min(rows, rowsTotal).toLocaleString('en')} of ${rowsTotal.toLocaleString('en')}`
  return `${bar} ${Math.floor(part * 100)} %${left}, ${numbers}${lag} (${phase})`
}
