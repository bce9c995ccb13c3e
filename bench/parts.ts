/** The gateway's parts in the process of a benchmark: as main.ts makes them, on rows that are recorded once. */

import { writeSync } from 'node:fs'
import type { Config } from '../src/base/config.ts'
import { eventBus } from '../src/base/events.ts'
import type { TenantId } from '../src/base/ids.ts'
import { createLog } from '../src/base/log.ts'
import { createMetrics } from '../src/base/metrics.ts'
import { systemClock } from '../src/base/time.ts'
import type { Row } from '../src/db/batch.ts'
import { createApis } from '../src/graphql/apis.ts'
import { documentParser } from '../src/graphql/limits/limits.ts'
import { transactionPlugin } from '../src/graphql/transaction.ts'
import { operationMetrics } from '../src/http/operation-metrics.ts'
import type { Served } from '../src/http/tenant-apis.ts'
import { admitShards } from '../src/shards/admission.ts'
import type { Door } from '../src/shards/door.ts'
import { authenticator } from '../src/tenant/authenticate.ts'
import type { openWorldDoor } from '../test/kit/door.ts'

/** @param logFile  descriptor that log lines are written to */
export async function partsOf(
  config: Config,
  gate: Awaited<ReturnType<typeof openWorldDoor>>,
  logFile: number,
) {
  const { model, end } = await admitShards([...gate.fleet.values()], config, (event) =>
    gate.events.push(event),
  )
  end()
  const metrics = createMetrics({ version: 'bench' })
  const sink = { writableLength: 0, on: () => {}, write: (line: string) => writeSync(logFile, line) }
  const log = createLog('info', sink)
  const emit = eventBus(log.listener, metrics.listener)
  const limits = () => config.limits
  const parse = documentParser(limits)
  const door = replayed(gate.door)
  const api = createApis({ limits, extensions: [], parse, doorFor: () => door, emit })({ id: 'bench', model })
  const { authenticate } = authenticator({ issuers: config.tokens, clock: systemClock, emit })
  const operations = operationMetrics(metrics.registry)
  const options = {
    config: () => config,
    apis: { of: () => api, renewed: async (served: Served) => served },
    authenticate,
    placementOf: (tenant: TenantId) => gate.placements.find(tenant),
    parse,
    plugins: [operations.plugin, transactionPlugin()],
    countCompiled: operations.countCompiled,
    emit,
    clock: systemClock,
  }
  return { options, log, metrics }
}

export type Parts = Awaited<ReturnType<typeof partsOf>>

/** Gives the rows of the first answer to a statement to all who ask it: what a shard does is no part of this. */
function replayed(door: Door): Door {
  const known = new Map<string, Row[][]>()
  return {
    ...door,
    async batch(tenant, mode, deadline, statements) {
      const text = statements.map((statement) => statement.text).join()
      const rows = known.get(text) ?? (await door.batch(tenant, mode, deadline, statements))
      known.set(text, rows)
      return rows
    },
  }
}
