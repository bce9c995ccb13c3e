/**
 * Sessions of a move: whoever takes it over ends those of the runner before, and no runner whose token is not the
 * move's any more gets a new one.
 *
 *     claim (new token) ──▶ first session on a server: end all of lower tokens, of each role we have there
 *     every session     ──▶ is the token still the move's? only then it is used
 *
 * A runner that was stopped may have asked before the claim: then its session was open by then, and is found and ended.
 * Or it asks after the claim, and is refused. There is no third.
 */

import { fail } from '../../base/errors.ts'
import { sleep } from '../../base/time.ts'
import { type Client, connect, type Queryable, type TextRow } from '../../db/client.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { ofShard } from '../../directory/namespaces.ts'
import { identityOf } from '../install.ts'
import { type Fleet, onDirectory, onShard, reasonOf, type SessionRule, type ShardAccess } from '../reach.ts'
import { loseLease } from './store.ts'
import type { MoveRecord } from './types.ts'

/** application_name of the sessions of a claimed move: 'shardgate move 12 3456'. */
export function sessionName({ id, token }: MoveRecord): string {
  return `${prefixOf(id)}${token}`
}

const prefixOf = (id: string): string => `shardgate move ${id} `

/** A fleet whose sessions are those of a claimed move: opening one throws TENANT_BUSY when the lease is lost. */
export function fleetOfMove(fleet: Fleet, record: MoveRecord): Fleet {
  const name = sessionName(record)
  const requireToken = tokenCheck(fleet.directoryUrl, name, record)
  const rule = (end: () => Promise<void>): SessionRule => {
    const ended = once(end)
    return {
      name,
      require: async (client) => {
        await ended()
        await requireToken()
        await client.query(UNHURRIED)
      },
    }
  }
  const onShards = fleet.shards.map((shard) => ({ ...shard, session: rule(() => endOnShard(shard, record)) }))
  const onItsOwn = rule(() => onDirectory(fleet.directoryUrl, (db) => endOlder(db, record, 'the directory')))
  return { ...fleet, shards: onShards, session: onItsOwn }
}

/**
 * Against what roles and databases may be set to: an end by a timer in the middle of a copy, and a commit that a crash
 * takes back, which would let a fence or a home forget what the directory knows. Postgres 15 and 16 have no
 * `transaction_timeout`.
 */
const UNHURRIED = `
  select set_config('transaction_timeout', '0', false) where current_setting('transaction_timeout', true) is not null;
  select set_config('synchronous_commit', 'local', false) where current_setting('synchronous_commit') = 'off'`

/** Runs `work` until it has succeeded once. */
function once(work: () => Promise<void>): () => Promise<void> {
  let begun: Promise<void> | undefined
  return () => {
    begun ??= work().catch((error: unknown) => {
      begun = undefined
      throw error
    })
    return begun
  }
}

/** A role may end its own sessions and nobody else's. */
async function endOnShard(shard: ShardAccess, record: MoveRecord): Promise<void> {
  const { key, url, moverUrl = url } = shard
  for (const role of new Set([url, moverUrl])) {
    await onShard({ key, url: role }, async (client) => {
      const id = await identityOf(client)
      return endOlder(client, record, key, id === undefined ? undefined : ofShard(id))
    })
  }
}

/**
 * End what an earlier runner has left open in this database, and in those of the tenants of a shard, and wait until it
 * is gone. Another fleet on the same server has the same roles, and may have a move of the same number.
 *
 * @param own  what the names of the databases begin with
 * @throws TENANT_BUSY  something of it does not end
 */
function endOlder(client: Queryable, record: MoveRecord, place: string, own?: string): Promise<void> {
  return endBelow(client, record, sql`${sql.value(record.token)}::bigint`, place, own)
}

/**
 * End what a runner whose lease is over has open on the directory: one that was stopped in a transaction would keep the
 * row of its move locked, and nobody could claim it.
 *
 * @throws TENANT_BUSY  something of it does not end
 */
export function endLost(directory: Queryable, record: MoveRecord): Promise<void> {
  return endBelow(directory, record, sql`${sql.value(record.token)}::bigint + 1`, 'the directory')
}

async function endBelow(
  client: Queryable,
  { id, tenant }: MoveRecord,
  token: SQL,
  place: string,
  own?: string,
): Promise<void> {
  const older = sql`
    from pg_stat_activity where usename = session_user
      and (datname = current_database() or starts_with(datname, ${sql.value(own ?? null)}))
      and substring(application_name from ${sql.value(`^${prefixOf(id)}([0-9]+)$`)}::text)::bigint < ${token}`
  let left: TextRow[] = []
  // More than once: a runner that is awake opens others meanwhile, as long as the token is still its own.
  for (let tries = 0; tries < TRIES; tries++) {
    await client.query(compile(sql`select pg_terminate_backend(pid, ${sql.literal(GONE_MS)}) ${older}`))
    left = await client.query(compile(sql`select pid ${older}`))
    if (left.length === 0) return
  }
  const sentence = `Sessions of an earlier runner of move ${id} of ${tenant} do not end on ${place}: ${left.map(({ pid }) => pid).join(', ')}.`
  fail('TENANT_BUSY', sentence, { move: Number(id) }, { hint: 'Look at them in pg_stat_activity.' })
}

/** Milliseconds in which a session that is told to end has to be gone. */
const GONE_MS = 5_000
const TRIES = 3

/** Milliseconds for which the session that asks for the token is kept for the next that opens. */
const KEPT_MS = 1_000

/** Milliseconds in which the directory has to say whose the move is. */
const ANSWER_MS = 5_000

/**
 * Asks the directory whether the move is still ours. The session is kept for a moment: a copy opens dozens, and each
 * has to ask.
 */
function tokenCheck(url: string, name: string, record: MoveRecord): () => Promise<void> {
  let kept: Promise<Client> | undefined
  let closing: NodeJS.Timeout | undefined
  let asking = 0
  let before: Promise<unknown> = Promise.resolve()
  const close = (): void => {
    kept?.then((client) => client.end()).catch(() => {})
    kept = undefined
  }
  const ask = async (): Promise<string> => {
    kept ??= connect(url, { applicationName: name })
    return tokenOn(await kept, record)
  }
  const askAgain = (): Promise<string> => {
    close()
    return ask()
  }
  return async () => {
    clearTimeout(closing)
    asking += 1
    // One after the other. The first answer may fail for no other reason than that the session was kept for too long.
    const answer = before.then(ask).catch(askAgain)
    before = answer.catch(() => {})
    const token = await answer.catch(unreachable).finally(() => {
      asking -= 1
      if (asking === 0) closing = setTimeout(close, KEPT_MS)
    })
    if (token !== record.token) loseLease(record)
  }
}

async function tokenOn(directory: Queryable, { id }: MoveRecord): Promise<string> {
  const statement = compile(sql`select token from directory.move where id = ${sql.value(id)}::bigint`)
  const answered = new AbortController()
  const late = sleep(ANSWER_MS, answered.signal).then(() => Promise.reject(new Error('no answer in time')))
  try {
    const [row] = await Promise.race([directory.query(statement), late])
    return row?.token ?? ''
  } finally {
    answered.abort()
  }
}

function unreachable(cause: unknown): never {
  const sentence = `The directory cannot be asked who runs the move: ${reasonOf(cause)}.`
  return fail('DIRECTORY_UNAVAILABLE', sentence, {}, { cause })
}
