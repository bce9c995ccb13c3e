/** A steady load of other tenants in a process of its own (load/steady.ts), seen through windows of time. */

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

export interface SteadyOptions {
  readonly port: number
  /** Requests per second. */
  readonly rate: number
  readonly connections: number
  /** Of requests, as `writeRequests` writes it. */
  readonly file: string
}

export interface SteadyLoad {
  /** End it. @throws when an answer was an error */
  stop(): Promise<Answers>
}

/** Milliseconds of answers whose requests were due between two moments (Date.now()). */
export type Answers = (from: number, to: number) => number[]

export function startSteady({ port, rate, connections, file }: SteadyOptions): SteadyLoad {
  const args = [join(import.meta.dirname, 'load/steady.ts'), port, rate, connections, file].map(String)
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const printed = text(child.stdout)
  return {
    async stop() {
      child.stdin.end()
      const { answers, errors } = JSON.parse(await printed) as {
        answers: [due: number, ms: number][]
        errors: string[]
      }
      if (errors.length > 0) throw new Error(`${errors.length} answers are errors; the first: ${errors[0]}`)
      return (from, to) => answers.filter(([due]) => due >= from && due < to).map(([, ms]) => ms)
    },
  }
}

export const percentile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(part * (values.length - 1))] ?? 0
