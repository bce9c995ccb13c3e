/** Callers of a fair queue on a clock that stands still between two of their steps: hours of overload in a second. */

import { setImmediate } from 'node:timers/promises'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { deadlineIn } from '../../src/base/time.ts'
import type { FairQueue } from '../../src/shards/fair-queue.ts'
import type { ManualClock } from './clock.ts'

export interface SimulatedTenant {
  readonly name: string
  readonly share?: number
  /** Callers that ask again at once when they are done. */
  readonly callers: number
  /** What a turn takes. */
  readonly ms: number | (() => number)
}

export interface Simulation {
  /** Let `ms` milliseconds pass. */
  run(ms: number): Promise<void>
  /** Milliseconds of turns that a tenant has had since the last call. */
  taken(name: string): number
  /** Take up work. */
  join(tenant: SimulatedTenant): void
  /** Its callers stop when they are done. */
  leave(name: string): void
}

export const idOf = (name: string): TenantId => tenantId(name)

export function simulate(queue: FairQueue, clock: ManualClock): Simulation {
  const sleepers: { at: number; wake: () => void }[] = []
  const taken = new Map<string, number>()
  const present = new Set<string>()
  const sleep = (ms: number): Promise<void> =>
    new Promise((wake) => void sleepers.push({ at: clock.elapsed() + ms, wake }))

  async function call({ name, share = 1, ms }: SimulatedTenant): Promise<void> {
    while (present.has(name)) {
      const turn = await queue.enter(idOf(name), share, deadlineIn(1_000_000_000, clock))
      const takes = typeof ms === 'number' ? ms : ms()
      await sleep(takes)
      turn.done(takes)
      taken.set(name, (taken.get(name) ?? 0) + takes)
    }
  }

  return {
    async run(ms) {
      const end = clock.elapsed() + ms
      for (;;) {
        await setImmediate()
        sleepers.sort((a, b) => a.at - b.at)
        const [next] = sleepers
        if (!next || next.at > end) break
        clock.advance(next.at - clock.elapsed())
        while (sleepers[0] && sleepers[0].at <= next.at) sleepers.shift()?.wake()
      }
      clock.advance(end - clock.elapsed())
    },
    taken(name) {
      const ms = taken.get(name) ?? 0
      taken.delete(name)
      return ms
    },
    join(tenant) {
      present.add(tenant.name)
      for (let i = 0; i < tenant.callers; i++) void call(tenant)
    },
    leave: (name) => void present.delete(name),
  }
}
