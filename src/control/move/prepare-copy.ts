/**
 * The copy of the still path: all rows of a tenant while its writes are held, so every round trip is felt.
 *
 * Whatever can be done before is done before: connections, tables, formats, an empty target, and one run of the same
 * statements that finds no rows, after which both servers have all in mind that they need for the real one. What is
 * left is one message to each side.
 */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { type PipeScript, pipeCopies } from '../../db/copy-pipe.ts'
import { compile, type SQL, sql } from '../../db/sql.ts'
import { explained } from '../copy/faults.ts'
import { EXACT } from '../copy/hash.ts'
import { hold } from '../copy/lanes.ts'
import type { CopyTable } from '../copy/tables.ts'
import { asMover } from '../copy/target.ts'
import { type CopyPlan, planCopy, readingOf, writingOf } from './copy-plan.ts'
import {
  type CopiedRows,
  QUIETLY,
  requireNone,
  requireOutside,
  requireSame,
  WITH_TRIGGERS,
} from './copy-rows.ts'
import { emptyTarget } from './empty-target.ts'
import type { Moving } from './types.ts'

export interface PreparedCopy {
  /**
   * Copy what the source holds now. Once; throws as copyRows.
   *
   * @throws TENANT_BUSY  the tables were changed since it was prepared
   */
  run(): Promise<CopiedRows>
  /** Close the connections, whatever has happened. */
  end(): Promise<void>
}

/** Milliseconds to wait for a change of structure that is under way, while writes are held. */
const LOCK_MS = 200

/** Get ready to copy, on connections that stay open until `end`. Throws as copyRows. */
export async function prepareCopy(moving: Moving): Promise<PreparedCopy> {
  await emptyTarget(moving)
  const { clients, end } = await hold([asMover(moving.source), asMover(moving.target)])
  const [from, to] = clients as [Client, Client]
  const about = `Copying the rows of ${moving.tenant}`
  try {
    const plan = await planCopy(moving, from, to)
    const columns = await columnsNow(from, plan.tables)
    const prepared = { moving, from, to, plan, columns }
    await warm(prepared)
    return { run: () => explained(about, () => run(prepared)), end }
  } catch (error) {
    await end()
    return explained(about, () => Promise.reject(error))
  }
}

const LOUDLY = sql`set local session_replication_role = origin`

interface Prepared {
  readonly moving: Moving
  readonly from: Client
  readonly to: Client
  readonly plan: CopyPlan
  /** Of the source, as the plan has found them. */
  readonly columns: string
}

// As it will be, with no rows.
async function warm({ moving, from, to, plan }: Prepared): Promise<void> {
  await pipeCopies(from, to, scriptOf(moving, plan, sql` limit 0`), { signal: moving.signal })
  await from.query('rollback')
}

async function run(prepared: Prepared): Promise<CopiedRows> {
  const { moving, from, to, plan } = prepared
  const piped = await pipeCopies(from, to, scriptOf(moving, plan), { signal: moving.signal })
  const rows = requireSame([...plan.quiet, ...plan.rest], piped)
  await Promise.all([requireUnchanged(prepared), requireOutside(to, moving, plan)])
  return { rows, bytes: piped.bytes }
}

function scriptOf({ tenant }: Moving, { tables, quiet, rest }: CopyPlan, limit?: SQL): PipeScript {
  const names = tables.map(({ schema, name }) => sql.identifier(schema, name))
  const loads = [...quiet, ...rest]
  return {
    read: [
      sql`begin isolation level repeatable read, read only`,
      sql`set local lock_timeout = ${sql.literal(LOCK_MS)}`,
      // Before the moment: what is locked then stays as it is seen.
      ...(names.length > 0 ? [sql`lock table ${sql.join(names, ', ')} in access share mode`] : []),
      sql`set local row_security = off`,
      sql`select set_config('app.current_tenant_id', ${sql.literal(tenant)}, true)`,
      EXACT,
      ...loads.map((load) => readingOf(load, limit)),
    ],
    write: [
      sql`begin`,
      EXACT,
      ...(quiet.length > 0 ? [...QUIETLY, ...quiet.map(writingOf), LOUDLY] : []),
      ...(rest.length > 0 ? [...WITH_TRIGGERS, ...rest.map(writingOf)] : []),
      sql`commit`,
    ],
  }
}

/** The reader is still in the transaction that has copied, and holds the tables as they are. */
async function requireUnchanged({ moving, from, plan, columns }: Prepared): Promise<void> {
  await requireNone(from, plan.missing, moving)
  const now = await columnsNow(from, plan.tables)
  await from.query('rollback')
  if (now === columns) return
  const hint = 'Do not migrate a tenant while it is being moved; go on with the move now.'
  fail(
    'TENANT_BUSY',
    `The tables of ${moving.tenant} were changed while its copy was prepared.`,
    {},
    { hint },
  )
}

/** What the columns of tables are by now: a tenth of the time that it takes to look the tables up again. */
async function columnsNow(client: Client, tables: readonly CopyTable[]): Promise<string> {
  const names = JSON.stringify(tables.map(({ schema, name }) => ({ schema, name })))
  const [row] = await client.query(
    compile(sql`
      select string_agg(concat_ws(' ', attrelid, attnum, attname, atttypid, atttypmod, attgenerated, attisdropped), ','
        order by attrelid, attnum) as columns
      from jsonb_to_recordset(${sql.value(names)}::jsonb) as w (schema text, name text)
      join pg_namespace n on n.nspname = w.schema
      join pg_class c on c.relnamespace = n.oid and c.relname = w.name
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0`),
  )
  return row?.columns ?? ''
}
