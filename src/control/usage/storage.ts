/**
 * Measuring what tenants hold on the shards, for the ledger: `usage measure`, at once or as a job of the queue by a schedule.
 * Safe to repeat, and for several at once.
 */

import { once } from 'node:events'
import { isGatewayError } from '../../base/errors.ts'
import { everyTenant, type TenantRecord } from '../../directory/tenants.ts'
import { setStorage } from '../../directory/usage.ts'
import { openQueue } from '../jobs/queue.ts'
import { keepRounds, type Round } from '../jobs/rounds.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { measureTenants } from '../tenant-sizes.ts'

export interface MeasuredShard {
  readonly shard: string
  readonly tenants: number
  readonly bytes: number
  /** Why its tenants were not all measured; what is known of the others stays as it was. */
  readonly error?: string
}

/** Tenants that are measured before they are written down. */
const PAGE = 200

/**
 * Measure all tenants that have a home, and write it down. A shard that is away is left out.
 *
 * @param told  called with how many have been measured, of how many
 * @throws DIRECTORY_UNAVAILABLE
 */
export async function measureStorage(
  fleet: Fleet,
  told: (done: number, total: number) => void = () => {},
): Promise<MeasuredShard[]> {
  const tenants = await onDirectory(fleet.directoryUrl, everyTenant)
  const housed = tenants.filter(({ state }) => state !== 'creating' && state !== 'purging')
  let done = 0
  const measured: MeasuredShard[] = []
  for (const [shard, own] of Map.groupBy(housed, (tenant) => tenant.shard)) {
    measured.push(await measureShard(fleet, shard, own, () => told(++done, housed.length)))
  }
  return measured.sort((a, b) => (a.shard < b.shard ? -1 : 1))
}

export interface MeasureSchedule {
  /** When it is due, in UTC: '17 3 * * *'. */
  readonly cron: string
  /** Called with what each run has found. */
  readonly told: (shards: readonly MeasuredShard[]) => void
  /** Ends it. */
  readonly stop: AbortSignal
}

/**
 * Measure by a schedule until `stop`. Of several processes that do so one measures each time, and another one where that one
 * is killed meanwhile.
 *
 * @throws SETUP_FAILED    the directory has no queue
 * @throws CONFIG_INVALID  the schedule is none
 */
export async function measureBySchedule(fleet: Fleet, { cron, told, stop }: MeasureSchedule): Promise<void> {
  // What it meets is met again in the next run; the days of kept jobs are those of gateways.
  const queue = await openQueue({ url: fleet.directoryUrl, keeps: true, keepDays: 1, emit: () => {} })
  const round: Round = {
    name: STORAGE,
    schedule: { cron },
    run: async () => told(await measureStorage(fleet)),
  }
  try {
    await keepRounds(queue, [round])
    if (!stop.aborted) await once(stop, 'abort')
  } finally {
    await queue.end()
  }
}

/** Name of its round. */
export const STORAGE = 'usage-storage'

async function measureShard(
  fleet: Fleet,
  shard: string,
  own: readonly TenantRecord[],
  told: () => void,
): Promise<MeasuredShard> {
  let [tenants, bytes] = [0, 0]
  try {
    for (let at = 0; at < own.length; at += PAGE) {
      const page = own.slice(at, at + PAGE)
      const sizes = await measureTenants(fleet, page, told)
      const found = page.map(({ id, isolation }) => ({ tenant: id, isolation, tables: sizes.get(id) ?? [] }))
      await onDirectory(fleet.directoryUrl, (directory) => setStorage(directory, found))
      tenants += page.length
      for (const { tables } of found) bytes += tables.reduce((sum, table) => sum + table.bytes, 0)
    }
    return { shard, tenants, bytes }
  } catch (error) {
    if (!isGatewayError(error, 'SHARD_UNAVAILABLE')) throw error
    return { shard, tenants, bytes, error: error.message }
  }
}
