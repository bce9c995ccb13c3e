/**
 * `move doctor`: finds what moves have left behind, and removes it when it is asked to.
 *
 * A tenant whose things are removed is kept from everybody else meanwhile, and what the fences say is asked in the
 * statements that remove (remove-home.ts): what comes to life while somebody looks is not touched.
 */

import { isGatewayError } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client } from '../../db/client.ts'
import { dropSlot } from '../../db/replication.ts'
import { compile, sql } from '../../db/sql.ts'
import { listShards } from '../../directory/shards.ts'
import type { Whereabouts } from '../copy/snapshot.ts'
import { tenancyOf } from '../copy/subject.ts'
import { asMover } from '../copy/target.ts'
import { accessTo, onItsHome } from '../homes/reach-home.ts'
import { isThere } from '../life/subject.ts'
import { alone, MOVE_KIND } from '../operations/run.ts'
import { type Fleet, onDirectory } from '../reach.ts'
import { type Ending, removeSource, removeTarget, removeWay } from './cleanup.ts'
import { type Finding, findOnShard, type Known, livesIn, readKnown } from './findings.ts'
import { forgetLeftovers } from './leftovers.ts'
import { dropPublication } from './publication.ts'
import { OTHER_HOME, removeHomeAt } from './remove-home.ts'
import { known as knownMove } from './store.ts'

export type { Finding } from './findings.ts'

export interface Leftovers {
  readonly findings: readonly Finding[]
  /** Shards that could not be looked at, a sentence each. */
  readonly unreached: readonly string[]
}

/** Look at the directory and all shards. Changes nothing. @throws DIRECTORY_UNAVAILABLE */
export function findLeftovers(fleet: Fleet): Promise<Leftovers> {
  return onDirectory(fleet.directoryUrl, async (directory) => {
    const known = await readKnown(directory)
    const found = [...known.records]
    const unreached: string[] = []
    for (const { key } of await listShards(directory)) {
      try {
        found.push(...(await findOnShard(fleet, key, known)))
      } catch (error) {
        if (!isGatewayError(error)) throw error
        unreached.push(error.message)
      }
    }
    return { findings: found, unreached }
  })
}

export interface Cleaned {
  readonly removed: readonly Finding[]
  /** What is left, and why. */
  readonly left: readonly (Finding & { readonly why: string })[]
  readonly unreached: readonly string[]
}

/** Remove what `findLeftovers` finds, but for what somebody uses. What stays says why. */
export async function cleanLeftovers(
  fleet: Fleet,
  report: (text: string) => void = () => {},
): Promise<Cleaned> {
  const before = await findLeftovers(fleet)
  const reasons = new Map<string, string>()
  const ordered = before.findings.toSorted((x, y) => ORDER.indexOf(x.kind) - ORDER.indexOf(y.kind))
  // What a move could not remove by itself may be out of the way by the end.
  const records = ordered.filter(({ kind }) => kind === 'record')
  for (const finding of [...ordered, ...records]) {
    if (finding.held !== null) continue
    report(`${finding.kind} ${finding.name} on ${finding.place.shard}`)
    reasons.delete(keyOf(finding))
    await remove(fleet, finding, report).catch((error: unknown) => {
      if (!isGatewayError(error)) throw error
      reasons.set(keyOf(finding), error.message)
    })
  }
  // What was asked for is what is gone, whoever has removed it.
  const after = await findLeftovers(fleet)
  const still = new Map(after.findings.map((finding) => [keyOf(finding), finding]))
  return {
    removed: before.findings.filter((finding) => !still.has(keyOf(finding))),
    left: [...still].map(([key, finding]) => ({
      ...finding,
      why: finding.held ?? reasons.get(key) ?? 'it has come since',
    })),
    unreached: after.unreached,
  }
}

/** A database cannot be dropped while somebody follows it, nor rows be deleted behind a fence that lets them in. */
const ORDER: readonly Finding['kind'][] = [
  'record',
  'slot',
  'publication',
  'progress',
  'fence',
  'rows',
  'home',
]

const keyOf = ({ kind, place, name, tenant }: Finding): string =>
  JSON.stringify([kind, place.shard, place.isolation, place.namespace, name, tenant])

function remove(fleet: Fleet, finding: Finding, report: (text: string) => void): Promise<void> {
  const { tenant } = finding
  if (tenant === null) return removeOutlet(fleet, finding)
  return alone(fleet, tenant, MOVE_KIND, async (directory) => {
    const now = await readKnown(directory)
    if (now.busy.has(tenant)) return
    await removeOf({ fleet, directory, tenant, report, now }, finding)
  })
}

interface At {
  readonly fleet: Fleet
  readonly directory: Client
  readonly tenant: TenantId
  readonly report: (text: string) => void
  readonly now: Known
}

async function removeOf(at: At, finding: Finding): Promise<void> {
  const { fleet, tenant, now } = at
  const { kind, place } = finding
  if (kind === 'record') return removeRecorded(at, finding)
  if (kind === 'slot' || kind === 'publication' || kind === 'progress') return removeOutlet(fleet, finding)
  const home = now.tenants.get(tenant)
  if (!home || (home.shard === place.shard && home.isolation === place.isolation)) return
  if (kind === 'fence') return closeForeign(at, finding, home.epoch)
  const away = sql`f.state in ('moved', 'purged')`
  const where: Whereabouts = {
    tenant,
    shard: accessTo(fleet, place.shard),
    home: kind === 'rows' ? { isolation: 'shared', namespace: '' } : place,
    tenancy: tenancyOf(fleet),
  }
  // A database that never was a home has its first fence still; the directory has the tenant elsewhere.
  const gone =
    place.isolation === 'database'
      ? sql`${away} or f.state = 'frozen'`
      : sql`${away} or ${OTHER_HOME[where.home.isolation]}`
  const withKeys = !livesIn(place.shard, home)
  await removeHomeAt(at, where, { gone, keys: away, rows: kind === 'rows', withKeys })
}

/** What is written down of a move that has ended is removed as the move itself would have done. */
async function removeRecorded(at: At, { move }: Finding): Promise<void> {
  const { fleet, directory, tenant, report, now } = at
  const record = await knownMove(directory, move ?? '')
  const end = ({ shard, isolation, namespace }: Finding['place']): Whereabouts => ({
    tenant,
    shard: accessTo(fleet, shard),
    home: { isolation, namespace },
    tenancy: tenancyOf(fleet),
  })
  const [source, target] = [end(record.source), end(record.target)]
  const { signal } = new AbortController()
  const ending: Ending = { fleet, directory, tenant, record, source, target, report, signal }
  await removeWay(ending, 'forward')
  await removeWay(ending, 'back')
  const side = record.state === 'done' ? record.source : record.target
  const home = now.tenants.get(tenant)
  const livesThere =
    home?.shard === side.shard && home.isolation === side.isolation && home.namespace === side.namespace
  // It has come back there since, with another move: what was to be removed then is its home now.
  if (!livesThere && home) await (record.state === 'done' ? removeSource : removeTarget)(ending)
  await forgetLeftovers(directory, record.id)
}

async function removeOutlet(fleet: Fleet, { kind, place, name, move }: Finding): Promise<void> {
  if (!(await onDirectory(fleet.directoryUrl, (directory) => isThere(fleet, directory, place)))) return
  const { isolation, namespace } = place
  const home = { shard: accessTo(fleet, place.shard), home: { isolation, namespace } }
  if (kind === 'slot') return asMover(home)((client) => dropSlot(client, name))
  await onItsHome(fleet, place, async (client) => {
    if (kind === 'publication') return dropPublication(client, name)
    await client.query(
      compile(sql`delete from shardgate.move_progress where move = ${sql.value(move)}::bigint`),
    )
  })
}

/** The tenant lives elsewhere, at an epoch of the directory's: the fence says so from now on. */
async function closeForeign({ fleet, tenant }: At, { place }: Finding, epoch: number): Promise<void> {
  await onItsHome(fleet, place, (client) =>
    client.query(
      compile(sql`
        update shardgate.tenant_fence
        set state = 'moved', epoch = greatest(epoch, ${sql.value(epoch)}::bigint), role = null
        where tenant_id = ${sql.value(tenant)} and state in ('active', 'read-only', 'suspended', 'frozen')`),
    ),
  )
}
