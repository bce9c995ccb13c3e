/** Rows for the tables of the help desk that carry tags, instead of the example's own, which read well. */

import type { Client } from '../../../src/db/client.ts'
import type { Canary } from '../canary.ts'
import { fill } from './fill.ts'
import { literal } from './fill-values.ts'

/** @param client  a superuser, once the migrations have been applied */
export function fillHelpdesk(client: Client, tenants: readonly Canary[], rows: number): Promise<void> {
  return fill(client, {
    tenantColumn: 'tenant_id',
    schemas: ['helpdesk'],
    tenants,
    rows,
    overrides: {
      'helpdesk.users.email': ({ canary, n }) => literal(canary.text(`${n}@example.com`)),
      'helpdesk.orders.currency': () => literal('EUR'),
      'helpdesk.orders.tax_rate': () => '0.2',
      'helpdesk.tags.color': ({ n }) => literal(`#${String(n).padStart(6, '0')}`),
      'helpdesk.order_items.quantity': ({ n }) => String(n),
      'helpdesk.tickets.satisfaction': ({ n }) => String(1 + (n % 5)),
    },
  })
}
