/** A caller of a whole gateway who expects to be refused: one error, one code, and nothing of the inside. */

import { expect } from 'vitest'
import type { Gateway } from './gateway.ts'
import { openProbe, type Reply } from './probe.ts'
import type { World, WorldTenant } from './shard-fixture.ts'
import type { Json } from './tokens.ts'

export interface Asked {
  readonly query?: string
  readonly variables?: unknown
  /** Instead of the caller's own; null sends none. */
  readonly token?: string | null
  readonly headers?: Record<string, string>
  /** Instead of query and variables: the bytes of the body. */
  readonly body?: string
}

export interface Caller {
  send(asked: Asked): Promise<Reply>
  /** The `data` of an answer that has no errors. */
  data(asked: Asked): Promise<ReturnType<typeof JSON.parse>>
  /** Exactly one error, with this code, and no data; returns its message. */
  refused(asked: Asked, code: string): Promise<string>
  /** Every row of every tenant: equal before and after what must change nothing. */
  contents(): Promise<string[]>
  close(): void
}

/** SQL, names of ours in the databases, and places in files. */
const INSIDE =
  /\b(select|insert|update|delete)\b.*\b(from|into|set)\b|shardgate[._]|tenant_id|pg_|\n\s+at |\.[tj]s:\d|node_modules/i

export function openCaller(world: World, gateway: Gateway, tenant: WorldTenant, ownToken: string): Caller {
  const probe = openProbe()

  async function send({ query, variables, token = ownToken, headers = {}, body }: Asked): Promise<Reply> {
    const reply = await probe.send({
      url: gateway.url,
      ...(token !== null && { token }),
      headers,
      body: body ?? { query, ...(variables !== undefined && { variables }) },
    })
    return reply!
  }

  return {
    send,
    async data(asked) {
      const { data, errors } = JSON.parse(String((await send(asked)).body))
      expect(errors).toBeUndefined()
      return data
    },
    async refused(asked, code) {
      const reply = await send(asked)
      const text = String(reply.body)
      const { data, errors } = JSON.parse(text)
      expect(
        errors?.map((error: { extensions: Json }) => error.extensions.code),
        text,
      ).toEqual([code])
      expect(Object.values(data ?? {}).filter((value) => value !== null)).toEqual([])
      expect(reply.status).toBeLessThan(500)
      expect(errors[0].message).toMatch(/^[A-Z"].{10,}$/s)
      expect(text).not.toMatch(INSIDE)
      expect(text.length).toBeLessThan(1_500)
      expect(world.scanner.scan(tenant.id, text)).toEqual([])
      return errors[0].message
    },
    contents: () => Promise.all(world.tenants.map((one) => world.contents(one))),
    close: () => probe.close(),
  }
}
