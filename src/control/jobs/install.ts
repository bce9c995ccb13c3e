/** The queue of jobs in the directory database: pg-boss's own schema, made and renewed by who owns the directory. */

import { PgBoss } from 'pg-boss'
import { jobDatabase } from '../../db/job-database.ts'
import { BOSS, TENANT_JOBS } from './turns.ts'

/** Jobs wait for as long as their tenant may be suspended. */
const WAIT_S = 365 * 24 * 3_600

/** Make or renew the queue. Safe to run again, and by two at once. Throws what Postgres says. */
export async function installQueue(directoryUrl: string): Promise<void> {
  const db = jobDatabase(directoryUrl, 'shardgate control')
  const boss = new PgBoss({ db, schema: BOSS, migrate: true, supervise: false, schedule: false })
  boss.on('error', () => {})
  try {
    await boss.start()
    await boss.createQueue(TENANT_JOBS, { retentionSeconds: WAIT_S })
    await boss.stop({ graceful: false, close: false })
  } finally {
    await db.end()
  }
}
