/**
 * The steps by which rows come into a new tenant, be it out of a folder or from another tenant: those that make it
 * (control/creation.ts), and before nobody sees it,
 *
 *     look        no row of that id is there already
 *     load rows   whatever an earlier run has left goes first
 *     sequences   above what came in
 *     verify      counts, contents, foreign keys
 */

import { fail } from '../../base/errors.ts'
import type { Client } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { findTenant } from '../../directory/tenants.ts'
import { CREATE, type Creation } from '../creation.ts'
import { deleteRows } from '../life/delete-rows.ts'
import { tenantTables } from '../life/tables.ts'
import type { At, Step } from '../operations/types.ts'
import { onShard } from '../reach.ts'
import { explained } from './faults.ts'
import type { TableHash } from './hash.ts'
import { raiseSequences } from './sequences.ts'
import type { Whereabouts } from './snapshot.ts'
import { aboutTenant, type CopyTable, rowsOf, tablesOf } from './tables.ts'
import { asMover, type Made, targetOf } from './target.ts'
import { verifyRows } from './verify.ts'

/** What copying leaves on the way: what was read, to compare with. */
export interface Copied extends Made {
  readonly read: readonly TableHash[]
}

/**
 * @param load  writes the rows into a home that has none, and gives what it has read
 */
export function copySteps<Input extends Creation>(
  load: (at: At<Input, Copied>, target: Whereabouts) => Promise<readonly TableHash[]>,
): Step<Input, Copied>[] {
  const [activate, ...making] = CREATE.steps.toReversed()
  return [
    ...making.reverse(),
    { name: 'look', run: look },
    {
      name: 'load rows',
      run: (at) =>
        explained(`Loading the rows of ${at.tenant}`, async () => {
          await clear(at)
          return { read: await load(at, targetOf(at)) }
        }),
      undo: clear,
    },
    { name: 'sequences', run: (at) => sequences(at) },
    { name: 'verify', run: (at) => verify(at) },
    activate!,
  ]
}

/** Rows in the way would be taken for what an earlier run has left, and removed. */
async function look(at: At<Creation, Made>): Promise<undefined> {
  const target = targetOf(at)
  const { tenant, shard } = target
  const found = await findTenant(at.directory, tenant)
  if (found?.state !== 'creating') fail('REFUSED', `${tenant} is ${found?.state ?? 'gone'} by now.`)
  const [table] = await tablesWithRows(target)
  if (table === undefined) return
  const hint =
    'Choose another id (--as), or register the tenant that they belong to: "shardgate tenant register".'
  fail('REFUSED', `${shard.key} has rows of ${tenant} in ${table.id} already.`, {}, { hint })
}

/** Of those that have the tenant column: others may have got rows by the migrations that made them. */
function tablesWithRows(target: Whereabouts): Promise<CopyTable[]> {
  return asMover(target)((client) =>
    client.transaction(async () => {
      await aboutTenant(client, target.tenant)
      const found: CopyTable[] = []
      for (const table of await tablesOf(client, target)) {
        if (table.tenant && (await hasRows(client, table))) found.push(table)
      }
      return found
    }),
  )
}

async function hasRows(client: Client, table: CopyTable): Promise<boolean> {
  const [row] = await client.query(compile(sql`select exists (select ${rowsOf(table)}) as some`))
  return row?.some === 't'
}

/** Remove what was loaded into shared tables. A home of the tenant's own goes as a whole, or is emptied by load.ts. */
async function clear(at: At<Creation, Made>): Promise<void> {
  if (at.memory.shard === undefined) return
  const target = targetOf(at)
  const { tenant, shard, home, tenancy } = target
  if (home.isolation !== 'shared' || (await tablesWithRows(target)).length === 0) return
  await onShard(shard, async (client) => {
    const served = (await tenantTables(client, tenancy)).filter((table) => table.served)
    await deleteRows(client, served, tenant, { report: (gone) => at.report(`remove ${gone} rows`) })
  })
}

async function sequences(at: At<Creation, Made>): Promise<undefined> {
  await raiseSequences(targetOf(at))
}

function verify(at: At<Creation, Copied>): Promise<undefined> {
  at.report('compare what was written with what was read')
  return explained(`Verifying the rows of ${at.tenant}`, async () => {
    await verifyRows(targetOf(at), at.memory.read ?? [])
    return undefined
  })
}
