/** What the servers at both ends say of whether a tenant can move. */

import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { requireMakeable } from '../homes/home.ts'
import { knownId, requireIdentity } from '../homes/reach-home.ts'
import { fenceOf } from '../life/fence.ts'
import { findSubject } from '../life/subject.ts'
import { onShard, type ShardAccess } from '../reach.ts'
import { findFence, sharesFence } from './fences.ts'
import { slotName } from './names.ts'
import { type Check, type End, type Fault, fault, refusedBy, type Sight } from './sight.ts'

/** Look at both ends with the same eyes. */
const both =
  (look: (end: End, sight: Sight) => Promise<readonly Fault[]>): Check =>
  async (sight) => [...(await look(sight.from, sight)), ...(await look(sight.to, sight))]

export const ensureIdentity: Check = both(async ({ owner, where }, { directory }) => {
  if (!owner) return []
  const known = await knownId(directory, where.shard.key)
  return refusedBy(() => requireIdentity(owner, where.shard.key, known))
})

export const ensureSourceFence: Check = async ({ directory, tenant, from }) => {
  const now = await findSubject(directory, tenant)
  if (!from.owner || !now || now.state === 'creating' || now.state === 'purging') return []
  const fence = await findFence(from.owner, tenant)
  const wanted = fenceOf(now.state)
  if (fence && fence.epoch === now.epoch && (fence.state === wanted || fence.state === 'frozen')) return []
  const found = fence ? `${fence.state}, epoch ${fence.epoch}` : 'none'
  return [
    fault(
      `The fence of ${tenant} on ${from.where.shard.key} is not the one of the directory (${wanted}, epoch ${now.epoch}): ${found}. Type: shardgate doctor`,
    ),
  ]
}

/** Where the target has a fence already, of a life that nobody has ended. */
export const ensureTargetFence: Check = async ({ tenant, source, target, to, move }) => {
  if (!to.owner || target.home.isolation === 'database' || sharesFence(source, target)) return []
  const fence = await findFence(to.owner, tenant)
  const isOver = fence === null || fence.state === 'moved' || fence.state === 'purged'
  const isOwn = fence?.state === 'frozen' && fence.epoch === move?.target.epoch
  if (isOver || isOwn) return []
  const left = `${target.shard.key} has a fence of ${tenant}: ${fence.state}, epoch ${fence.epoch}`
  return [fault(`${left}. An earlier move has left it. Type: shardgate move doctor --clean`)]
}

export const ensureMakeable: Check = ({ fleet, target, to }) => {
  const { isolation } = target.home
  if (!to.owner) return Promise.resolve([])
  return refusedBy(() => requireMakeable(fleet, { shard: target.shard.key, isolation }))
}

/** Policies would hide rows, triggers would do twice what they have done, foreign keys cost 2.7 times the rest. */
export const ensureMover: Check = both(async ({ mover, where }) => {
  if (!mover) return []
  const [role] = await mover.query(`
    select format('%I', rolname) as name, rolbypassrls or rolsuper as bypass,
      has_parameter_privilege(current_user, 'session_replication_role', 'set') as quiet
    from pg_roles where rolname = current_user`)
  const { key } = where.shard
  return [
    ...(role?.bypass === 't'
      ? []
      : [
          fault(
            `On ${key} the mover is held back by policies. A superuser has to type: alter role ${role?.name} bypassrls;`,
          ),
        ]),
    ...(role?.quiet === 't'
      ? []
      : [
          fault(
            `On ${key} the mover's writes would run triggers. A superuser has to type: grant set on parameter session_replication_role to ${role?.name};`,
          ),
        ]),
  ]
})

/** What following changes wants of a server. The target is followed too, on the way back. */
export const ensureLogical: Check = both(async ({ owner, mover, where }, sight) => {
  if (!owner || !mover) return []
  const { key } = where.shard
  const faults: Fault[] = []
  const [role] = await mover.query(
    `select format('%I', rolname) as name, rolreplication or rolsuper as may from pg_roles where rolname = current_user`,
  )
  if (role?.may !== 't') {
    faults.push(
      fault(
        `On ${key} the mover may not follow changes. A superuser has to type: alter role ${role?.name} replication;`,
      ),
    )
  }
  const server = await serverOf(owner)
  if (server.walLevel !== 'logical') {
    const what = `${key} has wal_level = ${server.walLevel}, so changes cannot be followed there`
    faults.push(fault(`${what}. Type: alter system set wal_level = logical; and restart its server.`))
  }
  const wanted = await wantedOn(server.id, sight)
  for (const [setting, free] of [
    ['max_replication_slots', server.slots],
    ['max_wal_senders', server.senders],
  ] as const) {
    if (free >= wanted) continue
    const what = `The server of ${key} has ${free} free of ${setting}, and the move wants ${wanted}`
    faults.push(fault(`${what}. Raise it and restart the server, or complete moves: shardgate move list`))
  }
  return faults
})

interface Server {
  /** What tells it from others. */
  readonly id: string
  readonly walLevel: string
  readonly slots: number
  readonly senders: number
  readonly keeps: string
}

async function serverOf(client: Client): Promise<Server> {
  const [row] = await client.query(`
    select pg_postmaster_start_time() || ' ' || current_setting('port') as id, current_setting('wal_level') as wal_level,
      current_setting('max_replication_slots')::int - (select count(*) from pg_replication_slots) as slots,
      current_setting('max_wal_senders')::int - (select count(*) from pg_stat_replication) as senders,
      current_setting('max_slot_wal_keep_size') as keeps`)
  return {
    id: row?.id ?? '',
    walLevel: row?.wal_level ?? '',
    slots: Number(row?.slots),
    senders: Number(row?.senders),
    keeps: row?.keeps ?? '',
  }
}

// One for each way, and both on one server where the ends share it. What the move has made already counts as free.
async function wantedOn(id: string, { from, to, move }: Sight): Promise<number> {
  if (!from.owner || !to.owner) return 1
  const other = await Promise.all([from.owner, to.owner].map(async (client) => (await serverOf(client)).id))
  const ways = other.filter((one) => one === id).length
  if (move === undefined) return ways
  const [own] = await from.owner.query(
    compile(sql`
      select count(*) as n from pg_replication_slots
      where slot_name in (${sql.value(slotName(move.id, 'forward', from.where))}, ${sql.value(slotName(move.id, 'back', to.where))})`),
  )
  return Math.max(0, ways - Number(own?.n))
}

/** What does not keep a move from beginning. */
export async function warningsOf({ from, to }: Sight): Promise<string[]> {
  const warnings: string[] = []
  for (const { owner, where } of [from, to]) {
    if (!owner) continue
    const { key } = where.shard
    if ((await serverOf(owner)).keeps === '-1') {
      warnings.push(
        `${key} has max_slot_wal_keep_size = -1: should a move be left alone for days, its slot could fill the disk. A limit far above the WAL of an hour is better.`,
      )
    }
    for (const sentence of await longTransactions(where.shard)) warnings.push(`${key}: ${sentence}`)
  }
  return [...new Set(warnings)]
}

/** Seconds after which a transaction is worth a word: a slot waits for each that has written something. */
const LONG_S = 5

/**
 * Transactions that have been open for longer than `seconds`, a clause each. Of sessions of other roles than one's own
 * Postgres says that they are there, and not since when: so each of ours looks.
 */
export async function longTransactions({ key, ...shard }: ShardAccess, seconds = LONG_S): Promise<string[]> {
  const found = new Set<string>()
  for (const url of new Set([shard.url, shard.moverUrl, shard.appUrl])) {
    if (url === undefined) continue
    const rows = await onShard({ key, url }, (client) =>
      client.query(
        compile(sql`
        select format('a transaction of %s (process %s) has been open for %s s', usename, pid,
          round(extract(epoch from clock_timestamp() - xact_start))) as sentence
        from pg_stat_activity
        where xact_start < clock_timestamp() - ${sql.value(seconds)}::int * interval '1 second' and pid <> pg_backend_pid()
          and backend_type = 'client backend'
        union all
        select format('the prepared transaction %L of %s is open', gid, owner) from pg_prepared_xacts`),
      ),
    ).catch(() => [])
    for (const { sentence } of rows) if (sentence) found.add(`${sentence}; copying waits for its end.`)
  }
  return [...found]
}
