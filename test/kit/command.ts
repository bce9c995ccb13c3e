/**
 * The `shardgate` command as a process of its own: what it prints, how it ends, what it leaves behind.
 *
 *     const started = shardgate(['start'], { SHARDGATE_DATA: folder, PORT: '0', ADMIN_PORT: '0' })
 *     await started.prints(/Ctrl-C/)
 *     started.signal('SIGINT')
 *     expect(await started.ended).toMatchObject({ status: 0 })
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { childEnv } from './child-env.ts'

export interface Ending {
  /** Exit status; null when a signal ended it. */
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

export interface RunningCommand {
  readonly pid: number
  /** Resolves when the process has ended and all that it printed has been read. */
  readonly ended: Promise<Ending>
  /** What it has printed so far on both streams. */
  output(): string
  /** Wait until its output matches. Rejects with the output when the process ends before. */
  prints(pattern: RegExp): Promise<RegExpExecArray>
  /** Send to the whole group of processes, which is what Ctrl-C in a terminal does. */
  signal(name: NodeJS.Signals): void
}

/** TEST_GATEWAY names another file to run instead, as in gateway.ts. */
const CLI = process.env.TEST_GATEWAY ?? join(import.meta.dirname, '../../src/cli.ts')
const running = new Set<RunningCommand>()

// A test run that is stopped must not leave servers behind; they are in groups of their own.
process.once('exit', () => {
  for (const command of running) command.signal('SIGKILL')
})

/** Run a command line; `env` is all that it sees beside PATH. */
export function shardgate(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd: string = join(CLI, '../..'),
): RunningCommand {
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd,
    env: childEnv(env),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const printed = { out: '', err: '' }
  const output = (): string => printed.err + printed.out
  child.stdout.setEncoding('utf8').on('data', (text) => {
    printed.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    printed.err += text
  })
  const ended = once(child, 'close').then(([status, signal]): Ending => {
    running.delete(command)
    return { status, signal, ...printed }
  })
  const prints = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = pattern.exec(output())
        if (found) resolve(found)
      }
      for (const stream of [child.stdout, child.stderr]) stream.on('data', look)
      void ended.then(({ status, signal }) =>
        reject(new Error(`It ended with ${status ?? signal}:\n${output()}`)),
      )
      look()
    })
  const signal = (name: NodeJS.Signals): void => void process.kill(-child.pid!, name)
  const command: RunningCommand = { pid: child.pid!, ended, output, prints, signal }
  running.add(command)
  return command
}

/** For `afterAll`: end what a failed test has left running. */
export async function endCommands(): Promise<void> {
  const left = [...running]
  for (const command of left) command.signal('SIGINT')
  await Promise.all(left.map(({ ended }) => ended))
}

/**
 * Processes that work in `folder` or were started with its name, as 'pid name': Postgres servers and
 * sessions, watchdogs, half-done set-ups. Reads /proc, so elsewhere than on Linux there are none.
 */
export function processesOn(folder: string): string[] {
  if (process.platform !== 'linux') return []
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
  return pids.flatMap((pid) => {
    const of = (read: () => string): string => {
      try {
        return read()
      } catch {
        return '' // It has ended meanwhile.
      }
    }
    const args = of(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
    const place = of(() => readlinkSync(`/proc/${pid}/cwd`))
    const isOn = [place, ...args].some((text) => text === folder || text.startsWith(`${folder}/`))
    return isOn ? [`${pid} ${args.join(' ').slice(0, 80).trim()}`] : []
  })
}
