/** Rows of a tenant that was purged: a backup may have brought them back, and a new tenant of its id must not see them. */

import { fail } from '../../base/errors.ts'
import type { TenantId } from '../../base/ids.ts'
import type { Client, Queryable } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { aboutTenant } from '../copy/tables.ts'
import { type Home, onItsHome } from '../homes/reach-home.ts'
import { DEFAULT_TENANCY, type Fleet } from '../reach.ts'
import { isOfTenant, type TenantTable, tenantTables } from './tables.ts'
import { findTombstone } from './tombstones.ts'

/** Those of `tenants` that have rows in the served ones of `tables`. */
export async function tenantsWithRows(
  client: Client,
  tables: readonly TenantTable[],
  tenants: readonly TenantId[],
): Promise<TenantId[]> {
  const served = tables.filter((table) => table.served && table.readable)
  const found: TenantId[] = []
  for (const tenant of tenants) {
    const questions = served.flatMap((table) => {
      const own = isOfTenant(table, tenant)
      const from = sql.identifier(table.schema, table.name)
      return own ? [sql`exists (select from ${from} t where ${own})`] : []
    })
    if (questions.length === 0) continue
    const [row] = await client.transaction(async () => {
      await aboutTenant(client, tenant)
      return client.query(compile(sql`select ${sql.join(questions, ' or ')} as some`))
    })
    if (row?.some === 't') found.push(tenant)
  }
  return found
}

/**
 * Require that the home of a new tenant holds nothing of an earlier tenant of its id.
 *
 * @throws REFUSED  it does
 */
export async function requireNoFormerRows(fleet: Fleet, directory: Queryable, home: Home): Promise<void> {
  const { tenant, shard, isolation, namespace } = home
  if (!(await findTombstone(directory, tenant))) return
  const { column, schemas } = fleet.tenancy ?? DEFAULT_TENANCY
  const tenancy = { column, schemas: isolation === 'schema' ? [namespace] : schemas }
  const found = await onItsHome(fleet, home, async (client) =>
    tenantsWithRows(client, await tenantTables(client, tenancy), [tenant]),
  )
  if (found.length === 0) return
  const hint = `See "shardgate tenant revived", and remove them: "shardgate tenant purge ${tenant} --revived".`
  fail('REFUSED', `${shard} has rows of ${tenant}, which was purged.`, { tenant }, { hint })
}
