/**
 * Load on a gateway: each tenant reads and writes one request after the other, and every answer is counted
 * by its code, so that a test can say what a tenant saw while something was broken.
 *
 *     const load = startLoad(gateway, world, await tokensOf(world))
 *     … break something …
 *     await load.until(({ counts }) => counts('tenant-2').SHARD_UNAVAILABLE > 20)
 *     await load.stop()
 */

import { setTimeout as pause } from 'node:timers/promises'
import { openProbe, type Probe } from './probe.ts'
import type { WorldTenant } from './shard-fixture.ts'

/** Answers by their code, 'ok' for those without an error. */
export type Counts = Record<string, number>

export interface Load {
  /** What `tenant` was answered since the start, or since `mark`. */
  counts(tenant: WorldTenant): Counts
  /** Sum over tenants. */
  sum(tenants: readonly WorldTenant[]): Counts
  /** Begin to count anew; returns what was counted until here. */
  mark(): ReadonlyMap<string, Counts>
  /** Wait until `is` holds; it is asked after each answer. Rejects when `ms` (60,000) have passed. */
  until(is: () => boolean, ms?: number): Promise<void>
  /** Wait for the answers that are on their way, and end. */
  stop(): Promise<void>
}

export interface Caller {
  readonly tenant: WorldTenant
  readonly token: string
}

const READ = '{ projects(first: 3) { totalCount nodes { id name } } }'
const TARGET = '{ tasks(first: 1) { nodes { id } } }'
const WRITE =
  'mutation ($id: ID!, $done: Boolean!) { updateTask(id: $id, patch: { done: $done }) { __typename } }'
/** Milliseconds between two requests of a tenant, so that quick refusals do not take the whole machine. */
const PACE_MS = 5
/** Every so many requests a write. */
const WRITES = 4

/** Resolves when every caller has had its first answer. */
export async function startLoad(url: string, callers: readonly Caller[]): Promise<Load> {
  const probe = openProbe()
  const all = new Map<string, Counts>(callers.map(({ tenant }) => [tenant.id, {}]))
  const watchers = new Set<() => void>()
  let stopping = false

  const targets = await Promise.all(callers.map((caller) => targetOf(probe, url, caller)))
  const run = async (caller: Caller, i: number): Promise<void> => {
    for (let n = 1; !stopping; n++) {
      const code = await ask(probe, url, { ...caller, target: targets[i]!, n })
      const counts = all.get(caller.tenant.id)!
      counts[code] = (counts[code] ?? 0) + 1
      for (const watch of watchers) watch()
      await pause(PACE_MS)
    }
  }
  const running = callers.map(run)
  const counts = (tenant: WorldTenant): Counts => all.get(tenant.id) ?? {}

  return {
    counts,
    sum: (tenants) => sumOf(tenants.map(counts)),
    mark() {
      const before = new Map(all)
      for (const id of all.keys()) all.set(id, {})
      return before
    },
    until(is, ms = 60_000) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const watch = (): void => {
        if (is()) resolve()
      }
      const late = (): void =>
        reject(new Error(`It did not come to that: ${JSON.stringify(Object.fromEntries(all))}`))
      const timer = setTimeout(late, ms)
      watchers.add(watch)
      watch()
      return promise.finally(() => {
        clearTimeout(timer)
        watchers.delete(watch)
      })
    },
    async stop() {
      stopping = true
      await Promise.all(running)
      probe.close()
    },
  }
}

interface Asked extends Caller {
  /** Id of the task that is written. */
  readonly target: string
  readonly n: number
}

async function targetOf(probe: Probe, url: string, { token }: Caller): Promise<string> {
  const reply = await probe.send({ url, token, body: { query: TARGET } })
  return JSON.parse(String(reply?.body)).data.tasks.nodes[0].id
}

/** The code of the answer to one request; 'ok' only when it has the data that was asked for. */
async function ask(probe: Probe, url: string, { token, target, n }: Asked): Promise<string> {
  const isWrite = n % WRITES === 0
  const variables = { id: target, done: n % (2 * WRITES) === 0 }
  const reply = await probe.send({
    url,
    token,
    body: isWrite ? { query: WRITE, variables } : { query: READ },
  })
  const { data, errors } = JSON.parse(String(reply?.body))
  if (errors) return String(errors[0].extensions.code)
  if (isWrite) return data.updateTask?.__typename === 'Task' ? 'ok' : 'wrong write'
  return data.projects.nodes.length === 3 ? 'ok' : 'wrong rows'
}

export function sumOf(counts: readonly Counts[]): Counts {
  const sum: Counts = {}
  for (const [code, n] of counts.flatMap((one) => Object.entries(one))) sum[code] = (sum[code] ?? 0) + n
  return sum
}
