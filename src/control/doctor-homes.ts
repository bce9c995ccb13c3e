/**
 * What doctor looks at in the homes of tenants: whether each is there, lets its tenant in as the directory says, and
 * keeps it apart; and whether a backup has brought back tenants that were purged.
 */

import type { TenantId } from '../base/ids.ts'
import type { Client, TextRow } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'
import { tenantRole } from '../directory/namespaces.ts'
import type { TenantRecord } from '../directory/tenants.ts'
import type { TenantState } from '../directory/types.ts'
import { checkSafety } from '../model/safety.ts'
import { advice, type Diagnosis, unsafe } from './diagnosis.ts'
import { safetyQuestion } from './homes/check.ts'
import { identityOf } from './install.ts'
import { fenceOf } from './life/fence.ts'
import { findRevived, type Looked } from './life/revived.ts'
import { onHome, reasonOf, type ShardAccess } from './reach.ts'

/** Databases of tenants that are looked at at once, on one shard. */
const AT_ONCE = 4

export interface HomesQuestion {
  readonly shard: ShardAccess
  /** Uuid that the directory has of the shard. */
  readonly shardId: string
  readonly tenants: readonly TenantRecord[]
  readonly tenancy: NonNullable<Looked['tenancy']>
}

/**
 * The homes on one shard, which `client` is connected to as owner. A shard that was restored from an old backup has
 * older fences than the directory, or fewer.
 */
export async function homeFindings(client: Client, question: HomesQuestion): Promise<Diagnosis[]> {
  const { shard, tenants } = question
  const here = tenants.filter(isPlaced).filter(({ shard: key }) => key === shard.key)
  const fences = await fencesIn(client)
  const findings: Diagnosis[] = []
  for (const tenant of here) {
    if (tenant.isolation === 'database') continue
    findings.push(...fenceFindings(shard.key, tenant, fences))
    if (tenant.isolation === 'schema') findings.push(...(await schemaFindings(client, tenant, question)))
  }
  const databases = here.filter(({ isolation }) => isolation === 'database')
  for (let i = 0; i < databases.length; i += AT_ONCE) {
    const some = databases.slice(i, i + AT_ONCE).map((tenant) => databaseFindings(tenant, question))
    findings.push(...(await Promise.all(some)).flat())
  }
  return findings
}

/** A tenant that routers see. */
type Placed = TenantRecord & { readonly state: TenantState }

const isPlaced = (tenant: TenantRecord): tenant is Placed =>
  tenant.state !== 'creating' && tenant.state !== 'purging'

async function schemaFindings(
  client: Client,
  tenant: TenantRecord,
  { shard, shardId, tenancy }: HomesQuestion,
): Promise<Diagnosis[]> {
  const role = tenantRole(shardId, tenant.id)
  const [found] = await client.query(
    compile(sql`
      select to_regnamespace(quote_ident(${sql.value(tenant.namespace)})) is not null as schema,
        to_regrole(quote_ident(${sql.value(role)})) is not null as role`),
  )
  if (found?.schema !== 't') return [isGone(shard.key, tenant, `the schema ${tenant.namespace} is not there`)]
  if (found.role !== 't') return [isGone(shard.key, tenant, `its role ${role} is not there`)]
  return safetyFindings(client, shard.key, tenant, role, tenancy)
}

async function databaseFindings(
  tenant: Placed,
  { shard, shardId, tenancy }: HomesQuestion,
): Promise<Diagnosis[]> {
  const { key } = shard
  try {
    return await onHome(shard, tenant, async (client) => {
      const id = await identityOf(client)
      if (id !== shardId) return [isGone(key, tenant, `its database carries the identity ${id ?? '(none)'}`)]
      const findings = fenceFindings(key, tenant, await fencesIn(client))
      return [...findings, ...(await safetyFindings(client, key, tenant, 'shardgate_app', tenancy))]
    })
  } catch (error) {
    return [isGone(key, tenant, reasonOf(error).replace(/\.$/, ''))]
  }
}

const isGone = (where: string, { id, isolation }: TenantRecord, what: string): Diagnosis =>
  unsafe(where, 'home', `${id} has a ${isolation} of its own, and ${what}. Restore it from a backup.`)

async function fencesIn(client: Client): Promise<ReadonlyMap<string | null | undefined, TextRow>> {
  const [table] = await client.query(`select to_regclass('shardgate.tenant_fence') is not null as there`)
  if (table?.there !== 't') return new Map()
  const rows = await client.query('select tenant_id, state, epoch from shardgate.tenant_fence')
  return new Map(rows.map((row) => [row.tenant_id, row]))
}

function fenceFindings(
  where: string,
  { id, epoch, state }: Placed,
  fences: ReadonlyMap<string | null | undefined, TextRow>,
): Diagnosis[] {
  const fence = fences.get(id)
  const found = fence ? `state ${fence.state} at epoch ${fence.epoch}` : 'nothing'
  if (!fence || fence.state === 'moved' || fence.state === 'purged' || Number(fence.epoch) !== epoch) {
    return [unsafe(where, 'fence', `The directory has ${id} here at epoch ${epoch}; the shard has ${found}.`)]
  }
  if (fence.state === fenceOf(state) || fence.state === 'frozen') return []
  const way = `Run "shardgate operation list" and resume what was begun, or give the command for ${id} again.`
  return [unsafe(where, 'fence', `The directory says that ${id} is ${state}; the shard has ${found}. ${way}`)]
}

async function safetyFindings(
  client: Client,
  where: string,
  tenant: TenantRecord,
  role: string,
  tenancy: HomesQuestion['tenancy'],
): Promise<Diagnosis[]> {
  const findings = await checkSafety(client, safetyQuestion(tenancy, tenant, role))
  return findings
    .filter(({ severity }) => severity === 'unsafe')
    .map(({ mend, ...finding }) => ({ where, ...finding, reason: `Of ${tenant.id}: ${finding.reason}` }))
}

/** Tenants that were purged and are there again. */
export async function revivedFindings(looked: Looked): Promise<Diagnosis[]> {
  try {
    const found = await findRevived(looked, () => {})
    return found.map(({ tenant, where, what }) => unsafe(where, 'revived', revivedSentence(tenant, what)))
  } catch {
    return [] // A place that is down is told by who examines it; the others are looked at all the same.
  }
}

function revivedSentence(tenant: TenantId, what: string): string {
  const cause = 'as a backup from before brings it back. It is not served.'
  return `${tenant} was purged, and there is ${what} again, ${cause} Run "shardgate tenant purge ${tenant} --revived".`
}

/** Operations that were begun and not finished; tenants that are not made yet are told by their rows. */
export async function operationFindings(directory: Client): Promise<Diagnosis[]> {
  const [table] = await directory.query(`select to_regclass('directory.operation') is not null as there`)
  if (table?.there !== 't') return []
  const rows = await directory.query(
    `select id, kind, tenant_id, error from directory.operation 
     where state = 'running' and kind <> 'tenant.create' order by id`,
  )
  return rows.map(({ id, kind, tenant_id: tenant, error }) => {
    const why = error === null ? '' : ` It stopped: ${error}`
    const sentence = `Operation ${id} (${kind}${tenant === null ? '' : ` of ${tenant}`}) is not finished.${why}`
    return advice('directory', 'unfinished', `${sentence} Run "shardgate operation resume ${id}".`)
  })
}
