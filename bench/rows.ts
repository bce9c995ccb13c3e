/**
 * Rows of the benchmark's tenants, made by Postgres out of numbers: the same on every run.
 *
 * A row's id tells its place: the k-th row of the i-th of n tenants has the id k * n + i + 1, so that ids of a tenant are
 * known without a query. On disk rows lie in the order of their ids, between those of other tenants, as when all tenants
 * have written at once; or together, as when tenants have been imported or moved.
 */

import { createHash } from 'node:crypto'
import { type Client, withClient } from '../src/db/client.ts'

export interface BenchTenant {
  /** A uuid. */
  readonly id: string
  readonly size: string
  readonly users: number
  readonly tickets: number
}

export interface TenantSize {
  readonly size: string
  readonly tenants: number
  readonly users: number
  readonly tickets: number
}

/** 200 tenants: many small ones, few large ones; some 200,000 tickets. */
export const SIZES: readonly TenantSize[] = [
  { size: 'S', tenants: 160, users: 20, tickets: 250 },
  { size: 'M', tenants: 35, users: 80, tickets: 2_000 },
  { size: 'L', tenants: 5, users: 400, tickets: 18_000 },
]

export const COMMENTS_PER_TICKET = 5

/** Tenants of the given sizes, with ids that are the same on every run. */
export function planTenants(sizes: readonly TenantSize[]): BenchTenant[] {
  return sizes.flatMap(({ size, tenants, users, tickets }) =>
    Array.from({ length: tenants }, (_, i) => ({ id: uuidOf(`${size} ${i}`), size, users, tickets })),
  )
}

function uuidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** The id of the k-th row of the i-th of n tenants. */
export const rowId = (k: number, i: number, n: number): number => k * n + i + 1

/** Ids above this belong to rows that a mutation has made. */
export const MADE_ID = 1_000_000_000

const STATUSES = `array['new','open','open','waiting','resolved','closed','closed','closed','closed','closed']`
const PRIORITIES = `array['low','normal','normal','high','urgent']`

// One text in eight has what JSON has to escape, and one in sixteen a letter of two bytes.
const fillWith = (order: string): string[] => [
  `insert into users (tenant_id, id, name, email, role, created_at)
   select id, k * n + i + 1, 'Person ' || k || ' of ' || left(id::text, 8), 'person' || k || '@' || left(id::text, 8) || '.test',
     case when k % 4 = 0 then 'agent' else 'requester' end, timestamptz '2024-01-01' + k * interval '1 hour'
   from plan, generate_series(0, users - 1) k ${order}`,
  `insert into tickets (tenant_id, id, subject, body, status, priority, author_id, assignee_id, created_at, updated_at)
   select id, k * n + i + 1,
     'Ticket ' || k || case when k % 16 = 0 then ' für ' else ' for ' end || left(id::text, 8) || ': it does not print',
     repeat('The printer prints nothing but stars. ', 6),
     (${STATUSES})[(k * 7 + i) % 10 + 1], (${PRIORITIES})[(k * 3 + i) % 5 + 1],
     ((k * 31 + i) % users) * n + i + 1,
     case when k % 5 = 0 then null else ((k * 17 + i) % users) * n + i + 1 end,
     timestamptz '2024-01-01' + (k * 977 + i) * interval '1 second',
     timestamptz '2024-01-02' + (k * 977 + i) * interval '1 second' + interval '0.25 seconds'
   from plan, generate_series(0, tickets - 1) k ${order}`,
  `insert into comments (tenant_id, id, ticket_id, author_id, body, created_at)
   select id, (k * ${COMMENTS_PER_TICKET} + j) * n + i + 1, k * n + i + 1, ((k * 13 + j * 7 + i) % users) * n + i + 1,
     case when (k + j) % 8 = 0 then E'He says "off and on again".\\n' else 'Have you tried it off and on again? ' end
       || 'Comment ' || j || ' on ticket ' || k || ', written to be of ordinary length.',
     timestamptz '2024-01-01' + (k * 977 + i) * interval '1 second' + (j + 1) * interval '10 minutes'
   from plan, generate_series(0, tickets - 1) k, generate_series(0, ${COMMENTS_PER_TICKET - 1}) j ${order}`,
]

export type Layout = 'mixed' | 'together'

/**
 * Fill the tables of `schema`.
 *
 * @param url  of a superuser, who is past the policies and may leave triggers out
 */
export async function fillRows(
  url: string,
  schema: string,
  tenants: readonly BenchTenant[],
  layout: Layout = 'mixed',
): Promise<void> {
  await withClient(url, async (client) => {
    // References hold by the way the rows are made; checking each would take longer than all the rest.
    await client.query(
      `set session_replication_role = replica; set search_path = ${schema}; set work_mem = '256MB'`,
    )
    await client.query('create temp table plan (id uuid, i int, n int, users int, tickets int)')
    const plan = tenants.map(({ id, users, tickets }, i) => ({ id, i, n: tenants.length, users, tickets }))
    await client.query({
      text: 'insert into plan select * from jsonb_to_recordset($1) as t (id uuid, i int, n int, users int, tickets int)',
      values: [JSON.stringify(plan)],
    })
    const order = layout === 'mixed' ? 'order by 2' : 'order by 1, 2'
    for (const text of fillWith(order)) await client.query(text)
    for (const table of ['users', 'tickets', 'comments']) await settle(client, table)
  })
}

async function settle(client: Client, table: string): Promise<void> {
  await client.query(`alter table ${table} alter column id restart with ${MADE_ID}`)
  await client.query(`vacuum (freeze, analyze) ${table}`)
}

/** Remove what mutations have made, so that every slice meets the same tables. */
export async function removeMadeRows(url: string, schema: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query(`delete from ${schema}.comments where id >= ${MADE_ID}`)
    await client.query(`vacuum ${schema}.comments`)
  })
}
