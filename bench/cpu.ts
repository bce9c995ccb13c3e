/** Processor time and memory of processes, as Linux counts them: microseconds, in steps of 10 ms, and bytes. */

import { readdirSync, readFileSync } from 'node:fs'

const TICK_US = 10_000

interface Times {
  readonly parent: number
  /** Of all its threads. */
  readonly own: number
  /** Of its children that have ended and been waited for. */
  readonly reaped: number
}

/** Of one process. */
export const cpuOf = (pid: number): number => timesOf(pid)?.own ?? 0

/** Of a whole Postgres: the postmaster, its children that live, and those that have ended. */
export function clusterCpu(postmaster: number): number {
  for (;;) {
    const { own = 0, reaped = 0 } = timesOf(postmaster) ?? {}
    const living = sessionsOf(postmaster).reduce((sum, pid) => sum + cpuOf(pid), 0)
    // A child that has ended meanwhile is in neither of the two: look again.
    if ((timesOf(postmaster)?.reaped ?? 0) === reaped) return own + reaped + living
  }
}

/** Processes of a Postgres: sessions and its own. */
export function sessionsOf(parent: number): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => timesOf(pid)?.parent === parent)
}

// After the name, which is in brackets and may hold anything: state, parent, …, 12 utime, stime, cutime, cstime.
function timesOf(pid: number): Times | undefined {
  const text = readStat(pid)
  if (text === undefined) return undefined
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [, parent = 0] = fields
  const [user = 0, system = 0, reapedUser = 0, reapedSystem = 0] = fields.slice(11, 15)
  return { parent, own: (user + system) * TICK_US, reaped: (reapedUser + reapedSystem) * TICK_US }
}

function readStat(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined // It has ended since the list was read.
  }
}

/** Of the whole machine: everything that was not idle. */
export function machineCpu(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number)
  return (user + nice + system + irq + softirq + steal) * TICK_US
}

/** Resident memory of a process, in bytes. */
export const residentBytes = (pid: number): number => statusBytes(pid, 'VmRSS')

/** The part of it that is shared with nobody: for a Postgres session, without the shared cache. */
export const privateBytes = (pid: number): number => statusBytes(pid, 'RssAnon')

function statusBytes(pid: number, name: string): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? 0) * 1_024
}
