/** What a process on this machine has used, as Linux counts it: without asking the process, which would cost it some. */

import { readdirSync, readFileSync } from 'node:fs'

/** Milliseconds of CPU of all threads that live. */
export function cpuMs(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`)
  const nanoseconds = tasks.map((task) =>
    Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0] || 0),
  )
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1_000_000
}

/** Megabytes that are resident. */
export function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1]) / 1_000
}

/** A thread may end between the list and the look. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
