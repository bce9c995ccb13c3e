/**
 * Which tables each tenant has: a shape is the model of one place or of many that are alike.
 *
 *     placement ─▶ served before?  ─▶ its shape                                   one look-up
 *                  └─▶ structure, as the directory has it, known? ─▶ its shape
 *                      └─▶ a look at the place: tables, safety ─▶ its shape       once, shared by all who wait
 *
 * While a migration is on its way, places differ. A place whose structure changes in the directory is looked at in
 * the background and served as it was until that is done. A gateway may be late: a statement that fails because its
 * tables have changed makes it look at once (`renewed`). A place that is new in the directory is looked at before
 * anybody asks, where its structure is new as well: a tenant may be on its way there. Nothing of one tenant is in a shape, only names of tables.
 */

import { LRUCache } from 'lru-cache'
import type { Config } from '../base/config.ts'
import { fail, GatewayError, isGatewayError } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import type { TenantId } from '../base/ids.ts'
import { type Clock, type Deadline, systemClock } from '../base/time.ts'
import type { RecordedTarget } from '../directory/structures.ts'
import type { TargetKey } from '../directory/targets.ts'
import type { Placement } from '../directory/types.ts'
import { wholeFingerprintOf } from '../model/fingerprint.ts'
import { withoutTables } from '../model/subset.ts'
import type { Model } from '../model/types.ts'
import type { Admission } from './admission.ts'
import { explain } from './failures.ts'
import { inTurns } from './in-turns.ts'
import { placeKey, type Recorded } from './recorded.ts'
import type { Shard } from './shard.ts'
import { lookAt, type Seen } from './survey.ts'

export interface Shape {
  /** Equal for equal models, down to what no client sees. */
  readonly id: string
  readonly model: Model
}

export interface Shapes {
  /** That of the tables that the start has found. */
  readonly main: Shape
  /**
   * The shape of a tenant's tables; at once where it is known.
   *
   * @throws SHARD_UNAVAILABLE  it is not known and its place cannot be looked at, or is not safe
   * @throws TIMEOUT            it was not known by the deadline
   */
  of(placement: Placement, deadline: Deadline): Shape | Promise<Shape>
  /** Look at the tables anew, because a statement that was made for `used` has failed as if they had changed. Throws as `of`. */
  renewed(placement: Placement, used: Shape, deadline: Deadline): Promise<Shape>
  /** Tell nothing more: a look that is under way fails when its server is stopped, which is no fault of the place. */
  end(): void
}

export interface ShapesOptions {
  readonly shards: ReadonlyMap<string, Shard>
  readonly config: () => Config
  readonly recorded: Recorded
  readonly admission: Pick<Admission, 'model' | 'admitted' | 'onAdmitted' | 'reconsider'>
  /** Called before a shape is served for the first time; what it throws keeps the shape from being served. */
  readonly prepare: (shape: Shape) => void
  readonly emit: Emit
  readonly clock?: Clock
}

/** Places of tenants' own that are known at once; those that nobody has asked for the longest are forgotten. */
const PLACES_MAX = 5_000
/** Structures whose shape is known. */
const STRUCTURES_MAX = 100
/** Looks at places at a time. One takes some 0.3 s of a backend. */
const LOOKS_MAX = 2
/** Milliseconds after a look that failed or found nothing new during which nobody looks there again. */
const PAUSE_MS = 1_000

interface Served {
  readonly shape: Shape
  /** As the directory had it when the shape was found. */
  readonly structure: string | null
}

type Place = TargetKey & { readonly tenant: TenantId | null }

/** @throws what `prepare` throws for the tables that all shards have */
export function openShapes(options: ShapesOptions): Shapes {
  return new OpenShapes(options)
}

class OpenShapes implements Shapes {
  readonly main: Shape
  readonly #options: ShapesOptions
  readonly #clock: Clock
  /** Equal shapes are one object, so that they share one API. */
  readonly #known = new LRUCache<string, Shape>({ max: STRUCTURES_MAX })
  readonly #shared = new Map<string, Served>()
  readonly #own = new LRUCache<string, Served & { readonly place: Place }>({ max: PLACES_MAX })
  readonly #byStructure = new LRUCache<string, Shape>({ max: STRUCTURES_MAX })
  readonly #looks = new Map<string, Promise<Shape>>()
  readonly #failed = new LRUCache<string, { readonly error: unknown; readonly at: number }>({
    max: PLACES_MAX,
  })
  readonly #fruitless = new LRUCache<string, number>({ max: PLACES_MAX })
  readonly #inTurn = inTurns(LOOKS_MAX)
  #emit: Emit

  constructor(options: ShapesOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#emit = options.emit
    const { admission, recorded } = options
    this.main = this.#shapeOf(admission.model)
    for (const [shard, model] of admission.admitted) this.#serveShared(shard, model)
    admission.onAdmitted((shard, model) => this.#serveShared(shard, model))
    recorded.onRead((place, isChange) => {
      this.#follow(place)
      if (isChange) this.#getReady(place)
    })
  }

  of(placement: Placement, deadline: Deadline): Shape | Promise<Shape> {
    if (placement.isolation === 'shared') return this.#shared.get(placement.shard)?.shape ?? this.main
    const known = this.#own.get(placeKey(placement))?.shape ?? this.#alike(placement)
    return known ?? inTime(this.#lookOnce(placement, true), deadline)
  }

  async renewed(placement: Placement, used: Shape, deadline: Deadline): Promise<Shape> {
    const now = await this.of(placement, deadline)
    const key = placeKey(placement)
    if (now !== used || this.#isPaused(this.#fruitless.get(key))) return now
    // A look that is on its way may have begun before the tables changed; the next one has not.
    const running = this.#looks.get(key)
    const found = running ? await inTime(running, deadline) : used
    const fresh = found === used ? await inTime(this.#lookOnce(placement), deadline) : found
    if (fresh === used) this.#fruitless.set(key, this.#clock.elapsed())
    return fresh
  }

  end(): void {
    this.#emit = () => {}
  }

  /** What the directory says of a place has been read: one that is served otherwise is looked at in the background. */
  #follow(target: TargetKey): void {
    const structure = this.#options.recorded.of(target)
    if (target.isolation === 'shared') {
      const served = this.#shared.get(target.shard)
      if (served?.structure === structure) return
      if (served) this.#lookOnce({ ...target, tenant: null }).catch(() => {})
      else this.#options.admission.reconsider(target.shard)
      return
    }
    const served = this.#own.peek(placeKey(target))
    if (!served || served.structure === structure || this.#alike(served.place)) return
    this.#lookOnce(served.place).catch(() => {})
  }

  /** Look at a place that nobody has asked for yet. One at a time: those that somebody waits for come first. */
  #getReady({ structure, ...place }: RecordedTarget): void {
    if (place.isolation === 'shared' || structure === null || this.#looks.size > 0) return
    if (this.#own.has(placeKey(place)) || this.#byStructure.has(`${place.isolation} ${structure}`)) return
    this.#lookOnce(place).catch(() => {})
  }

  /** The shape of another place of the same structure. */
  #alike({ shard, isolation, namespace, tenant }: Place): Shape | undefined {
    const place = { shard, isolation, namespace, tenant }
    const structure = this.#options.recorded.of(place)
    const shape = structure === null ? undefined : this.#byStructure.get(`${isolation} ${structure}`)
    if (shape) this.#own.set(placeKey(place), { shape, structure, place })
    return shape
  }

  /**
   * @param mayBeAlike  whether it is enough that the directory says that the place is as another one
   * @throws SHARD_UNAVAILABLE  also for a moment after it was thrown the last time
   */
  #lookOnce({ shard, isolation, namespace, tenant }: Place, mayBeAlike = false): Promise<Shape> {
    const place = { shard, isolation, namespace, tenant }
    const key = placeKey(place)
    const failed = this.#failed.get(key)
    if (failed && this.#isPaused(failed.at)) return Promise.reject(failed.error)
    const running = this.#looks.get(key)
    if (running) return running
    const look = (mayBeAlike ? this.#alikeOrLook(place) : this.#inTurn(() => this.#look(place))).finally(() =>
      this.#looks.delete(key),
    )
    this.#looks.set(key, look)
    return look
  }

  async #alikeOrLook(place: Place): Promise<Shape> {
    await this.#options.recorded.lookFor(place)
    return this.#alike(place) ?? this.#inTurn(() => this.#look(place))
  }

  async #look(place: Place): Promise<Shape> {
    const key = placeKey(place)
    try {
      const structure = this.#options.recorded.of(place)
      if (place.isolation === 'shared') {
        const model = await this.#options.admission.reconsider(place.shard)
        if (!model) return this.main
        const before = this.#shared.get(place.shard)?.shape
        const shape = this.#serveShared(place.shard, model, structure)
        if (shape !== before) this.#tell(place, shape)
        return shape
      }
      const { model, structure: real } = await this.#seen(place)
      const shape = this.#shapeOf(model)
      if (this.#own.peek(key)?.shape !== shape) this.#tell(place, shape)
      this.#own.set(key, { shape, structure, place })
      this.#byStructure.set(`${place.isolation} ${real}`, shape)
      this.#failed.delete(key)
      return shape
    } catch (cause) {
      const error = refusal(cause)
      this.#failed.set(key, { error, at: this.#clock.elapsed() })
      this.#refuse(place, reasonOf(cause))
      throw error
    }
  }

  async #seen(place: Place): Promise<Pick<Seen, 'model' | 'structure'>> {
    const shard = this.#options.shards.get(place.shard)
    if (!shard?.available) fail('SHARD_UNAVAILABLE', 'The shard of the tenant is not served now.')
    const seen = await lookAt(shard, place, this.#options.config())
    if (seen.id !== shard.id) fail('SHARD_UNAVAILABLE', `${shard.strangerReason(seen.id)}.`)
    const whole = seen.unsafe.find(({ table }) => table === undefined)
    if (whole) fail('SHARD_UNAVAILABLE', whole.reason)
    const refused = new Set(seen.unsafe.flatMap(({ table }) => table ?? []))
    for (const { table, reason } of seen.unsafe) this.#refuse(place, `${table}: ${reason}`)
    const model = withoutTables(seen.model, refused)
    if (model.tables.length === 0) fail('SHARD_UNAVAILABLE', 'it has no table that can be served')
    return { model, structure: seen.structure }
  }

  #tell({ shard, namespace }: Place, { id, model }: Shape): void {
    const [shape, tables] = [id.slice(0, 12), model.tables.length]
    this.#emit({ kind: 'place.served', shard, namespace, shape, tables })
  }

  #refuse({ shard, namespace }: Place, reason: string): void {
    this.#emit({ kind: 'place.refused', shard, namespace, reason })
  }

  #serveShared(shard: string, model: Model, structure = this.#recordOf(shard)): Shape {
    const shape = this.#shapeOf(model)
    this.#shared.set(shard, { shape, structure })
    return shape
  }

  #recordOf(shard: string): string | null {
    const [namespace = ''] = this.#options.config().tenancy.schemas
    return this.#options.recorded.of({ shard, isolation: 'shared', namespace })
  }

  #shapeOf(model: Model): Shape {
    const id = wholeFingerprintOf(model)
    const known = this.#known.get(id)
    if (known) return known
    const shape = Object.freeze({ id, model })
    this.#options.prepare(shape)
    this.#known.set(id, shape)
    return shape
  }

  #isPaused(at: number | undefined): boolean {
    return at !== undefined && this.#clock.elapsed() - at < PAUSE_MS
  }
}

/** What the tenants of a place hear when it cannot be looked at. */
function refusal(cause: unknown): GatewayError {
  const explained = explain(cause, 'read')
  if (isGatewayError(explained, 'SHARD_UNAVAILABLE') && explained !== cause) return explained
  return new GatewayError('SHARD_UNAVAILABLE', 'The tables of the tenant are not served now.', {}, { cause })
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message || String((error as NodeJS.ErrnoException).code ?? error.name)
}

async function inTime<T>(work: Promise<T>, deadline: Deadline): Promise<T> {
  const late = Promise.withResolvers<never>()
  const error = new GatewayError('TIMEOUT', 'The tables of the tenant were not known in time.')
  const timer = setTimeout(() => late.reject(error), deadline.remainingMs())
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
