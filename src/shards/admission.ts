/**
 * Which shards and which of their tables are served.
 *
 * Every shard is surveyed before it serves anybody: its tables must be safe, and the same as everywhere or as the
 * directory says that migrations have left them. A table that is not safe on some shard at the start is in no API, and
 * the reason is told; one that becomes unsafe later is refused on that shard alone, until it is mended. A shard that
 * cannot be reached yet is surveyed when it can, and one that was refused when something has changed. Nothing is
 * served unseen.
 */

import type { Config } from '../base/config.ts'
import { fail, GatewayError, isGatewayError } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import { connectionHint } from '../db/connection-hint.ts'
import { withoutTables } from '../model/subset.ts'
import type { Model } from '../model/types.ts'
import { NOTHING_RECORDED, type Recorded } from './recorded.ts'
import type { Shard } from './shard.ts'
import { lookAtShared, type Seen as SeenTables } from './survey.ts'

/** Milliseconds between two tries to survey a shard that could not be reached. */
const AGAIN_MS = 1_000
/** Milliseconds between two looks at a shard that serves. A look costs it about 0.2 s of one backend. */
const LOOK_MS = 60_000

interface Seen extends SeenTables {
  readonly shard: Shard
  /** What the configuration names may be missing there. */
  readonly behind: boolean
}

export interface Admission {
  /** The tables that are served. */
  readonly model: Model
  /** The tables of each shard that serves, by its key. */
  readonly admitted: ReadonlyMap<string, Model>
  /** Call `tell` for each shard that is let in from now on. */
  onAdmitted(tell: (shard: string, model: Model) => void): void
  /** Look at a shard now. Gives the tables that are served; undefined for one that is not let in. */
  reconsider(shard: string): Promise<Model | undefined>
  /** Look at the shards that serve: called every minute. */
  lookAgain(): Promise<void>
  /** Stop looking. */
  end(): void
}

/**
 * Survey all shards and admit those that may serve.
 *
 * @param recorded  what the directory says of the places; default is nothing
 * @throws SETUP_FAILED    no shard can be reached, or none holds a table that can be served
 * @throws CONFIG_INVALID  the names of the tables clash in the API
 */
export async function admitShards(
  shards: readonly Shard[],
  config: Config,
  emit: Emit,
  recorded: Recorded = NOTHING_RECORDED,
): Promise<Admission> {
  const surveys = await lookAtAll(shards, config)
  const seen = surveys.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  // Whoever is as the migrations have left it says what is wanted of those of whom nothing is known.
  const first = seen.find((one) => isAsRecorded(one, config, recorded)) ?? seen.find(({ behind }) => !behind)
  if (!first) throw noShard(shards, surveys)
  for (const one of seen) refuseUnsafe(one, emit)
  const refused = new Set(seen.flatMap(({ shard }) => shard.refusedTables))
  const model = withoutTables(first.model, refused)
  if (model.tables.length === 0) fail('SETUP_FAILED', nothingToServe(first, refused.size, config))
  const judge = judgeOf({ config, emit, recorded, model, refused })
  for (const one of seen) judge.serve(one)
  const away = shards.filter((shard, i) => {
    const result = surveys[i]
    if (result?.status !== 'rejected') return false
    emit({ kind: 'shard.down', shard: shard.key, reason: reasonOf(result.reason) })
    return true
  })
  const lookAgain = async (): Promise<void> => void (await Promise.all(shards.map(judge.watch)))
  const timers = away.map((shard) => admitLater(shard, judge.consider))
  timers.push(setInterval(lookAgain, LOOK_MS).unref())
  const reconsider = async (key: string): Promise<Model | undefined> => {
    const shard = shards.find((one) => one.key === key)
    return shard && judge.consider(shard)
  }
  const { admitted, onAdmitted } = judge
  return { model, admitted, onAdmitted, reconsider, lookAgain, end: () => timers.forEach(clearInterval) }
}

interface Standard {
  readonly config: Config
  readonly emit: Emit
  readonly recorded: Recorded
  /** What is wanted of a shard of which nothing is known. */
  readonly model: Model
  /** Tables that were unsafe on some shard at the start. */
  readonly refused: ReadonlySet<string>
}

function judgeOf({ config, emit, recorded, model, refused }: Standard) {
  const admitted = new Map<string, Model>()
  /** Why shards are not served, as it was told. */
  const told = new Map<string, string>()
  let tell: (shard: string, model: Model) => void = () => {}

  function refuse({ shard }: Seen, reason: string): undefined {
    if (shard.state === 'admitted') shard.refuse()
    if (told.get(shard.key) !== reason) emit({ kind: 'shard.refused', shard: shard.key, reason })
    told.set(shard.key, reason)
  }

  /** A table that was served and has become unsafe is refused by name; one that comes unsafe is never served. */
  function tablesOf(seen: Seen): Model {
    const served = admitted.get(seen.shard.key) ?? model
    const before = new Set(served.tables.map(({ id }) => id))
    const unsafe = seen.shard.refusedTables.filter((id) => !before.has(id))
    return withoutTables(seen.model, new Set([...refused, ...unsafe]))
  }

  function whyNot(seen: Seen, tables: Model): string | undefined {
    if (tables.fingerprint === model.fingerprint || admitted.has(seen.shard.key)) return undefined
    if (isAsRecorded(seen, config, recorded) || recorded.has(seen.structure)) return undefined
    return 'its tables are not the same as those of the other shards'
  }

  function serve(seen: Seen): Model | undefined {
    refuseUnsafe(seen, emit)
    const tables = tablesOf(seen)
    const reason = faultOf(seen) ?? whyNot(seen, tables)
    if (reason !== undefined) return refuse(seen, reason)
    told.delete(seen.shard.key)
    if (seen.shard.state !== 'admitted') seen.shard.admit()
    admitted.set(seen.shard.key, tables)
    tell(seen.shard.key, tables)
    return tables
  }

  return {
    admitted,
    onAdmitted(listener: typeof tell): void {
      tell = listener
    },
    serve,
    consider: async (shard: Shard): Promise<Model | undefined> => serve(await look(shard, config, true)),
    /**
     * Take a shard, or single tables of it, out of service whose protections were taken away behind our back, and put
     * them back when they are mended. Other tables than before are no reason: a migration in progress looks like that.
     */
    async watch(shard: Shard): Promise<void> {
      const seen = await look(shard, config, true).catch(() => undefined)
      if (!seen) return // A shard that is away is the breaker's business.
      if (!admitted.has(shard.key)) return void serve(seen)
      refuseUnsafe(seen, emit)
      const fault = faultOf(seen)
      if (fault !== undefined) return refuse(seen, fault)
      told.delete(shard.key)
      if (shard.state !== 'admitted') shard.admit()
    },
  }
}

/** Look at all; one that only lacks what the configuration names may be behind the others. */
async function lookAtAll(shards: readonly Shard[], config: Config): Promise<PromiseSettledResult<Seen>[]> {
  const surveys = await Promise.allSettled(shards.map((shard) => look(shard, config, false)))
  if (!surveys.some(({ status }) => status === 'fulfilled')) return surveys
  const again = surveys.map(async (result, i) => {
    if (result.status === 'fulfilled') return result.value
    if (!isGatewayError(result.reason, 'CONFIG_INVALID')) throw result.reason
    return look(shards[i]!, config, true)
  })
  return Promise.allSettled(again)
}

async function look(shard: Shard, config: Config, behind: boolean): Promise<Seen> {
  return { ...(await lookAtShared(shard, config, behind)), shard, behind }
}

/** Whether the tables are what the directory says that the migrations have made. */
function isAsRecorded({ shard, structure }: Seen, { tenancy }: Config, recorded: Recorded): boolean {
  const [namespace = ''] = tenancy.schemas
  return recorded.of({ shard: shard.key, isolation: 'shared', namespace }) === structure
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

/** What of the shard itself is unsafe; or that it is another shard. */
function faultOf({ unsafe, shard, id }: Seen): string | undefined {
  if (id !== shard.id) return shard.strangerReason(id)
  return unsafe.find(({ table }) => table === undefined)?.reason
}

function admitLater(shard: Shard, consider: (shard: Shard) => Promise<unknown>): NodeJS.Timeout {
  let looking = false
  const timer = setInterval(async () => {
    if (looking) return
    looking = true
    await consider(shard).then(
      () => clearInterval(timer),
      () => {},
    )
    looking = false
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
