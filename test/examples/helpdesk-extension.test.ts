/** The extension of the help desk: one of each thing that an extension can add, on the example's own rows. */

import { parse } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import extension from '../../examples/helpdesk/extension.ts'
import { tenantId } from '../../src/base/ids.ts'
import { buildApi } from '../../src/graphql/api.ts'
import type { Extension } from '../../src/graphql/extension.ts'
import { roleOf } from '../../src/graphql/permissions/rules.ts'
import { type Data, openConfiguredApi, type WorldApi } from '../kit/api.ts'
import { type Helpdesk, startHelpdesk } from '../kit/helpdesk.ts'

let helpdesk: Helpdesk
let api: WorldApi
const tenant = () => ({ id: tenantId(helpdesk.tenants[0]!) })
const data = (source: string, variables: object = {}): Promise<Data> => api.data(tenant(), source, variables)

beforeAll(async () => {
  helpdesk = await startHelpdesk()
  api = await openConfiguredApi(helpdesk, {}, [extension, NIGHT])
})
afterAll(async () => {
  api?.end()
  await helpdesk?.stop()
})

/** The job of every night, in the transaction of a mutation. */
const NIGHT: Extension = {
  extend({ builder, ...tools }) {
    builder.mutationField('closeResolved', (t) =>
      t.boolean({
        resolve: async (_root, _args, context) => {
          const of = { id: 'x', name: 'closeResolved', tenant: tenant().id, data: {}, attempt: 1 }
          const { signal } = new AbortController()
          await extension.jobs.closeResolved.run({ ...of, ...tools, context, signal })
          return true
        },
      }),
    )
  },
}

const openTicket = async (): Promise<Data> => {
  const filter = { status: { eq: 'OPEN' }, satisfaction: { isNull: true }, closedAt: { isNull: true } }
  const { tickets } = await data(
    'query($filter: TicketFilter) { tickets(first: 1, filter: $filter) { nodes { id author { id } comments { totalCount } } } }',
    { filter },
  )
  return tickets.nodes[0]
}

const UPDATE = `mutation($id: ID!, $patch: TicketPatch!) { updateTicket(id: $id, patch: $patch) {
  ... on Ticket { status closedAt updatedAt satisfaction overdue(on: "2999-01-01") } ... on ConstraintError { message } } }`

describe('the extension of the help desk', () => {
  it('adds a field, a type and a query', async () => {
    const { busiestAssignees, tickets } = await data(
      '{ busiestAssignees(first: 3) { name openTickets } tickets(first: 3) { nodes { overdue(on: "2026-01-01") } } }',
    )
    expect(busiestAssignees.length).toBeGreaterThan(0)
    expect(tickets.nodes.map(({ overdue }: Data) => typeof overdue)).toEqual([
      'boolean',
      'boolean',
      'boolean',
    ])
  })

  it('has a job that closes what has been resolved for two weeks, and nothing else', async () => {
    const count = async (status: string): Promise<number> => {
      const filter = { status: { eq: status } }
      const answer = await data('query($filter: TicketFilter) { tickets(filter: $filter) { totalCount } }', {
        filter,
      })
      return answer.tickets.totalCount
    }
    const [resolved, closed] = [await count('RESOLVED'), await count('CLOSED')]
    expect(await data('mutation { closeResolved }')).toEqual({ closeResolved: true })
    const left = await count('RESOLVED')
    expect(left).toBeLessThan(resolved)
    expect(await count('CLOSED')).toBe(closed + resolved - left)
  })

  it('adds a mutation of several steps, kept together', async () => {
    const ticket = await openTicket()
    const source = `mutation($id: ID!, $author: ID!, $body: String!) {
      answerTicket(id: $id, author: $author, body: $body) {
        status comments(orderBy: [{ rowId: DESC }], first: 1) { totalCount nodes { body } } } }`
    const variables = { id: ticket.id, author: ticket.author.id }
    expect((await data(source, { ...variables, body: 'We look into it.' })).answerTicket).toEqual({
      status: 'WAITING',
      comments: { totalCount: ticket.comments.totalCount + 1, nodes: [{ body: 'We look into it.' }] },
    })
    const refused = await api.run(tenant(), source, { ...variables, body: '' })
    expect(refused.data).toEqual({ answerTicket: null })
    expect(refused.errors?.[0]?.message).toBe('A check does not allow this value of body.')
  })

  it('keeps rules of the help desk in hooks', async () => {
    const { id } = await openTicket()
    const early = await api.run(tenant(), UPDATE, { id, patch: { satisfaction: 5 } })
    expect(early.errors?.[0]?.message).toBe('A ticket is rated when it is resolved or closed.')
    const { updateTicket } = await data(UPDATE, { id, patch: { status: 'CLOSED', satisfaction: 5 } })
    expect(updateTicket).toMatchObject({ status: 'CLOSED', satisfaction: 5, overdue: false })
    expect(updateTicket.closedAt).toBe(updateTicket.updatedAt)
  })

  it('says who may use what it adds', () => {
    const sizes = () => ({ pageSize: 100, pageSizeDefault: 20, rows: 10_000 })
    const { requiredRules } = buildApi(api.model, sizes, [extension], () => {})
    const source = 'mutation { answerTicket(id: "t", author: "u", body: "b") { rowId } }'
    expect(requiredRules(parse(source), null, {}).map(({ rule }) => roleOf(rule))).toEqual(['member'])
  })
})
