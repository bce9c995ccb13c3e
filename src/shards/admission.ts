/**
 * Which shards and which of their tables are served.
 *
 * Every shard is surveyed before it serves anybody: its tables must be the same as everywhere, and safe.
 * A table that is not safe on some shard at the start is in no API, and the reason is told; one that becomes
 * unsafe later is refused on that shard alone, until it is mended. A shard that cannot be reached yet is surveyed
 * when it can. Nothing is served unseen.
 */

import type { Config } from '../base/config.ts'
import { fail, GatewayError } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import { withClient } from '../db/client.ts'
import { connectionHint } from '../db/connection-hint.ts'
import { type Survey, survey } from '../model/introspect.ts'
import { checkSafety, type Finding } from '../model/safety.ts'
import { withoutTables } from '../model/subset.ts'
import type { Model } from '../model/types.ts'
import type { Shard } from './shard.ts'

/** Milliseconds between two tries to survey a shard that could not be reached. */
const AGAIN_MS = 1_000
/** Milliseconds between two looks at a shard that serves. A look costs it about 0.2 s of one backend. */
const LOOK_MS = 60_000

interface Seen extends Survey {
  readonly shard: Shard
  /** The id that the database says it has. */
  readonly id: string | null | undefined
  readonly unsafe: readonly Finding[]
}

export interface Admission {
  /** The tables that are served. */
  readonly model: Model
  /** Look at the shards that serve: called every minute. */
  lookAgain(): Promise<void>
  /** Stop looking. */
  end(): void
}

/**
 * Survey all shards and admit those that may serve.
 *
 * @throws SETUP_FAILED    no shard can be reached, or none holds a table that can be served
 * @throws CONFIG_INVALID  the names of the tables clash in the API
 */
export async function admitShards(shards: readonly Shard[], config: Config, emit: Emit): Promise<Admission> {
  const surveys = await Promise.allSettled(shards.map((shard) => look(shard, config)))
  const seen = surveys.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const [first] = seen
  if (!first) throw noShard(shards, surveys)
  for (const one of seen) refuseUnsafe(one, emit)
  const refused = new Set(seen.flatMap(({ shard }) => shard.refusedTables))
  const model = withoutTables(first.model, refused)
  if (model.tables.length === 0) fail('SETUP_FAILED', nothingToServe(first, refused.size, config))
  for (const one of seen) admit(one, model, refused, emit)
  const away = shards.filter((shard, i) => {
    const result = surveys[i]
    if (result?.status !== 'rejected') return false
    emit({ kind: 'shard.down', shard: shard.key, reason: reasonOf(result.reason) })
    return true
  })
  const lookAgain = (): Promise<void> => watchSafety(shards, config, emit)
  const timers = away.map((shard) => admitLater(shard, config, model, refused, emit))
  timers.push(setInterval(lookAgain, LOOK_MS).unref())
  return { model, lookAgain, end: () => timers.forEach(clearInterval) }
}

/**
 * Take shards, or single tables of theirs, out of service whose protections were taken away behind our back, and
 * put them back when they are mended. Other tables than at the start are no reason: a migration in progress
 * looks like that.
 */
async function watchSafety(shards: readonly Shard[], config: Config, emit: Emit): Promise<void> {
  const judge = async (shard: Shard): Promise<void> => {
    const seen = await look(shard, config).catch(() => undefined)
    if (!seen || shard.state === 'unseen') return // A shard that is away is the breaker's business.
    refuseUnsafe(seen, emit)
    const fault = faultOf(seen)
    if (fault === undefined && shard.state === 'refused') shard.admit()
    if (fault === undefined || shard.state === 'refused') return
    shard.refuse()
    emit({ kind: 'shard.refused', shard: shard.key, reason: fault })
  }
  await Promise.all(shards.map(judge))
}

async function look(shard: Shard, config: Config): Promise<Seen> {
  return withClient(
    shard.url,
    async (client) => {
      const { column, schemas, global } = config.tenancy
      const found = await survey(client, config.tenancy)
      const [me] = await client.query('select current_user as role, id from shardgate.identity')
      const findings = await checkSafety(client, { column, schemas, global, appRole: me?.role ?? '' })
      return { ...found, shard, id: me?.id, unsafe: findings.filter(({ severity }) => severity === 'unsafe') }
    },
    { connectMs: shard.connectMs },
  )
}

/** Refuse the tables that are unsafe on their shard, and tell what has changed; once for every reason. */
function refuseUnsafe({ shard, unsafe }: Seen, emit: Emit): void {
  const before = new Set(shard.refusedTables)
  shard.refuseTables(unsafe.flatMap(({ table }) => table ?? []))
  for (const { table, reason } of unsafe) {
    if (table === undefined || before.has(table)) continue
    emit({ kind: 'table.refused', shard: shard.key, table, reason })
  }
  for (const table of before) {
    if (!shard.refusedTables.includes(table)) emit({ kind: 'table.served', shard: shard.key, table })
  }
}

/** Admit a shard whose tables are those of `model`; otherwise say why not. */
function admit(seen: Seen, model: Model, refused: ReadonlySet<string>, emit: Emit): void {
  const reason = whyNot(seen, model, refused)
  if (reason === undefined) seen.shard.admit()
  else emit({ kind: 'shard.refused', shard: seen.shard.key, reason })
}

function whyNot(seen: Seen, model: Model, refused: ReadonlySet<string>): string | undefined {
  const fault = faultOf(seen)
  if (fault !== undefined) return fault
  if (withoutTables(seen.model, refused).fingerprint === model.fingerprint) return undefined
  return 'its tables are not the same as those of the other shards'
}

/** What of the shard itself is unsafe; or that it is another shard. */
function faultOf({ unsafe, shard, id }: Seen): string | undefined {
  if (id !== shard.id) return shard.strangerReason(id)
  return unsafe.find(({ table }) => table === undefined)?.reason
}

function admitLater(
  shard: Shard,
  config: Config,
  model: Model,
  refused: ReadonlySet<string>,
  emit: Emit,
): NodeJS.Timeout {
  let looking = false
  const timer = setInterval(async () => {
    if (looking) return
    looking = true
    const seen = await look(shard, config).catch(() => undefined)
    looking = false
    if (!seen) return
    clearInterval(timer)
    refuseUnsafe(seen, emit)
    admit(seen, model, refused, emit)
  }, AGAIN_MS)
  return timer.unref()
}

function noShard(shards: readonly Shard[], surveys: readonly PromiseSettledResult<Seen>[]): unknown {
  const reasons = surveys.map((result) => (result.status === 'rejected' ? result.reason : undefined))
  const gateway = reasons.find((reason) => reason?.code === 'CONFIG_INVALID')
  if (gateway) return gateway
  const lines = shards.map(({ key, url }, i) => {
    const hint = connectionHint(reasons[i], url)
    return `  ${key}: ${reasonOf(reasons[i])}.${hint === undefined ? '' : ` ${hint}`}`
  })
  return new GatewayError('SETUP_FAILED', `No shard can be reached:\n${lines.join('\n')}`)
}

function nothingToServe({ leftOut }: Seen, refused: number, { tenancy }: Config): string {
  const schemas = tenancy.schemas.join(', ')
  if (refused > 0)
    return `All ${refused} tables in ${schemas} are unsafe to serve. "shardgate doctor" says why.`
  const reasons = leftOut.map(({ id, reason }) => `\n  ${id}: ${reason}`)
  return `There is no table to serve in ${schemas}: wanted tables with the column ${tenancy.column}. "shardgate doctor" says where there may be some.${reasons.join('')}`
}

// Node's error for a host with several addresses has only a code.
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message || String((error as NodeJS.ErrnoException).code ?? error.name)
}
