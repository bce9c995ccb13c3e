/** The example queries: what they ask for, whatever the tables are. */

import { buildSchema, parse, validate } from 'graphql'
import { describe, expect, it } from 'vitest'
import { exampleQueries } from '../../src/graphql/examples.ts'
import type { Column, ColumnType, Model, Relation, Table, TypeKind } from '../../src/model/types.ts'

const type = (kind: TypeKind, more: Partial<ColumnType> = {}): ColumnType => ({
  kind,
  schema: 'pg_catalog',
  name: kind,
  array: false,
  compares: 'order',
  ...more,
})

const camel = (name: string): string => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())

const column = (name: string, kind: TypeKind, more: Partial<Column> = {}): Column => ({
  name,
  field: camel(name),
  type: type(kind),
  nullable: false,
  hasDefault: false,
  readOnly: false,
  can: { read: true, filter: true, order: true, create: true, update: true },
  ...more,
})

const given = { hasDefault: true }
const id = column('id', 'uuid', { field: 'rowId', hasDefault: true })

const one = (field: string, target: string, own: string): Relation => ({
  field,
  kind: 'one',
  target,
  columns: [{ own, other: 'id' }],
  constraint: `${field}_fkey`,
  nullable: false,
})
const many = (field: string, target: string, other: string): Relation => ({
  ...one(field, target, 'id'),
  kind: 'many',
  columns: [{ own: 'id', other }],
})

const table = (
  name: string,
  typeName: string,
  columns: Column[],
  relations: Relation[] = [],
  more: Partial<Table> = {},
): Table => ({
  id: `helpdesk.${name}`,
  schema: 'helpdesk',
  name,
  kind: 'table',
  can: { create: true, update: true, delete: true },
  typeName,
  oneField: typeName.charAt(0).toLowerCase() + typeName.slice(1),
  manyField: camel(name),
  tenantColumn: 'tenant_id',
  tenantType: type('text'),
  columns,
  primaryKey: ['id'],
  uniques: [],
  relations,
  ...more,
})

const tickets = table(
  'tickets',
  'Ticket',
  [
    id,
    column('author_id', 'uuid'),
    column('subject', 'text'),
    column('status', 'enum', { ...given, type: type('enum', { enum: 'helpdesk.ticket_status' }) }),
    column('details', 'json', given),
    column('labels', 'text', { ...given, type: type('text', { array: true }) }),
    column('updated_at', 'datetime', given),
    column('created_at', 'datetime', given),
  ],
  [
    one('author', 'helpdesk.users', 'author_id'),
    many('ticketTags', 'helpdesk.ticket_tags', 'ticket_id'),
    many('comments', 'helpdesk.comments', 'ticket_id'),
  ],
)
const users = table(
  'users',
  'User',
  [id, column('email', 'text')],
  [many('tickets', 'helpdesk.tickets', 'author_id')],
  {
    uniques: [{ name: 'users_email_key', columns: ['tenant_id', 'email'] }],
  },
)
const comments = table(
  'comments',
  'Comment',
  [id, column('ticket_id', 'uuid'), column('body', 'text')],
  [one('ticket', 'helpdesk.tickets', 'ticket_id')],
)
const ticketTags = table(
  'ticket_tags',
  'TicketTag',
  [column('ticket_id', 'uuid'), column('tag_id', 'uuid')],
  [one('ticket', 'helpdesk.tickets', 'ticket_id')],
  { primaryKey: ['ticket_id', 'tag_id'] },
)
const teams = table('teams', 'Team', [id, column('full_name', 'text'), column('size', 'int')])

const model = (...tables: Table[]): Model => ({
  tables,
  composites: [],
  enums: [
    {
      id: 'helpdesk.ticket_status',
      typeName: 'TicketStatus',
      values: ['OPEN', 'PENDING', 'CLOSED'].map((name) => ({ name, label: name.toLowerCase() })),
    },
  ],
  fingerprint: '',
})

const helpdesk = model(users, teams, comments, ticketTags, tickets)

describe('exampleQueries', () => {
  it('asks for the table with the most relations, in all ways but the last', () => {
    expect(exampleQueries(helpdesk).map(({ title }) => title)).toEqual([
      'The first five tickets',
      'Tickets with related rows',
      'Filter, order and count tickets',
      'Tickets in groups',
      'Create one of the teams',
    ])
  })

  it('are written as a person would write them', () => {
    const [list, related, filtered, grouped, create] = exampleQueries(helpdesk).map(({ query }) => query)
    expect(list).toBe(`query TicketList {
  tickets(first: 5) {
    nodes {
      id
      subject
      status
      updatedAt
      createdAt
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}`)
    expect(related).toBe(`query TicketRelations {
  tickets(first: 5) {
    nodes {
      id
      subject
      author {
        id
        email
      }
      comments(first: 3) {
        nodes {
          id
          body
        }
      }
    }
  }
}`)
    expect(filtered).toBe(`query TicketSearch {
  tickets(first: 5, filter: { status: { in: [OPEN, PENDING] } }, orderBy: [{ createdAt: DESC }]) {
    totalCount
    nodes {
      id
      subject
      status
      updatedAt
    }
  }
}`)
    expect(grouped).toBe(`query TicketGroups {
  tickets {
    aggregates {
      count
    }
    groups(by: [{ status: VALUE }]) {
      key {
        status
      }
      count
    }
  }
}`)
    expect(create).toBe(`mutation TeamCreate {
  createTeam(input: { fullName: "From GraphiQL", size: 1 }) {
    __typename
    ... on Team {
      id
      fullName
      size
    }
    ... on ConstraintError {
      message
    }
  }
}`)
  })

  it('are valid against a schema of these names', () => {
    const schema = buildSchema(`
      type Query { tickets(first: Int, filter: TicketFilter, orderBy: [TicketOrder!]): TicketConnection }
      type Mutation { createTeam(input: TeamInput!): TeamResult }
      input TeamInput { fullName: String!, size: Int! }
      union TeamResult = Team | ConstraintError
      type ConstraintError { message: String }
      type Team { id: ID!, fullName: String, size: Int }
      enum TicketStatus { OPEN PENDING CLOSED }
      enum Order { ASC DESC }
      input TicketStatusFilter { in: [TicketStatus!] }
      input TicketFilter { status: TicketStatusFilter }
      input TicketOrder { createdAt: Order }
      type PageInfo { hasNextPage: Boolean, endCursor: String }
      type TicketConnection {
        totalCount: Int, nodes: [Ticket!], pageInfo: PageInfo
        aggregates: Measures, groups(by: [TicketGroupBy!]!): [TicketGroup!]
      }
      type Measures { count: Int }
      enum GroupPart { VALUE }
      input TicketGroupBy { status: GroupPart }
      type TicketGroup { key: TicketGroupKey, count: Int }
      type TicketGroupKey { status: TicketStatus }
      type Ticket {
        id: ID!, subject: String, status: TicketStatus, updatedAt: String, createdAt: String
        author: User, comments(first: Int): CommentConnection
      }
      type User { id: ID!, email: String }
      type CommentConnection { nodes: [Comment!] }
      type Comment { id: ID!, body: String }`)
    for (const { query } of exampleQueries(helpdesk)) expect(validate(schema, parse(query))).toEqual([])
  })

  it('group by a month where there is no column of few values, and measure a number', () => {
    const orders = table('orders', 'Order', [
      id,
      column('created_at', 'datetime'),
      column('total', 'decimal'),
    ])
    const query = exampleQueries(model(orders)).find(({ title }) => title === 'Orders in groups')?.query
    expect(query).toContain('groups(by: [{ createdAt: MONTH }])')
    expect(query).toContain('avg {')
  })

  it('take a row with a unique key for the mutation only when there is no other', () => {
    const query = exampleQueries(model(users, tickets)).at(-1)?.query
    expect(query).toContain('createUser(input: { email: "someone@example.com" })')
  })

  it('leave out what the tables do not allow', () => {
    expect(exampleQueries(model())).toEqual([])
    expect(exampleQueries(model(ticketTags)).map(({ title }) => title)).toEqual([
      'The first five ticket tags',
      'Filter, order and count ticket tags',
    ])
  })

  it('can be parsed for a table without key and without columns', () => {
    const bare = table('log_lines', 'LogLine', [], [], { primaryKey: [] })
    const examples = exampleQueries(model(bare))
    expect(examples).toHaveLength(2)
    for (const { query } of examples) expect(() => parse(query)).not.toThrow()
  })
})
