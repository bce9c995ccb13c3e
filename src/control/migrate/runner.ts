/** One run of migrations over the fleet at a time: a lock of the directory that ends with its session. */

import { fail } from '../../base/errors.ts'
import { sleep } from '../../base/time.ts'
import type { Client, Queryable } from '../../db/client.ts'

const KEY = '5349, 4'
/** Milliseconds between two looks whether the other run has ended. */
const TURN_MS = 200
/** Looks before a run is refused: of a run that was killed, the server notices a moment later. */
const LOOKS = 8

/**
 * Run `work` while no other run of migrations does.
 *
 * @param takeTurns  wait for another run to end
 * @throws REFUSED  there is another one
 */
export async function alone<T>(directory: Client, takeTurns: boolean, work: () => Promise<T>): Promise<T> {
  for (let looks = 1; !(await take(directory)); looks++) {
    if (!takeTurns && looks === LOOKS) return refuse(directory)
    await sleep(TURN_MS)
  }
  try {
    return await work()
  } finally {
    await directory.query(`select pg_advisory_unlock(${KEY})`).catch(() => {})
  }
}

/**
 * Whether a run is under way. Whoever writes down what a run has to wait for, and asks after that, is safe from one that
 * begins at the same moment: it looks for that once it has the lock.
 */
export async function migrationUnderWay(directory: Queryable): Promise<boolean> {
  const [row] = await directory.query(`select pg_try_advisory_xact_lock_shared(${KEY}) as free`)
  return row?.free !== 't'
}

async function take(directory: Client): Promise<boolean> {
  const [row] = await directory.query(`select pg_try_advisory_lock(${KEY}) as mine`)
  return row?.mine === 't'
}

async function refuse(directory: Client): Promise<never> {
  const [other] = await directory.query(`
    select coalesce(host(client_addr), 'this machine') as place,
      round(extract(epoch from clock_timestamp() - backend_start)) as seconds
    from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and classid = 5349 and objid = 4 and objsubid = 2
      and database = (select oid from pg_database where datname = current_database()) and granted`)
  const since = other ? ` from ${other.place}, for ${other.seconds} s` : ''
  return fail(
    'REFUSED',
    `Another run of migrations is under way${since}. Nothing was changed.`,
    {},
    {
      hint: 'Wait for it; "shardgate migrate status" shows how far it is.',
    },
  )
}
