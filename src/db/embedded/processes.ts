/**
 * Other processes, by their number: whether one lives, which one it is, and how to end it.
 *
 * A number alone proves little, since the system gives it out again: in a container the second run
 * often has the number of the first. So a process is told by number and time of birth.
 */

import { spawnSync } from 'node:child_process'
import { readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { type Deadline, deadlineIn, sleep } from '../../base/time.ts'

const POLL_MS = 20

export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return !isZombie(pid)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

// An orphan in a container whose first process collects nobody stays listed for ever.
function isZombie(pid: number): boolean {
  return statFields(pid)?.[0] === 'Z'
}

/** Fields of Linux's /proc/<pid>/stat from the state on; the name before them may hold blanks. */
function statFields(pid: number): string[] | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined // It has ended.
  }
}

const START_TIME = 19 // Counted from the state: field 22 of proc_pid_stat(5).

/** Text that differs between two processes that had the same number; '' where the system tells none. */
export function birthOf(pid: number): string {
  if (process.platform === 'win32') return ''
  if (process.platform !== 'linux') return commandOutput('ps', ['-o', 'lstart=', '-p', String(pid)])
  const start = statFields(pid)?.[START_TIME]
  return start ? `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${start}` : ''
}

/** Whether process `pid` is a Postgres server on `dataDir`, and not a stranger with its number. */
export function servesFolder(pid: number, dataDir: string): boolean {
  if (!isAlive(pid)) return false
  if (process.platform === 'linux') return workingFolder(pid) === realpathSync(dataDir)
  if (process.platform === 'win32') return true
  return commandOutput('ps', ['-o', 'args=', '-p', String(pid)]).includes(dataDir)
}

// A Postgres server changes into its data folder at start, and each of its processes stays there.
function workingFolder(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return undefined
  }
}

function commandOutput(command: string, args: readonly string[]): string {
  return spawnSync(command, args, { encoding: 'utf8' }).stdout?.trim() ?? ''
}

/** Wait until `done` answers true; false when `deadline` passes first. */
export async function waitUntil(done: () => boolean, deadline: Deadline): Promise<boolean> {
  while (!done()) {
    if (deadline.remainingMs() === 0) return false
    await sleep(POLL_MS)
  }
  return true
}

/** Milliseconds to wait for each way of stopping, before the next one. */
const STOP_WAITS = { fastMs: 10_000, immediateMs: 5_000, killMs: 5_000 }

/**
 * End a Postgres server: ask for a fast shutdown, which ends sessions and writes a checkpoint, then
 * for an immediate one, then kill it.
 */
export async function endServer(pid: number, isGone: () => boolean, waits = STOP_WAITS): Promise<void> {
  const steps = [
    { signal: 'SIGINT', ms: waits.fastMs },
    { signal: 'SIGQUIT', ms: waits.immediateMs },
    { signal: 'SIGKILL', ms: waits.killMs },
  ] as const
  for (const { signal, ms } of steps) {
    if (isGone()) return
    signalTo(pid, signal)
    if (await waitUntil(isGone, deadlineIn(ms))) return
  }
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
