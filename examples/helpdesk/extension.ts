/**
 * Fields that no table has, added in code: one computed from its own row, one that runs SQL of its own in
 * the caller's tenant, with a permission.
 */

import type { Extension } from '../../src/graphql/extension.ts'

interface AssigneeLoad {
  readonly name: string
  readonly openTickets: number
}

export default {
  permissions: { 'Query.busiestAssignees': 'member' },

  extend({ builder, type, column, sql, statement }) {
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
  },
} satisfies Extension
