/**
 * The ways on which tenants come to the connections of a shard, with a fair line in front of each:
 *
 * - quick  short batches, on pipelined connections that all share
 * - slow   batches of those whose batches take long (pace.ts), one at a time on each connection
 * - held   transactions of several steps, each on a connection of its own
 *
 * A tenant with a database of its own has connections of its own, and stands in no line here.
 */

import type { ShardConfig } from '../base/config.ts'
import type { TenantId } from '../base/ids.ts'
import { LoopLag } from '../base/loop-lag.ts'
import { type Clock, type Deadline, systemClock } from '../base/time.ts'
import type { PoolSizes } from '../db/pool.ts'
import type { Statement } from '../db/sql.ts'
import { type FairLimits, FairQueue, type Turn } from './fair-queue.ts'
import { Pace } from './pace.ts'

/** Callers that may wait for a lane, in all and of one tenant. */
const WAITING = { waiting: 1_000, waitingEach: 250 }

/**
 * Batches in flight on a pipelined connection while several tenants are there: enough that its session never waits for
 * the next one, and few for whoever comes behind them, because answers come in order.
 */
const TOGETHER = 4

/** What a batch has got: the pool that it is for, and the end of its turn. */
export interface Pass {
  readonly isSlow: boolean
  /** To be called once, with what the batch has taken by both of its meter's figures, in milliseconds. */
  done(workedMs: number, longMs: number): void
}

/** Of those that stand in no line. */
const FREE: Pass = Object.freeze({ isSlow: false, done: () => {} })
const NO_TURN: Turn = Object.freeze({ done: () => {} })

/** Who wants to run something. */
export interface Applicant {
  readonly tenant: TenantId
  readonly isolation: string
  /** Its weight beside that of others. */
  readonly share: number
}

export class Lanes {
  readonly #pace: Pace
  readonly #quick: FairQueue
  readonly #slow: FairQueue
  readonly #held: FairQueue

  constructor(config: LaneSizes, clock: Clock = systemClock) {
    const lag = new LoopLag()
    this.#pace = new Pace(() => lag.ms(clock.elapsed()))
    const { quick, slow, held } = limitsOf(config)
    this.#quick = new FairQueue(quick, clock)
    this.#slow = new FairQueue(slow, clock)
    this.#held = new FairQueue(held, clock)
  }

  /** Callers in line. */
  get waiting(): number {
    return this.#quick.waiting + this.#slow.waiting + this.#held.waiting
  }

  resize(config: LaneSizes): void {
    const { quick, slow, held } = limitsOf(config)
    this.#quick.resize(quick)
    this.#slow.resize(slow)
    this.#held.resize(held)
  }

  /** For one batch. Throws as `FairQueue.enter`. */
  enter(who: Applicant, statements: readonly Statement[], deadline: Deadline): Pass | Promise<Pass> {
    if (who.isolation === 'database') return FREE
    const { tenant, share } = who
    const isSlow = this.#pace.isSlow(tenant, statements) && this.#isForFew()
    const turn = (isSlow ? this.#slow : this.#quick).enter(tenant, share, deadline)
    const pass = ({ done }: Turn): Pass => ({
      isSlow,
      done: (workedMs, longMs) => {
        this.#pace.note(tenant, statements, longMs)
        done(workedMs)
      },
    })
    return turn instanceof Promise ? turn.then(pass) : pass(turn)
  }

  /** Whether those who go slowly are the fewer. Where a server is slow altogether, there is nobody to keep them from. */
  #isForFew(): boolean {
    return this.#slow.tenants <= this.#quick.tenants + 1
  }

  /** For a transaction; its end is to be told with the milliseconds for which it held its connection. Throws as `FairQueue.enter`. */
  hold({ tenant, isolation, share }: Applicant, deadline: Deadline): Turn | Promise<Turn> {
    return isolation === 'database' ? NO_TURN : this.#held.enter(tenant, share, deadline)
  }
}

export type LaneSizes = Pick<
  ShardConfig,
  'readConnections' | 'readDepth' | 'slowConnections' | 'writeConnections' | 'overflowConnections'
>

/** Of the pool for the quick lane and for transactions, and of that for the slow lane. */
export function poolSizesOf(config: ShardConfig): { readonly main: PoolSizes; readonly slow: PoolSizes } {
  const { connectMs, maxAgeMinutes, pingAfterMs, writeConnections: kept } = config
  const ages = { connectMs, maxAgeMs: maxAgeMinutes * 60_000, pingAfterMs }
  const exclusive = kept + config.overflowConnections
  return {
    main: { ...ages, shared: config.readConnections, depth: config.readDepth, exclusive, kept },
    slow: { ...ages, shared: config.slowConnections, depth: 1, exclusive: 1 },
  }
}

function limitsOf(sizes: LaneSizes): Record<'quick' | 'slow' | 'held', FairLimits> {
  const { readConnections, readDepth, slowConnections, writeConnections, overflowConnections } = sizes
  const most = readConnections * readDepth
  const together = readConnections * Math.min(readDepth, TOGETHER)
  return {
    quick: { all: most, together, alone: most, each: part(together, 1 / 3), ...WAITING },
    slow: {
      all: slowConnections,
      together: slowConnections,
      alone: Math.max(1, slowConnections - 1),
      each: Math.max(1, Math.floor(slowConnections / 2)),
      ...WAITING,
    },
    held: {
      all: writeConnections + overflowConnections,
      together: writeConnections,
      alone: part(writeConnections, 3 / 4),
      each: part(writeConnections, 1 / 2),
      ...WAITING,
    },
  }
}

const part = (of: number, share: number): number => Math.ceil(of * share)
