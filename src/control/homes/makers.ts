/** What shardgate_owner needs to make homes, and what a superuser types where it was not given. */

import { fail } from '../../base/errors.ts'
import type { Queryable } from '../../db/client.ts'

/**
 * @throws SETUP_FAILED  with the SQL that gives what is missing
 */
export async function requireMaker(client: Queryable, isolation: 'schema' | 'database'): Promise<void> {
  const missing = await missingRights(client, isolation)
  if (missing.length === 0) return
  const what = isolation === 'schema' ? 'a schema' : 'a database'
  const lines = missing.map((line) => `  ${line}`).join('\n')
  fail('SETUP_FAILED', `A tenant with ${what} of its own wants a superuser to run this first:\n${lines}`)
}

// From Postgres 16 on, who may make roles may not put them into roles of others without their admin option; before, it
// may. Nobody needs to be told of what a superuser may do anyway.
async function missingRights(client: Queryable, isolation: 'schema' | 'database'): Promise<string[]> {
  const [may] = await client.query(`
    select rolsuper or rolcreatedb as databases, rolsuper or rolcreaterole as roles,
      rolsuper or case when to_regrole('shardgate_tenant') is null then false
        when current_setting('server_version_num')::int < 160000 then rolcreaterole
        else pg_has_role(oid, 'shardgate_tenant', 'member with admin option') end as lends
    from pg_roles where rolname = 'shardgate_owner'`)
  if (isolation === 'database') return may?.databases === 't' ? [] : ['alter role shardgate_owner createdb;']
  return [
    ...(may?.roles === 't' ? [] : ['alter role shardgate_owner createrole;']),
    ...(may?.lends === 't' ? [] : ['grant shardgate_tenant to shardgate_owner with admin option;']),
  ]
}
