/** All that can happen next in a world of the model: every runner's next statement, every client's, the operator's. */

import { ENDED, TRANSITIONS } from '../../../src/control/move/states.ts'
import { chance, counted, type Happening, readEvents, writeEvents } from './model-clients.ts'
import { type Step, stepsOf } from './model-steps.ts'
import {
  type Directory,
  type Home,
  MARK,
  type Move,
  pair,
  type Runner,
  type Session,
  type Setting,
  type World,
} from './model-world.ts'

export function happenings(world: World, setting: Setting): Happening[] {
  return [
    ...claims(world, setting),
    ...world.runners.flatMap((runner) => runnerEvents(world, setting, runner)),
    ...operatorEvents(world, setting),
    ...writeEvents(world, setting),
    ...readEvents(world, setting),
  ]
}

/** Nobody can tell a runner that is slow from one that is dead: a move may be taken over at any moment. */
function claims(world: World, setting: Setting): Happening[] {
  const { directory } = world
  if (directory.claims >= setting.claims || ENDED.includes(directory.state)) return []
  const claimed = drawEpoch(
    { ...directory, claims: directory.claims + 1, token: directory.token + 1 },
    setting,
  )
  const isDrawnTwice = directory.state === 'queued' && claimed.move.toEpoch <= directory.drawn
  const fault = isDrawnTwice ? 'an epoch is drawn twice' : world.fault
  const taken = withRunner({ ...world, directory: claimed, fault }, newRunner(claimed, claimed.token))
  const happening = counted(`runner ${claimed.token} claims`, tidy(taken, setting))
  if (setting.rules['who was cut off draws a new token'] || directory.state === 'queued') return [happening]
  // Cut off with a statement under way, it begins its state again as if nothing were under way.
  const again = { ...directory, claims: directory.claims + 1 }
  const twin = withRunner({ ...world, directory: again }, newRunner(again, again.token))
  return [happening, chance(`runner ${again.token} is cut off and goes on`, twin)]
}

function drawEpoch(directory: Directory, { rules }: Setting): Directory {
  if (directory.state !== 'queued') return directory
  const highest = rules['an epoch is drawn once'] ? directory.drawn : directory.epoch
  const toEpoch = rules['an epoch rises'] ? highest + 1 : directory.epoch
  const move = { ...directory.move, toEpoch }
  return { ...directory, state: 'claimed', move, drawn: Math.max(directory.drawn, toEpoch) }
}

function newRunner({ move, state }: Directory, token: number): Runner {
  const givesUp = state === 'frozen' || state === 'return-frozen'
  return { token, move, state, step: 0, givesUp, snapshot: 0, sessions: ['none', 'none'] }
}

const withRunner = (world: World, runner: Runner): World => ({
  ...world,
  runners: [...world.runners, runner],
})

function replaced(world: World, before: Runner, after: Runner | null): World {
  return {
    ...world,
    runners: world.runners.flatMap((one) => (one !== before ? [one] : after ? [after] : [])),
  }
}

function runnerEvents(world: World, setting: Setting, runner: Runner): Happening[] {
  const events = [
    ...nextOf(world, setting, runner),
    ...choices(world, setting, runner),
    ...applied(world, setting, runner),
  ]
  const isHolder = runner.token === world.directory.token
  return events.map(({ name, world: next, isCountedOn }) => ({
    name: `runner ${runner.token} ${name}`,
    world: tidy(next, setting),
    isCountedOn: isCountedOn && isHolder,
  }))
}

/** The next statement, or what its session needs first. */
function nextOf(world: World, setting: Setting, runner: Runner): Happening[] {
  const step = stepsOf(setting, runner.state, runner.givesUp)[runner.step]
  if (!step) return []
  if (step.at === 'directory') return directoryStep(world, setting, runner, step)
  const servers = serversOf(setting, runner.move, step.at)
  const closed = servers.find((server) => !['open', 'ending'].includes(runner.sessions[server]))
  if (closed !== undefined) return opening(world, setting, runner, closed)
  const { snapshot, move } = runner
  const done = step.do(world, { ...move, setting, snapshot })
  if (!done) return []
  const rows = step.name === 'makes the slot' ? world.rows[move.from] : snapshot
  const after: Runner = { ...lastWords(runner, servers), step: runner.step + 1, snapshot: rows }
  return [counted(step.name, replaced(done, runner, after))]
}

function serversOf({ oneFence }: Setting, { from, to }: Move, at: Step['at']): Home[] {
  if (oneFence) return [0]
  return at === 'both' ? [from, to] : [at === 'source' ? from : to]
}

/** A session that was told to end may bring one more statement to its end. */
function lastWords(runner: Runner, servers: readonly Home[]): Runner {
  const sessions = servers.reduce(
    (now, server) => (now[server] === 'ending' ? pair(now, server, 'ended') : now),
    runner.sessions,
  )
  return { ...runner, sessions }
}

/** Connect and end older sessions; then ask for the token. */
function opening(world: World, { rules }: Setting, runner: Runner, server: Home): Happening[] {
  const session = runner.sessions[server]
  const set = (to: Session): Runner => ({ ...runner, sessions: pair(runner.sessions, server, to) })
  const isHolder = runner.token === world.directory.token
  const connects = rules['a session is opened before the token is asked for']
    ? session === 'none'
    : session === 'asked'
  if (connects) {
    const isLast = session === 'asked'
    const next = replaced(world, runner, set(isLast ? 'open' : 'unasked'))
    return [counted('opens a session', olderEnded(next, rules, runner.token, server))]
  }
  if (session === 'none' || session === 'unasked') {
    const asked = set(session === 'none' ? 'asked' : 'open')
    return [counted('asks for the token', replaced(world, runner, isHolder ? asked : null))]
  }
  return [counted('finds its session ended', replaced(world, runner, null))]
}

function olderEnded(world: World, rules: Setting['rules'], token: number, server: Home): World {
  if (!rules['who takes over ends older sessions']) return world
  const runners = world.runners.map((runner) => {
    const session = runner.sessions[server]
    if (runner.token >= token || session === 'none' || session === 'asked' || session === 'ended')
      return runner
    const end = rules['who ends a session waits for its end'] || session === 'unasked' ? 'ended' : 'ending'
    return { ...runner, sessions: pair(runner.sessions, server, end) }
  })
  return { ...world, runners }
}

/** What the directory is told counts where the token is still the move's. */
function directoryStep(world: World, setting: Setting, runner: Runner, step: Step): Happening[] {
  const isCommit = step.name.startsWith('COMMIT')
  const isHolder = runner.token === world.directory.token
  const asks = !isCommit || setting.rules['the commit point asks for the token']
  const isPossible = world.directory.state === runner.state && (isHolder || !asks)
  if (!isPossible) return [counted('is refused by the directory', replaced(world, runner, null))]
  const done = step.do(world, { ...runner.move, setting, snapshot: 0 })!
  const next = { ...runner, state: done.directory.state, step: runner.step + 1 }
  const isLast = stepsOf(setting, runner.state, runner.givesUp).length === next.step
  const events = [
    counted(
      step.name,
      replaced(
        done,
        runner,
        isLast ? { ...next, step: 0, givesUp: false } : { ...next, state: runner.state },
      ),
    ),
  ]
  if (!isCommit || setting.rules['an unknown outcome is looked up']) return events
  return [
    ...events,
    chance(
      `${step.name}, whose answer is lost`,
      replaced(done, runner, { ...runner, step: 0, givesUp: true }),
    ),
  ]
}

/** What the holder may decide by itself. */
function choices(world: World, setting: Setting, runner: Runner): Happening[] {
  const { directory } = world
  const isHolder = runner.token === directory.token
  const events: Happening[] = []
  const freezes = runner.state === 'frozen' || runner.state === 'return-frozen'
  if (freezes && !runner.givesUp) {
    events.push(counted('gives up', replaced(world, runner, { ...runner, step: 0, givesUp: true })))
  }
  const leads = (name: string, told: Directory): void => {
    const next = { ...runner, state: told.state, move: told.move, step: 0, givesUp: false }
    events.push(counted(name, replaced({ ...world, directory: told }, runner, next)))
  }
  if (runner.state === 'returning' && !runner.givesUp)
    events.push(
      counted('gives the way back up', replaced(world, runner, { ...runner, step: 0, givesUp: true })),
    )
  const isAsked = isHolder && runner.state === directory.state && runner.step === 0
  if (!isAsked || freezes) return events
  const { cancelled, completed, 'rolled back': back } = TRANSITIONS[directory.state]
  if (cancelled === 'aborting' && directory.state !== 'aborting')
    leads('cancels', { ...directory, state: cancelled })
  if (directory.state === 'relocated' && !setting.rules['nothing is undone behind the commit point'])
    leads('cancels', { ...directory, state: 'aborting' })
  if (directory.state === 'settled' && completed) leads('completes', { ...directory, state: completed })
  if (directory.state === 'settled' && back && world.back && directory.returns < setting.returns) {
    const backEpoch = directory.drawn + 1
    const move = { ...directory.move, backEpoch }
    leads('rolls back', { ...directory, state: back, move, drawn: backEpoch, returns: directory.returns + 1 })
  }
  return events
}

/** The follower: the oldest change of the stream comes to the other side. */
function applied(world: World, setting: Setting, runner: Runner): Happening[] {
  const { from, to } = runner.move
  const isForward = ['copied', 'ready', 'frozen'].includes(runner.state)
  const isBack = ['returning', 'return-frozen'].includes(runner.state)
  const [stream, home] = isForward ? [world.forward, to] : [world.back, from]
  const isOpen = serversOf(setting, runner.move, 'both').every((at) => runner.sessions[at] === 'open')
  if ((!isForward && !isBack) || runner.givesUp || !isOpen || !stream || stream.length === 0) return []
  const [change = MARK, ...rest] = stream
  const rows = pair(world.rows, home, world.rows[home] | change)
  const next = { ...world, rows, ...(isForward ? { forward: rest } : { back: rest }) }
  return [counted(change === MARK ? 'follows to the mark' : 'follows a write', next)]
}

/** A runner that lost the move and has no session left can do nothing any more. */
function tidy(world: World, setting: Setting): World {
  const { token } = world.directory
  const isAlive = (runner: Runner): boolean => {
    if (runner.token === token) return true
    const step = stepsOf(setting, runner.state, runner.givesUp)[runner.step]
    if (step?.name === 'COMMIT POINT' && !setting.rules['the commit point asks for the token']) return true
    const alive: readonly Session[] = ['open', 'ending', 'unasked', 'asked']
    return step !== undefined && step.at !== 'directory' && runner.sessions.some((one) => alive.includes(one))
  }
  const runners = world.runners.filter(isAlive)
  return runners.length === world.runners.length ? world : { ...world, runners }
}

function operatorEvents(world: World, setting: Setting): Happening[] {
  const { directory } = world
  if (!ENDED.includes(directory.state) || directory.moves >= setting.moves) return []
  const { home, epoch } = directory
  const move: Move = { from: home, to: home === 0 ? 1 : 0, fromEpoch: epoch, toEpoch: 0, backEpoch: 0 }
  const next = {
    ...directory,
    state: 'queued',
    move,
    moves: directory.moves + 1,
    claims: 0,
    returns: 0,
  } as const
  return [chance('a new move is wanted', { ...world, directory: next })]
}
