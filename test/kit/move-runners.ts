/** Runners of moves as processes: one is always ready, because a new one takes longer than many a move. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Fleet } from '../../src/control/reach.ts'

export type Act = 'run' | 'rollback' | 'complete'

export interface Order {
  readonly act: Act
  readonly id: string
  /** Settings of moves to have otherwise. */
  readonly moves: Partial<Fleet['moves']>
}

export interface Answer {
  readonly state?: string
  /** Code and sentence; what ended the process, where something did. */
  readonly error?: string
}

export interface Runner {
  /** Never rejects: a process that ends answers with that. */
  order(order: Order): Promise<Answer>
  signal(name: NodeJS.Signals): void
  readonly ended: Promise<unknown>
}

export interface Runners {
  take(): Promise<Runner>
  /** Give one back that lives and has answered. */
  give(runner: Runner): void
  close(): Promise<void>
}

const FILE = join(import.meta.dirname, '../fixtures/move-runner.ts')

export function moveRunners(config: string): Runners {
  const all = new Set<Runner>()
  const kill = (): void => {
    for (const runner of all) runner.signal('SIGKILL')
  }
  process.once('exit', kill)
  const make = (): Promise<Runner> =>
    startRunner(config).then((runner) => {
      all.add(runner)
      void runner.ended.then(() => all.delete(runner))
      return runner
    })
  const ready: Promise<Runner>[] = [make()]
  return {
    take() {
      const next = ready.shift() ?? make()
      if (ready.length === 0) ready.push(make())
      return next
    },
    give: (runner) => void ready.unshift(Promise.resolve(runner)),
    async close() {
      await Promise.all(ready)
      kill()
      await Promise.all(Array.from(all, ({ ended }) => ended))
      process.off('exit', kill)
    },
  }
}

async function startRunner(config: string): Promise<Runner> {
  const child = spawn(process.execPath, [FILE, config], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ended = once(child, 'close').then(([status, signal]) => String(signal ?? status))
  child.stdin.on('error', () => {}) // It may be dead by now; `ended` tells.
  const next = async (): Promise<string> => {
    const { done, value } = await lines.next()
    return done ? JSON.stringify({ error: `ended by ${await ended}` }) : value
  }
  const first = await next()
  if (first !== 'ready') throw new Error(`The runner of moves does not start: ${first}`)
  return {
    order(order) {
      child.stdin.write(`${JSON.stringify(order)}\n`)
      return next().then((line) => JSON.parse(line) as Answer)
    },
    signal: (name) => void child.kill(name),
    ended,
  }
}
