/** The rows of the test world: every value that can carry a tag carries its tenant's. */

import type pg from 'pg'
import type { Canary } from './canary.ts'

/** Tables of the world, parents first. */
export const WORLD_TABLES = ['projects', 'tasks', 'invoices', 'labels'] as const

/** Values of the tenant's rows, for arguments of operations: of one tenant own, of another foreign. */
export interface WorldValues {
  readonly projectIds: readonly number[]
  readonly taskIds: readonly number[]
  readonly invoiceIds: readonly string[]
  readonly texts: readonly string[]
  readonly numbers: readonly number[]
}

export function worldValues(canary: Canary, rows: number): WorldValues {
  const each = Array.from({ length: rows }, (_, i) => i + 1)
  return {
    projectIds: each.map((n) => canary.number(n)),
    taskIds: each,
    invoiceIds: each.map((n) => canary.uuid(n)),
    texts: ['project', 'task', 'label', 'reference'].flatMap((word) =>
      each.map((n) => canary.text(`${word}-${n}`)),
    ),
    numbers: each.flatMap((n) => [1, 2, 3].map((k) => canary.number(k * 100_000 + n))),
  }
}

/** Insert `rows` rows into each table. @param client  may write rows of any tenant: a superuser */
export async function insertWorld(
  client: pg.Client,
  canary: Canary,
  rows: number,
  schema: string,
): Promise<void> {
  const table = (name: string): string => `"${schema}".${name}`
  const { tenant } = canary
  for (let n = 1; n <= rows; n++) {
    const project = canary.number(n)
    const money = (k: number): number => canary.number(k * 100_000 + n)
    await client.query(
      `insert into ${table('projects')} values ($1, $2, $3, $4, $5, $6, $7, $8, '2026-01-01'::timestamptz + $9 * interval '1 hour')`,
      [
        tenant,
        project,
        canary.text(`project-${n}`),
        money(1),
        `${money(2)}.25`,
        JSON.stringify({ owner: canary.text(`note-${n}`), limit: money(3) }),
        [canary.text(`alias-${n}`), canary.text('alias')],
        Buffer.from(canary.text(`logo-${n}`)),
        n,
      ],
    )
    await client.query(`insert into ${table('tasks')} values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, [
      tenant,
      n,
      project,
      n > 2 ? Math.ceil(n / 2) : null,
      canary.text(`task-${n}`),
      (['todo', 'doing', 'done'] as const)[n % 3],
      money(2),
      `2026-02-${String((n % 28) + 1).padStart(2, '0')}`,
      n % 3 === 2,
    ])
    await client.query(`insert into ${table('invoices')} values ($1, $2, $3, $4, $5, $6)`, [
      tenant,
      canary.uuid(n),
      project,
      n,
      canary.text(`reference-${n}`),
      money(3),
    ])
    await client.query(`insert into ${table('labels')} values ($1, $2, $3), ($1, $2, $4)`, [
      tenant,
      n,
      canary.text(`label-${n}`),
      canary.text('label'),
    ])
  }
}
