/**
 * What the two servers with resolvers ask Postgres, named so that it is prepared once per connection. Columns have the
 * names of the fields. Row-level security alone keeps the tenant, as is usual.
 */

import pg from 'pg'

// A Date loses microseconds, and costs time to make and to print.
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, String)

export interface Statement {
  readonly name: string
  readonly text: string
}

const TICKET = `id as "rowId", subject, status, priority, author_id as "authorId", assignee_id as "assigneeId",
  created_at as "createdAt", updated_at as "updatedAt"`

export const STATEMENTS = {
  ticket: { name: 'ticket', text: `select ${TICKET} from bench.tickets where id = $1` },
  tickets: {
    name: 'tickets',
    text: `select ${TICKET} from bench.tickets order by created_at desc limit $1`,
  },
  filtered: {
    name: 'filtered',
    text: `select ${TICKET} from bench.tickets where status = $2 and created_at >= $3 order by created_at desc limit $1`,
  },
  count: {
    name: 'count',
    text: 'select count(*)::int as count from bench.tickets where status = $1 and created_at >= $2',
  },
  users: { name: 'users', text: 'select id as "rowId", name from bench.users where id = any($1::bigint[])' },
  ticketsById: {
    name: 'ticketsById',
    text: `select ${TICKET} from bench.tickets where id = any($1::bigint[])`,
  },
  comments: {
    name: 'comments',
    text: `select c.* from unnest($1::bigint[]) as t (id) cross join lateral (
      select id as "rowId", ticket_id as "ticketId", author_id as "authorId", body, created_at as "createdAt"
      from bench.comments where ticket_id = t.id order by id limit $2) c`,
  },
  createComment: {
    name: 'createComment',
    text: `insert into bench.comments (tenant_id, ticket_id, author_id, body) values ($1, $2, $3, $4)
      returning id as "rowId", ticket_id as "ticketId", author_id as "authorId", body, created_at as "createdAt"`,
  },
  counts: {
    name: 'counts',
    text: 'select status, count(*)::int as count from bench.tickets group by status order by status',
  },
} satisfies Record<string, Statement>

export const SET_TENANT: Statement = {
  name: 'setTenant',
  text: `select set_config('app.current_tenant_id', $1, true)`,
}

export interface User {
  readonly rowId: string
  readonly name: string
}

export interface Ticket {
  readonly rowId: string
  readonly subject: string
  readonly status: string
  readonly priority: string
  readonly authorId: string
  readonly assigneeId: string | null
  readonly createdAt: string
  readonly updatedAt: string
}

export interface Comment {
  readonly rowId: string
  readonly ticketId: string
  readonly authorId: string
  readonly body: string
  readonly createdAt: string
}

export interface StatusCount {
  readonly status: string
  readonly count: number
}

/** Cursor of a ticket in a list by time. */
export const cursorOf = ({ createdAt, rowId }: Ticket): string =>
  Buffer.from(JSON.stringify([createdAt, rowId])).toString('base64url')
