/**
 * One move, and one blow at a counted statement on the wire:
 *
 *     kill         the process dies with the statement unsent
 *     stop         the process is stopped with the statement on its way; somebody else takes over; then the statement
 *                  arrives, and the process goes on
 *     cut before   the connection is cut, and the statement is lost
 *     cut after    the server does it, and the answer is lost with the connection
 *     cancel       the operator cancels the move at this moment
 *
 * Boundaries are counted in a run without a blow, so a new statement is a new boundary, without a word here.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { setWanted } from '../../src/control/move/claim.ts'
import { type Fleet, onDirectory } from '../../src/control/reach.ts'
import { type Answer, moveRunners, type Order } from './move-runners.ts'
import type { World } from './shard-fixture.ts'
import type { Message } from './wire-messages.ts'
import { type WireProxy, wireProxy } from './wire-proxy.ts'
import type { Action } from './wire-rules.ts'

export const BLOWS = ['kill', 'stop', 'cut before', 'cut after', 'cancel'] as const
export type Blow = (typeof BLOWS)[number]

export interface Strike {
  readonly blow: Blow
  /** Number of the statement, from 1. */
  readonly at: number
  /** What another runner does while the struck one is stopped. */
  readonly takeOver: () => Promise<void>
}

export interface Performance {
  /** Statements that were sent. */
  readonly count: number
  /** The statement that was struck; undefined where the run was over before. */
  readonly struck: string | undefined
  readonly answer: Answer
}

export interface Blower {
  perform(order: Order, strike?: Strike): Promise<Performance>
  close(): Promise<void>
}

/** Runners whose every connection goes through proxies. */
export async function openBlower(world: World, fleet: Fleet): Promise<Blower> {
  const proxies = new Map<string, WireProxy>()
  for (const { url } of [{ url: fleet.directoryUrl }, ...fleet.shards]) {
    const { port } = new URL(url)
    if (!proxies.has(port)) proxies.set(port, await wireProxy(Number(port)))
  }
  const file = `${world.configFile}.proxied.json`
  writeFileSync(file, proxied(readFileSync(world.configFile, 'utf8'), proxies))
  const runners = moveRunners(file)

  async function perform(order: Order, strike?: Strike): Promise<Performance> {
    const runner = await runners.take()
    const struck = Promise.withResolvers<Message | undefined>()
    const onItsWay = Promise.withResolvers<void>()
    let [count, isDead] = [0, false]
    const strikeOn = async (message: Message, proxy: WireProxy): Promise<'cut' | undefined> => {
      struck.resolve(message)
      switch (strike?.blow) {
        case 'kill':
          isDead = true
          runner.signal('SIGKILL')
          await runner.ended
          return 'cut'
        case 'stop':
          runner.signal('SIGSTOP')
          await onItsWay.promise
          return undefined
        case 'cut before':
          return 'cut'
        case 'cut after':
          cutAnswers(proxy, message.connection)
          return undefined
        default:
          await cancelled(fleet, order.id)
          return undefined
      }
    }
    const decide =
      (proxy: WireProxy): Action =>
      (message) => {
        if (isDead) return runner.ended.then(() => 'cut')
        count++
        return count === strike?.at ? strikeOn(message, proxy) : undefined
      }
    const rules = Array.from(proxies.values(), (proxy) => proxy.on(isStatement, decide(proxy)))
    const answer = runner.order(order)
    void answer.then(() => struck.resolve(undefined))
    const message = await struck.promise
    try {
      if (message && strike?.blow === 'stop') await strike.takeOver()
    } finally {
      onItsWay.resolve()
      runner.signal('SIGCONT')
    }
    const told = await answer
    for (const rule of rules) rule.off()
    if (!isDead) runners.give(runner)
    return { count, struck: message && (message.text ?? message.type), answer: told }
  }

  return {
    perform,
    async close() {
      await runners.close()
      for (const proxy of proxies.values()) await proxy.close()
    },
  }
}

const isStatement = ({ direction, type }: Message): boolean =>
  direction === 'to-server' && (type === 'Query' || type === 'Execute' || type === 'CopyDone')

function cutAnswers(proxy: WireProxy, connection: number): void {
  const isAnswer = (message: Message): boolean =>
    message.direction === 'to-client' &&
    message.connection === connection &&
    ['CommandComplete', 'ReadyForQuery', 'ErrorResponse', 'CopyBothResponse', 'CopyInResponse'].includes(
      message.type,
    )
  proxy.on(isAnswer, 'cut', { times: 1 })
}

/** Too late is no fault of the test's. */
async function cancelled({ directoryUrl }: Fleet, id: string): Promise<void> {
  await onDirectory(directoryUrl, (db) => setWanted(db, id, 'cancel', 'ann')).catch(() => {})
}

function proxied(config: string, proxies: ReadonlyMap<string, WireProxy>): string {
  return config.replaceAll(/"(postgres[^"]*)"/g, (_, url: string) =>
    JSON.stringify(proxies.get(new URL(url).port)?.url(url) ?? url),
  )
}
