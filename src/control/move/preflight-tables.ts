/** Whether the tables at both ends are the same, can be followed, and are empty where rows are to come. */

import { sqlState } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { requireFuture, shapesOf } from '../copy/fit.ts'
import { shapeOf } from '../copy/snapshot.ts'
import { tablesOf } from '../copy/tables.ts'
import { isThere } from '../life/subject.ts'
import { listLeftovers } from './leftovers.ts'
import { IDEMPOTENCY, isOneDatabase, movedTablesOf } from './moved-tables.ts'
import { publishedTables } from './prepare.ts'
import { publishingFaults } from './publication.ts'
import { hasRows } from './remove-rows.ts'
import { type Check, type Fault, fault, refusedBy, type Sight } from './sight.ts'

/** The tables that the target's home will have, as its shard has them now under the name of the shared schema. */
const future = ({ tenant, target }: Sight) => {
  const { isolation } = target.home
  return {
    tenant,
    tenancy: target.tenancy,
    home: { isolation, namespace: target.tenancy.schemas[0] ?? 'public' },
  }
}

/** Tables that the target cannot have, rows in them or not: the tenant may write one while it moves. */
export const ensureHeld: Check = async (sight) => {
  const { tenant, source, target, from, to } = sight
  if (!from.owner || !to.owner) return []
  const there = new Set((await tablesOf(to.owner, future(sight))).map(({ id }) => id))
  const missing = (await tablesOf(from.owner, source)).filter(({ id }) => !there.has(id))
  return missing.map(({ id, tenant: column }) => {
    const why =
      column === null && target.home.isolation === 'shared'
        ? `has no column ${source.tenancy.column}, so shared tables cannot hold it`
        : `is not among the tables of a tenant with the isolation "${target.home.isolation}" on ${target.shard.key}`
    return fault(`${id} of ${tenant} ${why}. Choose another isolation, or migrate the table.`)
  })
}

/** Columns, constraints, policies, triggers: what is told apart by `migrate verify`; and the version. */
export const ensureFit: Check = async (sight) => {
  const { tenant, source, target, from, to } = sight
  const { owner } = from
  if (!owner || !to.owner) return []
  const there = new Set((await tablesOf(to.owner, future(sight))).map(({ id }) => id))
  const tables = (await tablesOf(owner, source)).filter(({ id }) => there.has(id))
  const shape = await shapeOf(owner, source)
  const { isolation } = target.home
  const place = { tenant, shard: target.shard, tenancy: target.tenancy, isolation }
  const rows = new Map(tables.map((table) => [table, 1]))
  return refusedBy(() => requireFuture(place, { shape, tables: shapesOf(tables, rows) }))
}

/** What `setup` gives the mover: an earlier release gave less. Homes that are not made yet are born with it. */
export const ensureRights: Check = async ({ source, target, from, to }) => {
  const shared = { ...target, home: { isolation: 'shared', namespace: '' } } as const
  const faults: Fault[] = []
  for (const [{ owner, mover, where }, home] of [
    [from, source],
    [to, shared],
  ] as const) {
    if (!owner || !mover) continue
    const tables = await movedTablesOf(owner, home)
    const names = tables.map(({ schema, name }) => ({ schema, name }))
    const rows = await mover.query(
      compile(sql`
        select t.schema || '.' || t.name as id
        from jsonb_to_recordset(${sql.value(JSON.stringify(names))}::jsonb) as t (schema text, name text)
        join pg_namespace n on n.nspname = t.schema join pg_class c on c.relnamespace = n.oid and c.relname = t.name,
          unnest(array['select', 'insert', 'update', 'delete']) as wanted (privilege)
        where not has_table_privilege(c.oid, wanted.privilege) group by 1 order by 1`),
    )
    if (rows.length === 0) continue
    const ids = rows.map(({ id }) => id).join(', ')
    faults.push(fault(`On ${where.shard.key} the mover may not read and write ${ids}. Type: shardgate setup`))
  }
  return faults
}

/** Fault 38: rows, a schema or a database of the tenant that are there already would be merged with what comes. */
export const ensureNothingThere: Check = async (sight) => {
  const { fleet, directory, tenant, source, target, to, move } = sight
  const own = move ? await listLeftovers(directory, move.id) : []
  const isOwn = own.some(({ kind, shard }) => ['home', 'rows'].includes(kind) && shard === target.shard.key)
  if (isOwn || !to.mover) return []
  const { isolation, namespace } = target.home
  if (isolation !== 'shared') {
    const place = { shard: target.shard.key, isolation, namespace }
    const clash = await thereAlready(() => isThere(fleet, directory, place))
    if (clash) return [fault(`${target.shard.key} has the ${isolation} ${namespace} already. ${LEFT}`)]
  }
  if (isolation === 'database') return []
  const shared = { ...target, home: { isolation: 'shared', namespace: '' } } as const
  const faults: Fault[] = []
  for (const table of await movedTablesOf(to.mover, shared)) {
    const comes = table.id === IDEMPOTENCY ? !isOneDatabase({ source, target }) : isolation === 'shared'
    // A mover that may not look is told of by `ensureRights`.
    if (comes && (await hasRows(to.mover, table, tenant).catch(unlessDenied)))
      faults.push(fault(`${target.shard.key} has rows of ${tenant} in ${table.id} already. ${LEFT}`))
  }
  return faults
}

const unlessDenied = (error: unknown): boolean => {
  if (sqlState(error) === '42501') return false
  throw error
}

const LEFT = 'An earlier move has left them, or a hand. See and remove them: shardgate move doctor --clean'

// A server that is down, or another one, is told of elsewhere.
const thereAlready = (ask: () => Promise<boolean>): Promise<boolean> => ask().catch(() => false)

/** What a publication wants of tables: else every UPDATE of them would fail, whoever's rows they are. */
export const ensurePublishable: Check = async (sight) => {
  const { source, target, from, to } = sight
  const faults: string[] = []
  if (from.owner)
    faults.push(
      ...(await publishingFaults(from.owner, source, await publishedTables(from.owner, source, target))),
    )
  if (to.owner) {
    const shared = { ...target, ...future(sight) }
    const found = await publishingFaults(to.owner, shared, await publishedTables(to.owner, shared, source))
    faults.push(...found.map((sentence) => `On ${target.shard.key}, for the way back: ${sentence}`))
  }
  return [...faults.map((sentence) => fault(sentence)), ...(await ensureMayPublish(sight))]
}

async function ensureMayPublish({ from, to }: Sight): Promise<Fault[]> {
  const faults: Fault[] = []
  for (const { owner, where } of [from, to]) {
    if (!owner) continue
    const [row] = await owner.query(
      compile(sql`
        select has_database_privilege(current_user, current_database(), 'create') as may,
          format('grant create on database %I to %I;', current_database(), current_user) as statement`),
    )
    if (row?.may !== 't')
      faults.push(
        fault(`On ${where.shard.key} the owner may not publish. A superuser has to type: ${row?.statement}`),
      )
  }
  return faults
}
