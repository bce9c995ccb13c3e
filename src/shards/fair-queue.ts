/**
 * Whose turn it is at something of which there is too little: fair queueing by virtual time, over tenants.
 *
 * Each tenant has a clock of its own that runs by the milliseconds that its turns were measured to take, divided by its
 * share; of those who wait, the one whose clock is furthest back is next. What a turn takes is known when it is over: what
 * the tenant's turns took of late is set down at once, what it goes beyond that counts as it goes, and the end corrects it.
 * A tenant that comes after a rest begins where the queue is: nobody saves up.
 *
 * While there is room nobody waits, and the answer is a plain value. What has begun cannot be taken back, so one tenant
 * never has all turns while others are there, and some are kept for a tenant that has none.
 */

import { GatewayError } from '../base/errors.ts'
import type { TenantId } from '../base/ids.ts'
import { type Clock, type Deadline, systemClock } from '../base/time.ts'

export interface FairLimits {
  /** Turns at once. */
  readonly all: number
  /** Turns at once while several tenants are there; what is above is kept for the next in order, if it has none. */
  readonly together: number
  /** Turns of a tenant at once while it is there alone. */
  readonly alone: number
  /** Turns of a tenant at once while others are there. */
  readonly each: number
  /** Callers that may wait; the next one is refused. */
  readonly waiting: number
  /** Callers of one tenant that may wait. */
  readonly waitingEach: number
}

export interface Turn {
  /** To be called once, when it is over. @param ms  that it has taken of what the queue is for */
  done(ms: number): void
}

/** Milliseconds after which a tenant that asks for nothing is forgotten, and with it what it had more than others. */
const FORGET_MS = 1_000
/** What the last turn weighs in the mean of a tenant's turns. */
const LATEST = 1 / 8

interface Waiter {
  readonly go: (turn: Turn) => void
  readonly giveUp: (sentence: string) => void
}

class Line {
  share = 1
  /** The tenant's clock, with what its turns are expected to take. */
  at: number
  /** Turns that it has now. */
  turns = 0
  /** Of these, when they should be over, added up. */
  endings = 0
  /** Mean of its turns, in milliseconds. */
  meanMs = 0
  /** The last look around at which it was there. */
  seen = 0
  readonly waiters = new Set<Waiter>()

  constructor(at: number) {
    this.at = at
  }

  get isIdle(): boolean {
    return this.turns === 0 && this.waiters.size === 0
  }

  /** Its clock, with what its turns have taken by now beyond what was expected. */
  clockAt(now: number): number {
    return this.at + Math.max(0, this.turns * now - this.endings) / this.share
  }
}

export class FairQueue {
  readonly #clock: Clock
  #limits: FairLimits
  /** Of tenants that are there, or were a moment ago. */
  readonly #lines = new Map<TenantId, Line>()
  /** Those in which somebody waits. */
  readonly #busy = new Set<Line>()
  #turns = 0
  #waiting = 0
  /** The clock of who has had a turn, the furthest: where a tenant begins that comes anew. */
  #at = 0
  #looks = 0
  #lookedAt = 0

  constructor(limits: FairLimits, clock: Clock = systemClock) {
    this.#limits = limits
    this.#clock = clock
  }

  /** Callers that wait now, of all tenants. */
  get waiting(): number {
    return this.#waiting
  }

  /** Turns that have begun and not ended. */
  get turns(): number {
    return this.#turns
  }

  /** Tenants that are there, or were a moment ago. */
  get tenants(): number {
    const now = this.#clock.elapsed()
    if (now - this.#lookedAt >= FORGET_MS) this.#forget(now)
    return this.#lines.size
  }

  resize(limits: FairLimits): void {
    this.#limits = limits
    this.#next()
  }

  /**
   * A turn for `tenant`, at once where there is room.
   *
   * @param share  how much of what there is it may have, beside the shares of others
   * @throws OVERLOADED  too many wait, or none came by the deadline, or the client has hung up (as a rejection)
   */
  enter(tenant: TenantId, share: number, deadline: Deadline): Turn | Promise<Turn> {
    const now = this.#clock.elapsed()
    if (now - this.#lookedAt >= FORGET_MS) this.#forget(now)
    const line = this.#lineOf(tenant, share)
    if (line.waiters.size === 0 && this.#hasRoomFor(line) && (this.#hasRoom() || this.#isNext(line, now)))
      return this.#begin(line, now)
    return this.#wait(line, deadline)
  }

  #lineOf(tenant: TenantId, share: number): Line {
    let line = this.#lines.get(tenant)
    if (!line) {
      line = new Line(this.#at)
      this.#lines.set(tenant, line)
    }
    if (line.waiters.size === 0 && line.at < this.#at) line.at = this.#at
    line.share = share
    line.seen = this.#looks
    return line
  }

  #hasRoom(): boolean {
    return this.#turns < (this.#lines.size === 1 ? this.#limits.all : this.#limits.together)
  }

  #hasRoomFor({ turns }: Line): boolean {
    const { all, alone, each } = this.#limits
    if (turns >= (this.#lines.size === 1 ? alone : each)) return false
    return this.#hasRoom() || (turns === 0 && this.#turns < all)
  }

  #isNext({ at }: Line, now: number): boolean {
    for (const line of this.#busy) if (line.clockAt(now) < at) return false
    return true
  }

  #begin(line: Line, now: number): Turn {
    const takenMs = line.meanMs
    if (line.at > this.#at) this.#at = line.at
    line.at += takenMs / line.share
    line.endings += now + takenMs
    line.turns++
    this.#turns++
    return {
      done: (ms) => {
        line.at += (ms - takenMs) / line.share
        line.endings -= now + takenMs
        line.meanMs += (ms - line.meanMs) * LATEST
        line.seen = this.#looks
        line.turns--
        this.#turns--
        if (this.#waiting > 0) this.#next()
      },
    }
  }

  /** Turns for those who wait, as far as there is room. */
  #next(): void {
    const now = this.#clock.elapsed()
    for (let line = this.#first(now); line; line = this.#first(now)) {
      const [waiter] = line.waiters
      waiter?.go(this.#begin(line, now))
    }
  }

  /** Who is next, if there is room for it. What is kept for tenants without a turn, nobody takes out of order. */
  #first(now: number): Line | undefined {
    const hasRoom = this.#hasRoom()
    let first: Line | undefined
    let firstAt = Number.POSITIVE_INFINITY
    for (const line of this.#busy) {
      const at = line.clockAt(now)
      if (at >= firstAt || (hasRoom && !this.#hasRoomFor(line))) continue
      first = line
      firstAt = at
    }
    return first && this.#hasRoomFor(first) ? first : undefined
  }

  #wait(line: Line, deadline: Deadline): Promise<Turn> {
    const { waiting, waitingEach } = this.#limits
    if (line.waiters.size >= waitingEach) return refused(OF_TENANT, line.waiters.size)
    if (this.#waiting >= waiting && !this.#makeRoomFor(line)) return refused(OF_ALL, this.#waiting)
    const leftMs = deadline.remainingMs()
    if (leftMs === 0) return refused(LATE, line.waiters.size)
    return new Promise((resolve, reject) => {
      let stay: (() => void) | undefined
      const leave = (): boolean => {
        clearTimeout(timer)
        stay?.()
        return this.#leave(line, waiter)
      }
      const waiter: Waiter = {
        go: (turn) => {
          leave()
          resolve(turn)
        },
        giveUp: (sentence) => {
          const length = line.waiters.size
          if (leave()) reject(overloaded(sentence, length))
        },
      }
      line.waiters.add(waiter)
      this.#busy.add(line)
      this.#waiting++
      const timer = setTimeout(() => waiter.giveUp(LATE), leftMs)
      stay = deadline.whenGone?.(() => waiter.giveUp(GONE))
    })
  }

  /** The latest of the longest line gives way, if that is a longer one: a flood is refused, and not who meets it. */
  #makeRoomFor(line: Line): boolean {
    let longest = line
    for (const busy of this.#busy) {
      if (busy.waiters.size / busy.share > longest.waiters.size / longest.share) longest = busy
    }
    if (longest === line) return false
    let latest: Waiter | undefined
    for (const waiter of longest.waiters) latest = waiter
    latest?.giveUp(OF_ALL)
    return true
  }

  /** Whether it was in line. */
  #leave(line: Line, waiter: Waiter): boolean {
    if (!line.waiters.delete(waiter)) return false
    this.#waiting--
    if (line.waiters.size === 0) this.#busy.delete(line)
    return true
  }

  // By those who come, so that no timer is needed: where nobody comes, nothing grows.
  #forget(now: number): void {
    this.#lookedAt = now
    for (const [tenant, line] of this.#lines) {
      if (line.isIdle && line.seen < this.#looks) this.#lines.delete(tenant)
    }
    this.#looks++
  }
}

const OF_TENANT = 'As many requests of the tenant wait for its shard as may.'
const OF_ALL = 'As many requests wait for the shard as may.'
const LATE = 'The shard had no turn for the tenant in time.'
const GONE = 'The client did not wait for its turn.'

const overloaded = (sentence: string, waiting: number): GatewayError =>
  new GatewayError('OVERLOADED', sentence, { waiting })

const refused = (sentence: string, waiting: number): Promise<never> =>
  Promise.reject(overloaded(sentence, waiting))
