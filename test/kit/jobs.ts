/** Jobs of a world in this process: the queue on its directory, and everything that a gateway puts around it. */

import { type ExecutionResult, execute, parse } from 'graphql'
import type { Event } from '../../src/base/events.ts'
import { deadlineIn, systemClock } from '../../src/base/time.ts'
import { createForwarder, type Forwarder } from '../../src/control/jobs/forwarder.ts'
import { installQueue } from '../../src/control/jobs/install.ts'
import { type JobQueue, openQueue, type SentJob } from '../../src/control/jobs/queue.ts'
import { startWorker, type Worker, type WorkerOptions } from '../../src/control/jobs/worker.ts'
import { withClient } from '../../src/db/client.ts'
import { createApis } from '../../src/graphql/apis.ts'
import type { Extension } from '../../src/graphql/extension.ts'
import { jobsOfExtensions } from '../../src/graphql/jobs/rules.ts'
import { jobRunner } from '../../src/graphql/jobs/runner.ts'
import { documentParser } from '../../src/graphql/limits/limits.ts'
import { executeInTransaction } from '../../src/graphql/transaction.ts'
import { introspect } from '../../src/model/introspect.ts'
import type { Shapes } from '../../src/shards/shapes.ts'
import { type Data, DEFAULT_LIMITS } from './api.ts'
import { openWorldDoor, type WorldDoor } from './door.ts'
import type { World, WorldTenant } from './shard-fixture.ts'

export interface WorldJobs {
  readonly queue: JobQueue
  readonly forwarder: Forwarder
  readonly gate: WorldDoor
  readonly events: Event[]
  /** Runs jobs as a gateway does. @param more  what to have otherwise */
  work(more?: Partial<WorkerOptions>): Worker
  /** Runs a mutation as an admin of the tenant. */
  mutate(tenant: WorldTenant, source: string): Promise<ExecutionResult<Data>>
  /** Waits until a job has ended that `like` fits, and gives the event. */
  ended(like: Partial<Extract<Event, { kind: 'job.done' }>>): Promise<Extract<Event, { kind: 'job.done' }>>
  end(): Promise<void>
}

const POLL_MS = 20

/** @param hooks  called at moments of forwarding, to be in the way */
export async function openWorldJobs(world: World, extensions: readonly Extension[]): Promise<WorldJobs> {
  await installQueue(world.directoryUrl)
  const gate = await openWorldDoor(world)
  const events: Event[] = []
  const waiting = new Set<() => void>()
  const emit = (event: Event): void => {
    events.push(event)
    for (const look of waiting) look()
  }
  const { rules, definitions } = jobsOfExtensions(extensions)
  const queue = await openQueue({ url: world.directoryUrl, keeps: false, keepDays: 7, emit })
  const workers: Worker[] = []
  const onSent = (): void => {
    for (const worker of workers) worker.wake()
  }
  const forwarder = createForwarder({ door: gate.door, queue, rules, onSent })
  const model = await withClient(world.shards[0]!.appUrl, (client) =>
    introspect(client, { column: 'tenant_id', schemas: [world.schema] }),
  )
  const limits = () => DEFAULT_LIMITS
  const main = { id: 'main', model }
  const shapes: Shapes = { main, of: () => main, renewed: async () => main, end: () => {} }
  const apiOf = createApis({
    limits,
    extensions,
    parse: documentParser(limits),
    doorFor: () => gate.door,
    jobs: { rules, forward: forwarder.forward, clock: systemClock },
    emit,
  })
  const run = jobRunner({ definitions, find: (id) => gate.placements.find(id), shapes, apiOf })
  const { permissions, contextFor } = apiOf(main)
  return {
    queue,
    forwarder,
    gate,
    events,
    work(more) {
      const worker = startWorker({
        queue,
        rules,
        run: (job, { deadlineMs }, stop) => run(job, { deadlineMs, stop }),
        settings: () => ({ workers: 2, pollMs: POLL_MS }),
        shares: () => ({}),
        emit,
        ...more,
      })
      workers.push(worker)
      return worker
    },
    async mutate({ id }, source) {
      const identity = {
        tenant: id,
        subject: 'test',
        roles: ['admin'] as const,
        issuer: 'test',
        expiresAt: 0,
      }
      const placement = await gate.placements.find(id)
      if (!placement) throw new Error(`There is no ${id}.`)
      const contextValue = contextFor({ identity, placement, requestId: 'test', deadline: deadlineIn(5_000) })
      const { schema } = permissions
      return executeInTransaction(execute, { schema, document: parse(source), contextValue })
    },
    ended(like) {
      return new Promise((resolve) => {
        const look = (): void => {
          const found = events.find((event) => event.kind === 'job.done' && fits(event, like))
          if (found?.kind !== 'job.done') return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        look()
      })
    },
    async end() {
      await Promise.all(workers.map((worker) => worker.stop(0)))
      await forwarder.end(0)
      await queue.end()
      gate.end()
    },
  }
}

const fits = (event: object, like: object): boolean =>
  Object.entries(like).every(([key, value]) => Reflect.get(event, key) === value)

/** As if the time of every run had passed whose worker is gone, and the queue had looked; what is to be tried again is due. */
export async function runOut(world: World, { boss }: JobQueue): Promise<void> {
  const late = `update pgboss.job set started_on = now() - interval '1 hour' where state = 'active'`
  await world.sql('directory', late)
  await world.sql('directory', 'update pgboss.queue set monitor_on = null, monitor_claim_on = null')
  await boss.supervise()
  await world.sql('directory', `update pgboss.job set start_after = now() where state = 'retry'`)
}

/** A job as the queue takes it. */
export function sentJob(tenant: WorldTenant, id: string, more: Partial<SentJob> = {}): SentJob {
  const rule = { retries: 1, backoff: { firstS: 1, maxS: 1 }, deadlineMs: 1_000 }
  return { id, name: 'count', tenant: tenant.id, data: {}, notBefore: null, rule, ...more }
}
