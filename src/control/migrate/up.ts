/**
 * `migrate up`: the files of a folder on every target of the fleet.
 *
 *     directory: which targets lack anything ──▶ their books ──▶ canary, alone ──▶ the others, some at once
 *
 * Nothing is begun before every book has been read: a file that was changed after it was applied anywhere stops the
 * run before it changes anything. Each target's own book is the truth, so a run that was killed is gone on with by
 * running it again. A second run at the same time is refused by a lock of the directory, which ends with its session.
 */

import { fail, isGatewayError } from '../../base/errors.ts'
import { tenantId } from '../../base/ids.ts'
import type { Client, Queryable } from '../../db/client.ts'
import { appendAudit } from '../../directory/audit.ts'
import { listTargets, recordTargetError, type Target, targetName } from '../../directory/targets.ts'
import { requireNoMoves } from '../move/open-moves.ts'
import { DEFAULT_TENANCY, type Fleet, onDirectory, onHome, reasonOf } from '../reach.ts'
import type { ApplyWays } from './apply.ts'
import { type Canary, canaryText, chooseCanary, requireCanary } from './canary.ts'
import { readMigrations } from './files.ts'
import { inLanes } from './lanes.ts'
import { askTargets, missingByDigest, type Pending, requireContinued } from './pending.ts'
import { type Cut, cutOf } from './phases.ts'
import { type OpenDoor, rowsOf } from './rows.ts'
import { alone } from './runner.ts'
import { migrateTarget } from './target.ts'

export interface UpOptions {
  /** Targets at once; default 4. */
  readonly parallel?: number
  /** A tenant with a home of its own, or a shard for its shared schema. */
  readonly canary?: string
  /** What becomes of the other targets when one fails; default is 'stop'. The canary always stops the run. */
  readonly onFailure?: 'stop' | 'continue'
  /** Run the next file that removes what gateways may use. */
  readonly contract?: boolean
  /** Keys of shards and ids of tenants: only targets that are on, or of, one of them. */
  readonly only?: readonly string[]
  /** Opens the door to tenants' rows, for migrations of rows. */
  readonly door?: OpenDoor
  /** Wait for another run to end, where one would be refused. */
  readonly takeTurns?: boolean
  readonly ways?: Pick<ApplyWays, 'lockMs' | 'patienceMs'>
  readonly report?: UpReport
}

export interface UpReport {
  /** What is going to be done. */
  begins?(what: { readonly targets: number; readonly of: number; readonly canary: string | null }): void
  done?(result: TargetResult): void
  /** What a target waits for or counts at the moment. */
  tells?(sentence: string): void
}

export interface TargetResult {
  readonly target: string
  readonly shard: string
  readonly isolation: Target['isolation']
  readonly namespace: string
  readonly tenant: string | null
  /** Files that were applied now. */
  readonly applied: readonly string[]
  readonly ms: number
  /** One sentence, or several lines; null when all went well. */
  readonly error: string | null
}

export interface UpResult {
  /** Targets that were looked at. */
  readonly targets: number
  readonly canary: string | null
  /** Targets that were worked on, in the order in which they ended. */
  readonly results: readonly TargetResult[]
  /** Targets that lack files and were not begun, because another one had failed. */
  readonly left: readonly string[]
  /** Files that wait for --contract. */
  readonly held: readonly string[]
  readonly ms: number
}

/** Targets of one shard at once: each keeps a backend busy, and requests want some too. */
const PER_SHARD = 4

/**
 * Migrate the fleet. What fails on a target is in the result, and in the directory.
 *
 * @throws SETUP_FAILED           a file is wrong, or was changed after it was applied; nothing was changed anywhere
 * @throws TENANT_BUSY            tenants are on their way, or could still go back; nothing was changed anywhere
 * @throws REFUSED                another run is under way; the canary or `only` name no target; a file that contracts
 *                                has to wait; the folder lacks files that a target has, and has others for it
 * @throws DIRECTORY_UNAVAILABLE  the directory cannot be reached
 */
export async function migrateFleet(fleet: Fleet, options: UpOptions = {}): Promise<UpResult> {
  const started = performance.now()
  const { migrations: folder = fail('SETUP_FAILED', 'There is no folder of migrations.') } = fleet
  const files = readMigrations(folder)
  const byDigest = missingByDigest(files)
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const all = await listTargets(directory)
    const meant = onlyOf(all, options.only)
    if (options.canary !== undefined) requireCanary(all, options.canary)
    const lacking = (targets: readonly Target[]): Target[] =>
      targets.filter((target) => byDigest(target)?.length !== 0)
    const nothing = { targets: meant.length, canary: null, results: [], left: [], held: [] }
    const done = (result: Omit<UpResult, 'ms'>): UpResult => ({ ...result, ms: performance.now() - started })
    if (lacking(meant).length === 0) return done(nothing)
    return alone(directory, options.takeTurns ?? false, async () => {
      await requireNoMoves(directory)
      const run = new Run(fleet, directory, options)
      const tried = new Set<string>()
      // Tenants whose homes are made meanwhile are born as their shard was then: they come in another round.
      for (let goes = true; goes; ) {
        const targets = await listTargets(directory)
        const pending = await askTargets(fleet, lacking(targets), files)
        const phases = { files, lacking: pending, someHaveAll: pending.length < targets.length }
        const isMeant = new Set(onlyOf(targets, options.only))
        const mine = pending.filter(({ target }) => isMeant.has(target) && !tried.has(targetName(target)))
        requireContinued(mine)
        const contract = options.contract && tried.size === 0
        for (const { target } of mine) tried.add(targetName(target))
        goes = mine.length > 0 && (await run.round(mine, cutOf(phases, contract), meant.length))
      }
      return done({ ...nothing, ...run.result })
    })
  })
}

class Run {
  readonly #fleet: Fleet
  readonly #directory: Client
  readonly #asking: Queryable
  readonly #options: UpOptions
  readonly #results: TargetResult[] = []
  #canary: Canary | null = null
  #left: readonly Pending[] = []
  #held: readonly string[] = []

  constructor(fleet: Fleet, directory: Client, options: UpOptions) {
    this.#fleet = fleet
    this.#directory = directory
    this.#asking = oneAtATime(directory)
    this.#options = options
  }

  get result(): Pick<UpResult, 'canary' | 'results' | 'left' | 'held'> {
    return {
      canary: this.#canary && canaryText(this.#canary),
      results: this.#results,
      left: this.#left.map(({ target }) => targetName(target)),
      held: [...new Set(this.#held)],
    }
  }

  /** Run what `cut` leaves of each target's missing files. False when the run has come to its end. */
  async round(pending: readonly Pending[], cut: Cut, of: number): Promise<boolean> {
    const { report = {}, canary: wanted, parallel = 4, onFailure = 'stop' } = this.#options
    const isFirst = this.#results.length === 0
    this.#held = [
      ...this.#held,
      ...pending.flatMap(({ missing }) => missing[cut(missing).length]?.file ?? []),
    ]
    // What lacks nothing that is run now has only to be written down, or has nothing to do at all.
    const work = pending
      .filter(({ missing }) => missing.length === 0 || cut(missing).length > 0)
      .map((one) => ({ ...one, missing: cut(one.missing) }))
    const candidates = work.filter(({ missing }) => missing.length > 0)
    if (isFirst && candidates.length > 0) this.#canary = chooseCanary(candidates, wanted)
    const first = isFirst ? this.#canary : null
    if (work.length > 0) report.begins?.({ targets: work.length, of, canary: first && canaryText(first) })
    if (candidates.length > 0) await this.#tell('begun', { targets: work.length })
    const rest = work.filter((one) => one !== first?.pending)
    const limits = { total: parallel, perGroup: PER_SHARD, groupOf: ({ target }: Pending) => target.shard }
    const goes = first === null || (await this.#one(first.pending))
    this.#left = goes
      ? await inLanes(rest, limits, async (one) => (await this.#one(one)) || onFailure === 'continue')
      : rest
    if (candidates.length > 0) await this.#tell('ended', { ...this.#counts(), left: this.#left.length })
    return goes && this.#left.length === 0
  }

  #counts(): { done: number; failed: number } {
    const failed = this.#results.filter(({ error }) => error !== null).length
    return { done: this.#results.length - failed, failed }
  }

  #tell(event: string, details: object): Promise<void> {
    const { operator = 'unknown' } = this.#fleet
    const entry = { operator, action: `migrate up ${event}`, tenant: null, details }
    return this.#directory.transaction((directory) => appendAudit(directory, entry))
  }

  /** False when it has failed. */
  async #one(pending: Pending): Promise<boolean> {
    const started = performance.now()
    const { target } = pending
    const { shard, isolation, namespace, tenant } = target
    const applied: string[] = []
    let error: string | null = null
    try {
      const unsafe = await this.#apply(pending, applied)
      if (unsafe.length > 0) error = unsafe.join('\n')
    } catch (cause) {
      error = sentenceOf(cause)
    }
    // A directory that is away says so itself, and the next run finds in the book what was done.
    if (error !== null) await recordTargetError(this.#asking, target, error).catch(() => {})
    const place = { target: targetName(target), shard, isolation, namespace, tenant }
    const result = { ...place, applied, ms: performance.now() - started, error }
    this.#results.push(result)
    this.#options.report?.done?.(result)
    return error === null
  }

  async #apply({ target, missing, unreachable }: Pending, applied: string[]): Promise<readonly string[]> {
    const shard = this.#fleet.shards.find(({ key }) => key === target.shard)
    if (!shard) return fail('SHARD_UNKNOWN', `${unreachable}.`)
    const { tenancy = DEFAULT_TENANCY, failpoints } = this.#fleet
    const { ways, report, door } = this.#options
    const name = targetName(target)
    const { unsafe } = await onHome(shard, target, (client) =>
      migrateTarget(this.#asking, client, target, missing, {
        ...ways,
        tenancy,
        rows: rowsOf({
          fleet: this.#fleet,
          directory: this.#asking,
          client,
          target,
          door,
          tells: report?.tells,
        }),
        waiting: (file, tries) => report?.tells?.(`${name} waits for locks, ${file}, try ${tries}`),
        kept: (file) => applied.push(file),
        ...(failpoints && { failpoints }),
      }),
    )
    return unsafe
  }
}

function sentenceOf(cause: unknown): string {
  if (!isGatewayError(cause)) return `${reasonOf(cause)}.`.replace(/\.\.$/, '.')
  return cause.message
}

function onlyOf(targets: readonly Target[], only: readonly string[] = []): readonly Target[] {
  if (only.length === 0) return targets
  for (const name of only) {
    if (targets.some(({ shard }) => shard === name)) continue
    const tenant = tenantId(name)
    if (targets.some((target) => target.tenant === tenant)) continue
    fail(
      'REFUSED',
      `${name} is no shard of the directory and no tenant with a home of its own.`,
      {},
      {
        hint: 'A tenant in shared tables is migrated with its shard.',
      },
    )
  }
  return targets.filter(
    ({ shard, tenant }) => only.includes(shard) || (tenant !== null && only.includes(tenant)),
  )
}

/** A connection that several at once may ask; each statement waits for those before it. */
function oneAtATime(client: Client): Queryable {
  let last: Promise<unknown> = Promise.resolve()
  return {
    query(statement) {
      const next = last.then(() => client.query(statement))
      last = next.catch(() => {})
      return next as never
    },
  }
}
