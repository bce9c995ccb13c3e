/** A gateway that is watched in every way there is: debug log, traces in a file, metrics of tenants. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Role } from '../../src/tenant/types.ts'
import { type Gateway, startGateway, worldToken } from './gateway.ts'
import { startWorld, type World, type WorldTenant } from './shard-fixture.ts'

const RECORDER = new URL('../fixtures/record-spans.ts', import.meta.url)

export interface RecordedSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string | null
  readonly kind: number
  /** Milliseconds since 1970. */
  readonly startTime: number
  readonly endTime: number
  readonly attributes: Readonly<Record<string, string | number>>
  readonly status: object
}

export interface Answer {
  readonly status: number
  readonly requestId: string
  readonly text: string
  readonly json: ReturnType<typeof JSON.parse>
}

export interface Observed {
  readonly world: World
  readonly gateway: Gateway
  /** Ask as a tenant. @param headers  on top */
  ask(
    tenant: WorldTenant,
    body: { readonly query: string; readonly variables?: object } | string,
    headers?: Readonly<Record<string, string>>,
    roles?: Role[],
  ): Promise<Answer>
  /** The spans of a trace, once that of its request has ended. */
  spansOf(traceId: string): Promise<readonly RecordedSpan[]>
  /** Every span that has ended. */
  spans(): readonly RecordedSpan[]
  metrics(): Promise<string>
  stop(): Promise<void>
}

/** @param config  keys of `shards.config.json` on top */
export async function startObserved(config: object = {}): Promise<Observed> {
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-observed-'))
  const file = join(folder, 'spans.jsonl')
  writeFileSync(file, '')
  const world = await startWorld({ tenants: 3, shards: 3, proxies: true, isolations: ['shared'] }, config)
  const gateway = await startGateway(world, {
    LOG_LEVEL: 'debug',
    NODE_OPTIONS: `--import ${fileURLToPath(RECORDER)}`,
    SPANS_FILE: file,
  })
  const spans = (): RecordedSpan[] =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  return {
    world,
    gateway,
    spans,
    async ask(tenant, body, headers = {}, roles = ['admin']) {
      const response = await fetch(gateway.url, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${await worldToken(world, tenant, roles)}`,
          'content-type': 'application/json',
          ...headers,
        },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      })
      const text = await response.text()
      const requestId = response.headers.get('x-request-id') ?? ''
      return { status: response.status, requestId, text, json: JSON.parse(text) }
    },
    async spansOf(traceId) {
      for (;;) {
        const found = spans().filter((span) => span.traceId === traceId)
        if (found.some(({ kind }) => kind === 1)) return found
        await new Promise(setImmediate)
      }
    },
    metrics: async () => (await fetch(`${gateway.adminUrl}/metrics`)).text(),
    async stop() {
      await gateway.stop()
      await world.stop()
      rmSync(folder, { recursive: true })
    },
  }
}
