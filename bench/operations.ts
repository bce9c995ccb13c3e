/**
 * The seven operations of the benchmark, in the words of each server, and the variables that go with them.
 *
 * Documents of one operation ask for the same values in the same order, so that the leaves of all answers can be
 * compared. Clients send the same text each time and put what differs into variables.
 */

import { type BenchTenant, COMMENTS_PER_TICKET, rowId } from './rows.ts'

export const OPERATIONS = ['Q1', 'Q2', 'Q3', 'Q4', 'Q5', 'Q6'] as const
export type OperationName = (typeof OPERATIONS)[number]

/** Shares of Q7, in hundredths. */
export const MIX: Readonly<Record<OperationName, number>> = { Q1: 35, Q2: 35, Q3: 20, Q4: 0, Q5: 9, Q6: 1 }

/** `shardgate` is what the two limits answer as well; `plain` is the schema that Mercurius and Yoga have here. */
export type Dialect = 'shardgate' | 'postgraphile' | 'plain'

export const TITLES: Readonly<Record<OperationName | 'Q7', string>> = {
  Q1: 'one ticket by its id',
  Q2: 'the 20 newest tickets, with pageInfo',
  Q3: 'the 20 newest tickets with author, assignee, and 5 comments each with author',
  Q4: '20 tickets by status and time, with totalCount',
  Q5: 'create a comment, and read its ticket and author',
  Q6: 'number of tickets by status',
  Q7: 'mix: 70 % Q1 and Q2, 20 % Q3, 9 % Q5, 1 % Q6',
}

const SCALARS = 'rowId subject status priority authorId assigneeId createdAt updatedAt'
const PAGE_INFO = 'pageInfo { hasNextPage endCursor }'
const PEOPLE = 'author { rowId name } assignee { rowId name }'
const COMMENT = 'rowId body createdAt author { rowId name }'
const THEIR_PEOPLE = 'userByTenantIdAndAuthorId { rowId name } userByTenantIdAndAssigneeId { rowId name }'
const THEIR_COMMENT = 'rowId body createdAt userByTenantIdAndAuthorId { rowId name }'
const THEIR_MADE =
  'body ticketByTenantIdAndTicketId { rowId subject } userByTenantIdAndAuthorId { rowId name }'
const MADE = 'body ticket { rowId subject } author { rowId name }'

export const DOCUMENTS: Readonly<Record<Dialect, Readonly<Record<OperationName, string>>>> = {
  shardgate: {
    Q1: `query Ticket($id: BigInt!) { ticketBy(by: { rowId: $id }) { ${SCALARS} } }`,
    Q2: `query Tickets($first: Int!) { tickets(first: $first, orderBy: [{ createdAt: DESC }]) { nodes { ${SCALARS} } ${PAGE_INFO} } }`,
    Q3: `query Board($first: Int!, $comments: Int!) { tickets(first: $first, orderBy: [{ createdAt: DESC }]) { nodes { rowId subject status ${PEOPLE} comments(first: $comments) { nodes { ${COMMENT} } } } } }`,
    Q4: `query Filtered($first: Int!, $status: String!, $since: DateTime!) { tickets(first: $first, filter: { status: { eq: $status }, createdAt: { gte: $since } }, orderBy: [{ createdAt: DESC }]) { totalCount nodes { ${SCALARS} } } }`,
    Q5: `mutation Comment($input: CreateCommentInput!) { createComment(input: $input) { ... on Comment { ${MADE} } } }`,
    Q6: 'query Counts { tickets { groups(by: [{ status: VALUE }]) { key { status } count } } }',
  },
  postgraphile: {
    Q1: `query Ticket($tenant: UUID!, $id: BigInt!) { ticketByTenantIdAndRowId(tenantId: $tenant, rowId: $id) { ${SCALARS} } }`,
    Q2: `query Tickets($first: Int!) { allTickets(first: $first, orderBy: [CREATED_AT_DESC]) { nodes { ${SCALARS} } ${PAGE_INFO} } }`,
    Q3: `query Board($first: Int!, $comments: Int!) { allTickets(first: $first, orderBy: [CREATED_AT_DESC]) { nodes { rowId subject status ${THEIR_PEOPLE} commentsByTenantIdAndTicketId(first: $comments) { nodes { ${THEIR_COMMENT} } } } } }`,
    Q4: `query Filtered($first: Int!, $status: String!, $since: Datetime!) { allTickets(first: $first, filter: { status: { equalTo: $status }, createdAt: { greaterThanOrEqualTo: $since } }, orderBy: [CREATED_AT_DESC]) { totalCount nodes { ${SCALARS} } } }`,
    Q5: `mutation Comment($input: CreateCommentInput!) { createComment(input: $input) { comment { ${THEIR_MADE} } } }`,
    Q6: 'query Counts { allTickets { groupedAggregates(groupBy: [STATUS]) { keys distinctCount { rowId } } } }',
  },
  plain: {
    Q1: `query Ticket($id: ID!) { ticket(id: $id) { ${SCALARS} } }`,
    Q2: `query Tickets($first: Int!) { tickets(first: $first) { nodes { ${SCALARS} } ${PAGE_INFO} } }`,
    Q3: `query Board($first: Int!, $comments: Int!) { tickets(first: $first) { nodes { rowId subject status ${PEOPLE} comments(first: $comments) { ${COMMENT} } } } }`,
    Q4: `query Filtered($first: Int!, $status: String!, $since: String!) { tickets(first: $first, status: $status, since: $since) { totalCount nodes { ${SCALARS} } } }`,
    Q5: `mutation Comment($input: CreateCommentInput!) { createComment(input: $input) { ${MADE} } }`,
    Q6: 'query Counts { ticketCounts { status count } }',
  },
}

const PAGE = 20
const STATUSES = ['new', 'open', 'waiting', 'resolved', 'closed']

type Variables = Readonly<Record<string, unknown>>

/** Where a tenant stands among the tenants of its shard: its ids follow from that. */
export interface Place {
  readonly tenant: BenchTenant
  readonly index: number
  readonly of: number
}

/** @param turn  a number that goes up: ids and values rotate by it */
export function variablesOf(
  operation: OperationName,
  place: Place,
  turn: number,
  dialect: Dialect,
): Variables {
  const { tenant, index, of } = place
  const ticket = String(rowId(scattered(turn) % tenant.tickets, index, of))
  switch (operation) {
    case 'Q1':
      return dialect === 'postgraphile' ? { tenant: tenant.id, id: ticket } : { id: ticket }
    case 'Q2':
      return { first: PAGE }
    case 'Q3':
      return { first: PAGE, comments: COMMENTS_PER_TICKET }
    case 'Q4':
      return { first: PAGE, status: STATUSES[turn % STATUSES.length], since: '2024-01-01T12:00:00Z' }
    case 'Q5':
      return made(place, ticket, turn, dialect)
    case 'Q6':
      return {}
  }
}

function made({ tenant, index, of }: Place, ticketId: string, turn: number, dialect: Dialect): Variables {
  const authorId = String(rowId(turn % tenant.users, index, of))
  const comment = { ticketId, authorId, body: `It works "again", said on turn ${turn}.` }
  if (dialect !== 'postgraphile') return { input: comment }
  return { input: { comment: { ...comment, tenantId: tenant.id } } }
}

/** Neighbouring turns give numbers far apart. */
export const scattered = (turn: number): number => Math.imul(turn + 1, 0x9e3779b1) >>> 0
