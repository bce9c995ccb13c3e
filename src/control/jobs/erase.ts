/** Jobs of tenants that are gone: what they were given is erased, and those that wait are dead. */

import type { TenantId } from '../../base/ids.ts'
import type { Queryable } from '../../db/client.ts'
import { compile, type Statement, sql } from '../../db/sql.ts'
import { TENANT_JOBS } from './turns.ts'

/** Why they are dead. */
const REASON = 'The tenant was purged.'

/** A run that is under way has its end first. */
export const ERASE_LEFT_JOBS: Statement = compile(sql`
  update pgboss.job j
  set data = j.data - 'data',
    state = (case when j.state < 'active' then 'failed' else j.state::text end)::pgboss.job_state,
    retry_limit = case when j.state < 'active' then j.retry_count else j.retry_limit end,
    completed_on = case when j.state < 'active' then now() else j.completed_on end,
    output = case when j.state < 'active' then jsonb_build_object('message', ${sql.value(REASON)}::text) end
  where j.name = ${sql.value(TENANT_JOBS)} and j.state <> 'active' and (j.data ? 'data' or j.state < 'active')
    and not exists (select from directory.tenant t where t.id = j.group_id)`)

/** Erase what the directory has of the jobs of a tenant that it does not know any more. */
export async function eraseJobs(directory: Queryable, tenant: TenantId): Promise<void> {
  await directory.query(compile(sql`delete from directory.job_turn where tenant_id = ${sql.value(tenant)}`))
  const [queue] = await directory.query(`select to_regclass('pgboss.job') is not null as there`)
  if (queue?.there === 't') await directory.query(ERASE_LEFT_JOBS)
}
