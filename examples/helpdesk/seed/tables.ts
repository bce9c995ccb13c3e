/** The tables that are seeded, in the order in which their foreign keys allow it, with types for casts. */

/** A value as Postgres text, or null. */
export type Cell = string | null

export interface SeedTable {
  readonly name: string
  /** Column → Postgres type, in insert order. Columns that Postgres writes are left out. */
  readonly columns: Readonly<Record<string, string>>
  /** Whether `id` is an identity, whose sequence must end up above the ids that were given. */
  readonly identity: boolean
}

export const TABLES = {
  users: {
    name: 'users',
    identity: true,
    columns: {
      tenant_id: 'text',
      id: 'bigint',
      email: 'text',
      name: 'text',
      role: 'user_role',
      active: 'boolean',
      skills: 'text[]',
      preferences: 'jsonb',
      born_on: 'date',
      created_at: 'timestamptz',
      last_seen_at: 'timestamptz',
    },
  },
  teams: {
    name: 'teams',
    identity: true,
    columns: {
      tenant_id: 'text',
      id: 'bigint',
      name: 'text',
      description: 'text',
      lead_id: 'bigint',
      reply_within: 'interval',
      created_at: 'timestamptz',
    },
  },
  teamMembers: {
    name: 'team_members',
    identity: false,
    columns: { tenant_id: 'text', team_id: 'bigint', user_id: 'bigint', joined_on: 'date' },
  },
  tags: {
    name: 'tags',
    identity: true,
    columns: { tenant_id: 'text', id: 'bigint', name: 'text', color: 'text', created_at: 'timestamptz' },
  },
  orders: {
    name: 'orders',
    identity: false,
    columns: {
      tenant_id: 'text',
      id: 'uuid',
      customer_id: 'bigint',
      status: 'order_status',
      currency: 'text',
      tax_rate: 'numeric',
      ship_to: 'jsonb',
      placed_on: 'date',
      deliver_on: 'date',
      created_at: 'timestamptz',
    },
  },
  orderItems: {
    name: 'order_items',
    identity: true,
    columns: {
      tenant_id: 'text',
      id: 'bigint',
      order_id: 'uuid',
      position: 'integer',
      sku: 'text',
      title: 'text',
      quantity: 'integer',
      unit_price_cents: 'bigint',
      weight_kg: 'numeric',
    },
  },
  tickets: {
    name: 'tickets',
    identity: true,
    columns: {
      tenant_id: 'text',
      id: 'bigint',
      subject: 'text',
      body: 'text',
      status: 'ticket_status',
      priority: 'ticket_priority',
      channel: 'ticket_channel',
      author_id: 'bigint',
      assignee_id: 'bigint',
      team_id: 'bigint',
      order_id: 'uuid',
      cc_emails: 'text[]',
      metadata: 'jsonb',
      satisfaction: 'smallint',
      due_on: 'date',
      created_at: 'timestamptz',
      updated_at: 'timestamptz',
      closed_at: 'timestamptz',
    },
  },
  comments: {
    name: 'comments',
    identity: true,
    columns: {
      tenant_id: 'text',
      id: 'bigint',
      ticket_id: 'bigint',
      author_id: 'bigint',
      parent_id: 'bigint',
      body: 'text',
      internal: 'boolean',
      created_at: 'timestamptz',
      edited_at: 'timestamptz',
    },
  },
  ticketTags: {
    name: 'ticket_tags',
    identity: false,
    columns: { tenant_id: 'text', ticket_id: 'bigint', tag_id: 'bigint' },
  },
} satisfies Record<string, SeedTable>

/** An array literal; Postgres reads the inner quotes and backslashes back as they were. */
export function arrayText(items: readonly Cell[]): string {
  return `{${items.map((item) => (item === null ? 'NULL' : `"${item.replace(/["\\]/g, '\\$&')}"`)).join(',')}}`
}
