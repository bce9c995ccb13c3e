/** What a preflight looks with: the directory, and both servers as owner and as mover, as far as they can be reached. */

import { type ErrorCode, GatewayError, isGatewayError } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import type { OnClient } from '../copy/lanes.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { asMover } from '../copy/target.ts'
import { type Fleet, onHome, onShard } from '../reach.ts'
import type { Side } from './types.ts'

/** A move that is thought of, or one that has begun. */
export interface Flight {
  readonly fleet: Fleet
  readonly directory: Client
  readonly tenant: TenantId
  readonly source: Whereabouts
  readonly target: Whereabouts
  /** Of a move that has begun: what is its own is in nobody's way. */
  readonly move?: {
    readonly id: string
    readonly source: Side
    readonly target: Side
    readonly operation: string | null
  }
}

/** Why a move cannot begin. */
export interface Fault {
  /** SHARD_UNAVAILABLE and TENANT_BUSY may pass by themselves. */
  readonly code: ErrorCode
  /** With what to type. */
  readonly sentence: string
}

export const fault = (sentence: string, code: ErrorCode = 'REFUSED'): Fault => ({ code, sentence })

/** One end, and who looks at it. Of a home that is not made yet, the database of its shard. */
export interface End {
  readonly name: 'source' | 'target'
  readonly where: Whereabouts
  readonly owner: Client | undefined
  readonly mover: Client | undefined
}

export interface Sight extends Flight {
  readonly from: End
  readonly to: End
}

export type Check = (sight: Sight) => Promise<readonly Fault[]>

/** Open what can be opened, and do `work`; what cannot is told by a fault each. */
export function withSight<T>(
  flight: Flight,
  work: (sight: Sight, unreached: readonly Fault[]) => Promise<T>,
): Promise<T> {
  const { source, target } = flight
  const there = { ...target, home: { isolation: 'shared', namespace: '' } } as const
  return attempt(ownerOf(source), (a) =>
    attempt(moverOf(source, a), (b) =>
      attempt(target.shard.key === source.shard.key && a instanceof GatewayError ? a : ownerOf(there), (c) =>
        attempt(moverOf(there, c), (d) => {
          const from: End = { name: 'source', where: source, owner: clientOf(a), mover: clientOf(b) }
          const to: End = { name: 'target', where: target, owner: clientOf(c), mover: clientOf(d) }
          const faults = [...new Set([a, b, c, d])].flatMap((got) =>
            got instanceof GatewayError ? [faultOf(got)] : [],
          )
          return work({ ...flight, from, to }, [
            ...new Map(faults.map((one) => [one.sentence, one])).values(),
          ])
        }),
      ),
    ),
  )
}

const clientOf = (got: Client | GatewayError): Client | undefined =>
  got instanceof GatewayError ? undefined : got

const ownerOf =
  ({ shard, home }: Whereabouts) =>
  (): OnClient =>
  (work) =>
    home.isolation === 'database' ? onHome(shard, home, work) : onShard(shard, work)

// Where the owner is not let in, the mover is not asked: one sentence is enough for one server.
const moverOf = (where: Whereabouts, owner: Client | GatewayError): (() => OnClient) | GatewayError =>
  owner instanceof GatewayError ? owner : () => asMover(where)

async function attempt<T>(
  open: (() => OnClient) | GatewayError,
  work: (got: Client | GatewayError) => Promise<T>,
): Promise<T> {
  if (open instanceof GatewayError) return work(open)
  let begun = false
  try {
    return await open()((client) => {
      begun = true
      return work(client)
    })
  } catch (error) {
    if (begun || !isGatewayError(error) || isGatewayError(error, 'DIRECTORY_UNAVAILABLE')) throw error
    return work(error)
  }
}

/** What an error of ours says, as a fault. */
export function faultOf({ code, message, hint }: GatewayError): Fault {
  const sentence = message.endsWith('.') || message.includes('\n') ? message : `${message}.`
  return fault(hint === '' ? sentence : `${sentence} ${hint}`, code)
}

/** Do `work`, which throws an error of ours where something is wrong. */
export async function refusedBy(work: () => Promise<unknown>): Promise<Fault[]> {
  try {
    await work()
    return []
  } catch (error) {
    if (isGatewayError(error)) return [faultOf(error)]
    throw error
  }
}
