/** What `shardgate move` prints of moves for people. */

import { sizeText } from '../control/advise.ts'
import { TRIES } from '../control/move/queue.ts'
import type { Outlook } from '../control/move/start.ts'
import { ENDED, MOVE_STATES, type MoveState } from '../control/move/states.ts'
import type { MoveRecord, Side } from '../control/move/types.ts'
import { record, table } from './print.ts'
import { durationText } from './progress.ts'

type Ends = { readonly source: Omit<Side, 'epoch'>; readonly target: Omit<Side, 'epoch'> }

/** 'shard-a → shard-b', 'shard-a shared → shard-b schema', 'shared → schema on shard-a'. */
export function routeText({ source, target }: Ends): string {
  const isModel = source.isolation !== target.isolation
  if (source.shard === target.shard) return `${source.isolation} → ${target.isolation} on ${source.shard}`
  const end = ({ shard, isolation }: Omit<Side, 'epoch'>): string =>
    isModel ? `${shard} ${isolation}` : shard
  return `${end(source)} → ${end(target)}`
}

/** A time of the directory to the second. */
export const timeText = (text: string): string => text.replace('T', ' ').slice(0, 19)

/** '41 ms', '1.4 s', '2 min 5 s'. */
export function millisecondsText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  return ms < 60_000 ? `${(ms / 1_000).toFixed(1)} s` : durationText(ms / 1_000)
}

/** What an operator has to know beside the state; '' when nothing. */
export function noteOf(move: MoveRecord): string {
  const { state, wanted, isHeld, error, memory, pauseMs } = move
  const firstLine = error?.split('\n')[0] ?? ''
  if (state === 'aborted') return firstLine
  if (state === 'rolled-back') return heldText(memory.returnPauseMs ?? null)
  if (ENDED.includes(state)) return heldText(pauseMs)
  if (state === 'settled') return `back until ${endText(move)}`
  if (wanted === 'cancel') return 'is being cancelled'
  if (wanted === 'pause') return isHeld ? 'pauses soon' : 'paused'
  const failures = memory.failures ?? 0
  if (failures >= TRIES) return `left: ${firstLine}`
  if (failures > 0) return `failed, again soon: ${firstLine}`
  return isHeld ? (move.progress.phase ?? 'is run') : 'waits for its turn'
}

/** '17:05', with its day where that is not the one on which the window was opened: a list has 80 columns. */
function endText({ windowUntil, times, state, changedAt }: MoveRecord): string {
  const [opened, until] = [times[state] ?? changedAt, windowUntil ?? ''].map(timeText) as [string, string]
  return until.slice(opened.slice(0, 10) === until.slice(0, 10) ? 11 : 5, 16)
}

const heldText = (pauseMs: number | null): string =>
  pauseMs === null ? '' : `writes held for ${millisecondsText(pauseMs)}`

/** @param columns  of the terminal: what does not fit is cut; a pipe takes lines of any length */
export function listText(
  moves: readonly MoveRecord[],
  colour: boolean,
  columns = process.stdout.columns ?? Number.POSITIVE_INFINITY,
): string {
  if (moves.length === 0) return 'Nobody moves. The ended ones: shardgate move list --all\n'
  const rows = table(
    moves,
    [
      { title: 'move', cell: ({ id }) => Number(id) },
      { title: 'tenant', cell: ({ tenant }) => tenant },
      { title: 'from → to', cell: routeText },
      { title: 'state', cell: ({ state }) => state },
      { title: 'since', cell: sinceText },
      { title: 'note', cell: noteOf },
    ],
    colour,
  )
  const [head, ...lines] = rows.trimEnd().split('\n')
  const fitting = lines.map((text) => (text.length <= columns ? text : `${text.slice(0, columns - 1)}…`))
  return `${[head, ...fitting].join('\n')}\n${waitingText(moves)}`
}

const sinceText = ({ times, state, changedAt }: MoveRecord): string =>
  timeText(times[state] ?? changedAt).slice(5, 16)

function waitingText(moves: readonly MoveRecord[]): string {
  const waits = moves.some((move) => noteOf(move) === 'waits for its turn')
  return waits && !moves.some(({ isHeld }) => isHeld) ? '\nNobody runs them. Type: shardgate move run\n' : ''
}

/** A move with what can be typed next. */
export function showText(move: MoveRecord, colour: boolean): string {
  const { id, tenant, source, target, path, state, plan, runner, isHeld, memory, pauseMs, error } = move
  const { windowUntil, receipt, operator, createdAt } = move
  const fields = {
    move: id,
    tenant,
    state: `${state} since ${timeText(move.times[state] ?? move.changedAt)}`,
    from: placeText(source),
    to: placeText(target),
    'asked for': `${timeText(createdAt)} by ${operator}${plan === null ? '' : `, plan ${plan}`}`,
    ...(path && { path: pathText(path) }),
    ...(memory.rows !== undefined && { holds: `${count(memory.rows)} rows, ${sizeText(memory.bytes ?? 0)}` }),
    ...(isHeld && { runner }),
    ...(isHeld && move.progress.phase !== undefined && { 'does now': progressText(move) }),
    ...(pauseMs !== null && { 'writes held for': millisecondsText(pauseMs) }),
    ...(memory.returnPauseMs !== undefined && { 'on the way back': millisecondsText(memory.returnPauseMs) }),
    ...(windowUntil !== null && state === 'settled' && { 'window until': windowText(move) }),
    ...(receipt !== null && { receipt: `shardgate move receipt ${id}` }),
    ...(error !== null && {
      error: error
        .split('\n')
        .map((line) => line.trim())
        .join(' '),
    }),
  }
  return `${record(fields, colour)}\n${timesText(move, colour)}${nextText(move)}`
}

const placeText = ({ shard, isolation, namespace, epoch }: Side): string =>
  `${shard}, ${isolation} (${namespace})${epoch > 0 ? `, epoch ${epoch}` : ''}`

const PATHS = {
  still: 'still: the rows are copied while writes are held',
  live: 'live: the rows are copied while the tenant writes, and followed',
} as const

const pathText = (path: keyof typeof PATHS): string => PATHS[path]

const windowText = ({ windowUntil, memory }: MoveRecord): string =>
  `${timeText(windowUntil ?? '')}, ${memory.hasWayBack ? 'a rollback keeps what was written since' : 'a rollback is another move'}`

const count = (n: number): string => n.toLocaleString('en')

function progressText({ progress: { phase = '', rows, rowsTotal } }: MoveRecord): string {
  // What was counted before may be less than what has come meanwhile.
  return rowsTotal === undefined
    ? phase
    : `${phase}, ${count(Math.min(rows ?? 0, rowsTotal))} of ${count(rowsTotal)}`
}

/** When it came into each state, and how long it was there. */
function timesText({ times, state }: MoveRecord, colour: boolean): string {
  const come = MOVE_STATES.flatMap((one) => (times[one] === undefined ? [] : [{ one, at: times[one] }]))
    .map((entry) => ({ ...entry, ms: Date.parse(entry.at) }))
    .sort((a, b) => a.ms - b.ms)
  const rows = come.map(({ one, at, ms }, i) => ({ one, at, stayed: (come[i + 1]?.ms ?? Number.NaN) - ms }))
  return table(
    rows,
    [
      { title: 'state', cell: ({ one }) => one },
      { title: 'since', cell: ({ at }) => timeText(at) },
      {
        title: 'took',
        cell: ({ one, stayed }) => (one === state || Number.isNaN(stayed) ? '' : millisecondsText(stayed)),
      },
    ],
    colour,
  )
}

/** What can be typed of a move, by its state. */
export function nextText(move: MoveRecord): string {
  const { id, state, wanted, isHeld, memory } = move
  const say = (...lines: string[]): string => `\n${lines.join('\n')}\n`
  if (ENDED.includes(state)) return ''
  if (state === 'settled')
    return say(
      `Bring it back: shardgate move rollback ${id}`,
      `End the window: shardgate move complete ${id}`,
    )
  if (wanted === 'pause' && !isHeld) return say(`Go on: shardgate move resume ${id}`)
  if ((memory.failures ?? 0) >= TRIES)
    return say(`Try it again: shardgate move resume ${id}`, `Give it up: shardgate move cancel ${id}`)
  if (!isHeld) return say('Nobody runs it. Type: shardgate move run')
  return say(`Look on: shardgate move watch ${id}`)
}

/** How a move would go, and its steps. */
export function outlookText(outlook: Outlook, colour: boolean): string {
  const { tenant, source, target, path, rows, bytes, predictedCopyMs, predictedPauseMs, warnings } = outlook
  const fields = {
    tenant,
    from: placeText(source),
    to: placeText({ ...target, epoch: 0 }),
    holds: `${count(rows)} rows, ${sizeText(bytes)}`,
    path: pathText(path),
    copy: `about ${millisecondsText(predictedCopyMs)}`,
    'writes held for': `about ${millisecondsText(predictedPauseMs)}`,
  }
  const steps = STEPS[path].map((step, i) => `  ${i + 1}. ${step}`)
  const notes = warnings.map((warning) => `  ${warning}`)
  return [
    record(fields, colour),
    'What would be done:',
    ...steps,
    ...(notes.length > 0 ? ['', 'Worth a look:', ...notes] : []),
    '',
    'Nothing was changed.',
    '',
  ].join('\n')
}

const LAST = [
  'the directory points to the new home: from here on there is a way back, and no way to cancel',
  'the old home refuses everybody, the new one takes writes, a receipt is written',
  'the old rows stay until the window ends, then they go',
] as const

const STEPS = {
  still: [
    'the new home is made: tables, fence, no rows',
    'writes of the tenant are held; rows are copied and compared, sequences raised',
    ...LAST,
  ],
  live: [
    'the new home is made: tables, fence, no rows; changes of the old one are kept from here on',
    'rows are copied while the tenant writes; changes follow',
    'both homes are compared, row by row, while the tenant writes; the way back is made',
    'writes of the tenant are held; the last changes follow and are compared, sequences raised',
    ...LAST,
  ],
} as const

/** One line about where a move has come to. */
export function arrivalText(move: MoveRecord): string {
  const { id, tenant, state, source, target, pauseMs } = move
  const whose = `move ${id} of ${tenant}`
  if (state === 'settled')
    return `${whose}: on ${target.shard}${pauseMs === null ? '' : `, ${heldText(pauseMs)}`}`
  if (state === 'rolled-back')
    return `${whose}: back on ${source.shard}${noteOf(move) && `, ${noteOf(move)}`}`
  return `${whose}: ${ARRIVED[state] ?? state}`
}

const ARRIVED: Readonly<Partial<Record<MoveState, string>>> = {
  done: 'done, the old rows are gone',
  aborted: 'undone, the tenant is where it was',
}
