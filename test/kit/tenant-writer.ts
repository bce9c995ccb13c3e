/** A client that writes for a tenant without a pause, and holds in the end what is there against what it was promised. */

import { isGatewayError } from '../../src/base/errors.ts'
import type { TenantId } from '../../src/base/ids.ts'
import type { WorldDoor } from './door.ts'

export interface TenantWriter {
  /**
   * Stop, write once more, and count. Once is enough.
   *
   * @throws  a write was lost, is there and was refused, or the tenant cannot be written at once
   */
  end(): Promise<void>
}

const INSERT = `insert into "app".labels (tenant_id, task_id, word) values ($1, 1, $2)`
const FOUND = `select word from "app".labels where tenant_id = $1 and word like 'written %'`
const REMOVE = `delete from "app".labels where tenant_id = $1 and word like 'written %'`

/** Answers after which a write may be there. */
const UNSURE = ['OUTCOME_UNKNOWN', 'TIMEOUT', 'SHARD_UNAVAILABLE', 'INTERNAL_SERVER_ERROR']

export function tenantWriter(gate: WorldDoor, tenant: TenantId): TenantWriter {
  const [acknowledged, unsure] = [new Set<string>(), new Set<string>()]
  let [count, isEnding] = [0, false]
  async function write(): Promise<void> {
    const word = `written ${++count}`
    await gate.ask(tenant, INSERT, [tenant, word], 'write')
    acknowledged.add(word)
  }
  async function work(): Promise<void> {
    while (!isEnding) {
      await write().catch((error: unknown) => {
        if (!isGatewayError(error) || UNSURE.includes(error.code)) unsure.add(`written ${count}`)
      })
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  const working = work()
  async function end(): Promise<void> {
    isEnding = true
    await working
    await write()
    const rows = await gate.ask(tenant, FOUND, [tenant])
    const found = new Set(rows.map(([word]) => word ?? ''))
    const lost = [...acknowledged].filter((word) => !found.has(word))
    const unknown = [...found].filter((word) => !acknowledged.has(word) && !unsure.has(word))
    await gate.ask(tenant, REMOVE, [tenant], 'write')
    if (lost.length > 0 || unknown.length > 0)
      throw new Error(
        `Of ${count} writes ${lost.join()} are lost; ${unknown.join()} are there and were refused.`,
      )
  }
  let ended: Promise<void> | undefined
  return {
    end: () => {
      ended ??= end()
      return ended
    },
  }
}
