/** Rows of operations: `directory.operation`, read and written together with the audit log. */

import { type TenantId, tenantId } from '../../base/ids.ts'
import type { Client, Queryable, TextRow } from '../../db/client.ts'
import { compile, sql } from '../../db/sql.ts'
import { appendAudit } from '../../directory/audit.ts'
import type { OperationRecord } from './types.ts'

export interface NewOperation {
  readonly kind: string
  readonly tenant: TenantId | null
  readonly input: object
  readonly operator: string
}

/** Write down that an operation begins; in the caller's transaction where one is open. */
export function insertOperation(directory: Client, wanted: NewOperation): Promise<OperationRecord> {
  const { kind, tenant, input, operator } = wanted
  return directory.atomically(async () => {
    const [row] = await directory.query(
      compile(sql`
        insert into directory.operation (kind, tenant_id, input, operator)
        values (${sql.value(kind)}, ${sql.value(tenant)}, ${sql.value(JSON.stringify(input))}, ${sql.value(operator)})
        returning *`),
    )
    const record = recordFrom(row!)
    await tell(directory, operator, record, 'begun')
    return record
  })
}

/** Write down that a step is done, and what it has left. */
export async function keepStep(
  directory: Queryable,
  id: string,
  step: string,
  memory: object,
): Promise<void> {
  await directory.query(
    compile(sql`
      update directory.operation
      set done = array_append(array_remove(done, ${sql.value(step)}), ${sql.value(step)}),
        memory = memory || ${sql.value(JSON.stringify(memory))}::jsonb, error = null, changed_at = now()
      where id = ${sql.value(id)}`),
  )
}

/** Write down that a step was undone. */
export async function dropStep(directory: Queryable, id: string, step: string): Promise<void> {
  await directory.query(
    compile(sql`
      update directory.operation set done = array_remove(done, ${sql.value(step)}), changed_at = now()
      where id = ${sql.value(id)}`),
  )
}

/** Write down why a run ended early; the operation stays unfinished. */
export async function keepError(directory: Queryable, id: string, error: string): Promise<void> {
  await directory.query(
    compile(sql`
      update directory.operation set error = ${sql.value(error)}, changed_at = now() where id = ${sql.value(id)}`),
  )
}

/**
 * Write down the end. Of what was undone nothing is kept but that it was: a tenant that was never made cannot be
 * purged, and what was asked for may hold another tenant's name and settings. In the caller's transaction where one is
 * open.
 */
export function endOperation(
  directory: Client,
  operator: string,
  record: OperationRecord,
  state: 'done' | 'aborted',
): Promise<void> {
  return directory.atomically(async () => {
    const kept = state === 'done' ? sql.blank : sql`input = '{}', memory = '{}', `
    await directory.query(
      compile(sql`
        update directory.operation set ${kept}state = ${sql.value(state)}, error = null, changed_at = now()
        where id = ${sql.value(record.id)}`),
    )
    await tell(directory, operator, record, state)
  })
}

/** Write down that somebody goes on with it. */
export function resumed(directory: Client, operator: string, record: OperationRecord): Promise<void> {
  return directory.transaction(() => tell(directory, operator, record, 'resumed'))
}

function tell(
  directory: Queryable,
  operator: string,
  { id, kind, tenant }: OperationRecord,
  what: string,
): Promise<void> {
  return appendAudit(directory, { operator, action: `${kind} ${what}`, tenant, details: { operation: id } })
}

/** The unfinished operation of a tenant, or of a kind on the whole fleet. */
export async function findRunning(
  directory: Queryable,
  tenant: TenantId | null,
  kind: string,
): Promise<OperationRecord | null> {
  const whose =
    tenant === null
      ? sql`tenant_id is null and kind = ${sql.value(kind)}`
      : sql`tenant_id = ${sql.value(tenant)}`
  const [row] = await directory.query(
    compile(sql`select * from directory.operation where state = 'running' and ${whose} order by id limit 1`),
  )
  return row ? recordFrom(row) : null
}

/** What the operator gave as the reason of the latest operation of a kind on a tenant; null when nobody gave one. */
export async function reasonOf(directory: Queryable, tenant: TenantId, kind: string): Promise<string | null> {
  const [row] = await directory.query(
    compile(sql`
      select input->>'reason' as reason from directory.operation
      where tenant_id = ${sql.value(tenant)} and kind = ${sql.value(kind)} and state = 'done'
      order by id desc limit 1`),
  )
  return row?.reason ?? null
}

/** Those of `tenants` that have an unfinished operation, with its id. */
export async function unfinishedOf(
  directory: Queryable,
  tenants: readonly TenantId[],
): Promise<Map<TenantId, string>> {
  const rows = await directory.query(
    compile(sql`
      select tenant_id, id from directory.operation
      where state = 'running' and tenant_id = any(${sql.value(tenants)}::text[])`),
  )
  return new Map(rows.map(({ tenant_id, id }) => [tenantId(tenant_id), id ?? '']))
}

export async function findOperation(directory: Queryable, id: string): Promise<OperationRecord | null> {
  const [row] = await directory.query(
    compile(sql`select * from directory.operation where id = ${sql.value(id)}::bigint`),
  )
  return row ? recordFrom(row) : null
}

/** @param all  ended ones too; the latest `limit`, oldest first */
export async function listOperations(
  directory: Queryable,
  { all, limit }: { readonly all: boolean; readonly limit: number },
): Promise<OperationRecord[]> {
  const which = all ? sql.blank : sql`where state = 'running'`
  const rows = await directory.query(
    compile(sql`
      select * from (select * from directory.operation ${which} order by id desc limit ${sql.value(limit)}::int) as latest
      order by id`),
  )
  return rows.map(recordFrom)
}

function recordFrom(row: TextRow): OperationRecord {
  return {
    id: row.id ?? '',
    kind: row.kind ?? '',
    tenant: typeof row.tenant_id === 'string' ? tenantId(row.tenant_id) : null,
    input: JSON.parse(row.input ?? '{}') as object,
    memory: JSON.parse(row.memory ?? '{}') as object,
    done: namesOf(row.done ?? '{}'),
    state: row.state as OperationRecord['state'],
    error: row.error ?? null,
    operator: row.operator ?? '',
    startedAt: row.started_at ?? '',
    changedAt: row.changed_at ?? '',
  }
}

// An array of our own names, which hold no quotes; those with spaces stand in some.
function namesOf(literal: string): string[] {
  return [...literal.matchAll(/"([^"]*)"|([^{},]+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
}
