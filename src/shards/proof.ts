/** The proof that a new connection leads to the shard that it is taken for, and by a role that sees no more than it may. */

import { deadlineIn } from '../base/time.ts'
import type { Connection } from '../db/connection.ts'
import { prepared } from '../db/sql.ts'

export const IDENTITY = prepared(`
  select i.id,
    case
      when r.rolsuper then 'is a superuser'
      when r.rolbypassrls then 'may bypass row-level security'
      when exists (
        select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where pg_catalog.pg_has_role(r.oid, c.relowner, 'usage') and c.relkind in ('r', 'p')
          and n.nspname not like 'pg\\_%'
      ) then 'owns tables, or may act as their owner'
    end
  from shardgate.identity i, pg_catalog.pg_roles r
  where r.rolname = current_user`)

/** Why a new connection must not be used. @param id  of the shard, as the directory has it */
export async function reasonAgainst(
  connection: Connection,
  id: string,
  connectMs: number,
): Promise<string | undefined> {
  const [result] = await connection.batch([IDENTITY], deadlineIn(connectMs))
  const [found, tooMighty] = result?.rows[0] ?? []
  if (found !== id) return strangerReason(found, id)
  return tooMighty ? `the role of its url ${tooMighty}` : undefined
}

/** @param found  in the database; @param id  in the directory */
export const strangerReason = (found: string | null | undefined, id: string): string =>
  `its id is ${found ?? 'missing'}; the directory has ${id}`
