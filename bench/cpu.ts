/** Processor time that processes have used, in microseconds, as Linux counts it: in steps of 10 ms. */

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
  const { own = 0, reaped = 0 } = timesOf(postmaster) ?? {}
  return own + reaped + childrenOf(postmaster).reduce((sum, pid) => sum + cpuOf(pid), 0)
}

function childrenOf(parent: number): number[] {
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
export function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes ?? 0) * 1_024
}
