/**
 * More requests than a tenant may send, at several gateways, on a beat that does not wait for answers; and beside it
 * another tenant that sends a few and must not notice.
 */

import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import type { Gateway } from './gateway.ts'
import { openProbe } from './probe.ts'
import type { Random } from './random.ts'

export interface Pressing {
  readonly gateways: readonly Gateway[]
  /** Of the tenant that sends too much. */
  readonly token: string
  /** Of the other one. */
  readonly bystander: string
  /** Requests in a second, of the first. */
  readonly perSecond: number
  readonly random: Random
}

export interface Press {
  /** Answers by HTTP status; 0 is a connection that broke. */
  readonly statuses: ReadonlyMap<number, number>
  readonly bystander: ReadonlyMap<number, number>
  /** Milliseconds that each answer of the bystander took, since `mark`. */
  mark(): number[]
  stop(): Promise<void>
}

const QUERY = { query: '{ projects(first: 1) { nodes { id } } }' }
/** Milliseconds between two looks at how many are due. */
const BEAT_MS = 10
const BYSTANDER_PER_SECOND = 20

export function press({ gateways, token, bystander, perSecond, random }: Pressing): Press {
  const probe = openProbe(256)
  const [statuses, others] = [new Map<number, number>(), new Map<number, number>()]
  const open = new Set<Promise<void>>()
  let times: number[] = []
  let stopping = false

  const send = (from: string, counts: Map<number, number>, told?: (ms: number) => void): void => {
    const { url } = random.pick(gateways)
    const begun = performance.now()
    const sent = probe
      .send({ url, token: from, body: QUERY })
      .then(
        (reply) => reply?.status ?? 0,
        () => 0,
      )
      .then((status) => {
        counts.set(status, (counts.get(status) ?? 0) + 1)
        told?.(performance.now() - begun)
        open.delete(sent)
      })
    open.add(sent)
  }

  const beat = async (rate: number, once: () => void): Promise<void> => {
    const begun = performance.now()
    for (let sent = 0; !stopping; ) {
      const due = Math.floor(((performance.now() - begun) / 1000) * rate)
      for (; sent < due; sent++) once()
      await pause(BEAT_MS)
    }
  }
  const beats = [
    beat(perSecond, () => send(token, statuses)),
    beat(BYSTANDER_PER_SECOND, () => send(bystander, others, (ms) => times.push(ms))),
  ]
  return {
    statuses,
    bystander: others,
    mark() {
      const before = times
      times = []
      return before
    },
    async stop() {
      stopping = true
      await Promise.all(beats)
      await Promise.all(open)
      probe.close()
    },
  }
}

/** The `share` (0 to 1) of `times` is not longer than this; NaN of none. */
export function percentile(times: readonly number[], share: number): number {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
