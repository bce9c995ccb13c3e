/**
 * What no table has, added in code: a field computed from its own row, a type, a query that runs SQL of its own in
 * the caller's tenant, a mutation of several steps, hooks that keep rules of the help desk, a job of every night, and who
 * may use what.
 */

import { type Extension, enqueue, refuse } from '../../src/graphql/extension.ts'

interface AssigneeLoad {
  readonly name: string
  readonly openTickets: number
}

/** Days after which a ticket that is resolved is closed. */
const QUIET_DAYS = 14
const TICKETS_AT_ONCE = 50

const DONE: readonly unknown[] = ['resolved', 'closed']

export default {
  permissions: { 'Query.busiestAssignees': 'member', 'Mutation.answerTicket': 'member' },

  hooks: () => ({
    Ticket: {
      beforeUpdate(patch, ticket, { scope }) {
        const after = { ...ticket, ...patch }
        const isDone = DONE.includes(after.status)
        const isEarly = patch.satisfaction != null && !isDone
        if (isEarly && !scope.hasFeature('early-ratings'))
          refuse('A ticket is rated when it is resolved or closed.')
        const now = new Date().toISOString()
        const closing = isDone && !DONE.includes(ticket.status) ? { closedAt: now } : {}
        return { updatedAt: now, ...closing, ...patch }
      },
    },
  }),

  jobs: {
    closeResolved: {
      schedule: { cron: '0 3 * * *' },
      async run({ table, context }) {
        const tickets = table('Ticket')
        const quietSince = new Date(Date.now() - QUIET_DAYS * 24 * 3_600_000).toISOString()
        const filter = { status: { eq: 'resolved' }, updatedAt: { lt: quietSince } }
        const found = await tickets.list({ filter, first: TICKETS_AT_ONCE }, context)
        for (const ticket of found) await tickets.update(ticket, { status: 'closed' }, context)
        // The rest in transactions of their own: this one holds the rows that it has changed.
        if (found.length === TICKETS_AT_ONCE) await enqueue(context, 'closeResolved')
      },
    },
  },

  extend({ builder, table, type, column, sql, statement }) {
    const status = column('Ticket', 'status')
    const dueOn = column('Ticket', 'dueOn')
    builder.objectField(type('Ticket'), 'overdue', (t) =>
      t.boolean({
        nullable: false,
        description: 'Whether the ticket is still open after the day that it was due on.',
        args: { on: t.arg({ type: 'Date', required: true, description: 'The day to judge by.' }) },
        resolve: (ticket, { on }) =>
          !['resolved', 'closed'].includes(status(ticket) ?? '') && (dueOn(ticket) ?? on) < on,
      }),
    )

    const load = builder.objectRef<AssigneeLoad>('AssigneeLoad').implement({
      description: 'How much one user has on the table.',
      fields: (t) => ({
        name: t.exposeString('name', { nullable: false }),
        openTickets: t.exposeInt('openTickets', { nullable: false }),
      }),
    })
    builder.queryField('busiestAssignees', (t) =>
      t.field({
        type: [load],
        nullable: { list: false, items: false },
        description: 'Users with the most open tickets.',
        args: { first: t.arg.int({ required: true, defaultValue: 5 }) },
        resolve: async (_root, { first }, { scope }) => {
          const limit = sql.value(Math.max(0, Math.min(first, 50)))
          const tenant = sql.value(scope.identity.tenant)
          const [rows = []] = await scope.run([
            statement(sql`
              select u.name, count(*) from helpdesk.tickets t
              join helpdesk.users u on u.tenant_id = t.tenant_id and u.id = t.assignee_id
              where t.tenant_id = ${tenant} and t.status in ('new', 'open', 'waiting')
              group by u.id, u.name order by count(*) desc, u.name limit ${limit}`),
          ])
          return rows.map(([name, count]) => ({ name: name ?? '', openTickets: Number(count) }))
        },
      }),
    )

    const [tickets, comments, users] = [table('Ticket'), table('Comment'), table('User')]
    builder.mutationField('answerTicket', (t) =>
      t.field({
        type: tickets.type,
        description: 'Comment on a ticket and wait for its author; null when there is no such ticket.',
        args: {
          id: t.arg.id({ required: true }),
          author: t.arg.id({ required: true, description: 'The user who answers.' }),
          body: t.arg.string({ required: true }),
        },
        resolve: async (_root, { id, author, body }, context) => {
          const ticket = await tickets.byId(id, context)
          const user = await users.byId(author, context)
          if (!ticket) return null
          if (!user) return refuse('There is no user with the id that "author" gives.')
          const [ticketId, authorId] = [tickets.read(ticket).rowId, users.read(user).rowId]
          await comments.insert({ ticketId, authorId, body }, context)
          return tickets.update(ticket, { status: 'waiting' }, context)
        },
      }),
    )
  },
} satisfies Extension
