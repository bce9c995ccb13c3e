/**
 * Moves of one tenant to and fro, each struck once, and what has to be so after each: the tenant in one place, whole,
 * writable at once, and nothing of the move anywhere.
 */

import { isGatewayError } from '../../src/base/errors.ts'
import { sleep } from '../../src/base/time.ts'
import { abortMove, completeMove, rollbackMove, runMove } from '../../src/control/move/run.ts'
import { ENDED, type MoveState } from '../../src/control/move/states.ts'
import { findMove } from '../../src/control/move/store.ts'
import type { Path } from '../../src/control/move/types.ts'
import { type Fleet, onDirectory } from '../../src/control/reach.ts'
import { openWorldDoor } from './door.ts'
import { type Blow, openBlower } from './move-blows.ts'
import { pictureOf } from './move-picture.ts'
import type { Act } from './move-runners.ts'
import { type Destination, fleetOfWorld, placementOf, queueMove } from './move-world.ts'
import type { World, WorldTenant } from './shard-fixture.ts'
import { tenantWriter } from './tenant-writer.ts'

export type Ending = 'resume' | 'abort'

export interface Trial {
  readonly act: Act
  readonly blow: Blow
  /** Number of the statement, from 1. */
  readonly at: number
  readonly ending: Ending
}

export interface MoveStage {
  /** Statements of an act that nobody strikes; the tenant is at the other place then, or was there and is back. */
  rehearse(act: Act): Promise<number>
  /** @returns how it ended: the state of the move, or 'not struck'. @throws what is wrong */
  play(trial: Trial): Promise<string>
  close(): Promise<void>
}

/** @param places  the tenant's own, and the other one */
export async function openMoveStage(
  world: World,
  tenant: WorldTenant,
  places: readonly [Destination, Destination],
  path: Path,
): Promise<MoveStage> {
  const moves = { stillMs: path === 'still' ? 10_000 : 1, leaseMs: 1_500 }
  const fleet = fleetOfWorld(world, moves)
  const [blower, gate] = [await openBlower(world, fleet), await openWorldDoor(world)]
  const pictures = new Map<string, string[]>()

  async function queued(act: Act): Promise<string> {
    const now = await placementOf(fleet, tenant.id)
    const there = places.find(({ shard, isolation }) => shard !== now.shard || isolation !== now.isolation)!
    const { id } = await queueMove(fleet, tenant.id, there)
    if (act !== 'run') await runMove(fleet, id)
    return id
  }

  async function rehearse(act: Act): Promise<number> {
    const id = await queued(act)
    const { count, answer } = await blower.perform({ act, id, moves })
    if (answer.error) throw new Error(`${act} fails without a blow: ${answer.error}`)
    await finished(fleet, id, act, 'resume')
    await requireSound(true)
    return count
  }

  async function play(trial: Trial): Promise<string> {
    const { act, ending } = trial
    const id = await queued(act)
    const writer = tenantWriter(gate, tenant.id)
    let state = ''
    let [struck, said] = ['', '']
    const finish = async (): Promise<void> => {
      await leaseEnded(fleet, id)
      state = await told(() => finished(fleet, id, act, ending))
    }
    try {
      const performance = await inTime(blower.perform({ act, id, moves }, { ...trial, takeOver: finish }))
      struck = performance.struck ?? ''
      said = JSON.stringify(performance.answer)
      if (state === '') await inTime(finish())
      await inTime(writer.end())
      await requireSound(false)
    } catch (cause) {
      const move = await onDirectory(fleet.directoryUrl, (db) => findMove(db, id))
      const what = `${trial.blow} at statement ${trial.at} of ${act}, then ${ending}: ${struck.slice(0, 300)}`
      const sentence = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`${what}\nrunner: ${said}\nmove: ${JSON.stringify(move)}\n${sentence}`, { cause })
    } finally {
      await inTime(writer.end()).catch(() => {})
    }
    return struck === '' ? 'not struck' : state
  }

  // What is there depends on where the tenant is, and on nothing else: seen first where nobody has struck.
  async function requireSound(mayLearn: boolean): Promise<void> {
    const { shard, isolation } = await placementOf(fleet, tenant.id)
    const now = await pictureOf(world, fleet, gate, tenant.id)
    const key = `${shard} ${isolation}`
    const known = pictures.get(key)
    if (!known && !mayLearn) throw new Error(`It is at ${key}, where it was not expected.`)
    if (mayLearn) pictures.set(key, now)
    const changes = known && !mayLearn ? differences(known, now) : []
    if (changes.length > 0) throw new Error(`What is there is not what should be:\n${changes.join('\n')}`)
  }

  return {
    rehearse,
    play,
    async close() {
      await blower.close()
      gate.end()
    },
  }
}

/** Milliseconds after which something waits for what will never come: a lock of a session that nobody has ended. */
const LONG_MS = 180_000

async function inTime<T>(work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`It does not end in ${LONG_MS} ms.`)), LONG_MS)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

function differences(wanted: readonly string[], found: readonly string[]): string[] {
  return [
    ...wanted.filter((line) => !found.includes(line)).map((line) => `- ${line}`),
    ...found.filter((line) => !wanted.includes(line)).map((line) => `+ ${line}`),
  ]
}

/** As somebody does who is told that another is at it: again, until it is so no more. */
async function told<T>(work: () => Promise<T>): Promise<T> {
  const started = Date.now()
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isGatewayError(error, 'TENANT_BUSY') || Date.now() - started > LONG_MS / 3) throw error
      await sleep(200)
    }
  }
}

/** Until the runner has not been heard of for the time of its lease. */
async function leaseEnded({ directoryUrl }: Fleet, id: string): Promise<void> {
  await onDirectory(directoryUrl, async (db) => {
    while ((await findMove(db, id))?.isHeld) await db.query('select pg_sleep(0.02)')
  })
}

/**
 * Go on with a move, or undo it where that is still possible, until nothing is left to do.
 *
 * @returns the state in which going on or undoing has left it; a window that is open then is closed
 */
async function finished(fleet: Fleet, id: string, act: Act, ending: Ending): Promise<MoveState> {
  const stateNow = async (): Promise<MoveState> =>
    (await onDirectory(fleet.directoryUrl, (db) => findMove(db, id)))!.state
  const hasEnded = (state: MoveState): boolean => ENDED.includes(state)
  let state = await stateNow()
  if (ending === 'abort' && act !== 'complete' && !hasEnded(state)) {
    // Behind a commit point there is nothing to undo, and it says so.
    await abortMove(fleet, id).catch((error: unknown) => {
      if (!isGatewayError(error, 'REFUSED')) throw error
    })
    state = await stateNow()
  }
  if (!hasEnded(state) && !['settled', 'cleaning'].includes(state)) {
    const goOn = RETURNING.includes(state) ? rollbackMove : runMove
    state = (await goOn(fleet, id)).state
  }
  if (act === 'rollback' && ending === 'resume' && state === 'settled')
    state = (await rollbackMove(fleet, id)).state
  if (hasEnded(state)) return state
  const { state: end } = await completeMove(fleet, id)
  return act === 'complete' ? end : state
}

const RETURNING: readonly MoveState[] = ['returning', 'return-frozen', 'returned']
