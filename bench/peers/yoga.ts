/**
 * The server that many teams have: GraphQL Yoga, Pothos, DataLoader, jose, shield on the root fields, and a transaction
 * around each thing that is read, so that row-level security knows the tenant.
 */

import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import SchemaBuilder from '@pothos/core'
import DataLoader from 'dataloader'
import type * as Middleware from 'graphql-middleware'
import type * as Shield from 'graphql-shield'
import { createYoga } from 'graphql-yoga'
import { jwtVerify } from 'jose'
import pg from 'pg'
import {
  type Comment,
  cursorOf,
  SET_TENANT,
  STATEMENTS,
  type Statement,
  type StatusCount,
  type Ticket,
  type User,
} from './statements.ts'

// As ES modules these two do not load on this Node.
const require = createRequire(import.meta.url)
const { shield, rule }: typeof Shield = require('graphql-shield')
const { applyMiddleware }: typeof Middleware = require('graphql-middleware')

const { PORT, DATABASE_URL, SECRET } = process.env
const key = new TextEncoder().encode(SECRET)
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 10 })

async function rowsOf<R extends pg.QueryResultRow>(
  tenant: string,
  statement: Statement,
  values: unknown[],
): Promise<R[]> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query({ ...SET_TENANT, values: [tenant] })
    const { rows } = await client.query<R>({ ...statement, values })
    await client.query('commit')
    return rows
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

function byId<R extends { rowId: string }>(tenant: string, statement: Statement) {
  return new DataLoader<string, R | null>(async (ids) => {
    const rows = await rowsOf<R>(tenant, statement, [ids])
    const found = new Map(rows.map((row) => [row.rowId, row]))
    return ids.map((id) => found.get(id) ?? null)
  })
}

function commentsOf(tenant: string) {
  const load = async (ids: readonly string[], first: number): Promise<Comment[][]> => {
    const rows = await rowsOf<Comment>(tenant, STATEMENTS.comments, [ids, first])
    const found = Map.groupBy(rows, ({ ticketId }) => ticketId)
    return ids.map((id) => found.get(id) ?? [])
  }
  const loaders = new Map<number, DataLoader<string, Comment[]>>()
  return (id: string, first: number): Promise<Comment[]> => {
    const loader = loaders.get(first) ?? new DataLoader((ids: readonly string[]) => load(ids, first))
    loaders.set(first, loader)
    return loader.load(id)
  }
}

async function contextOf(request: Request) {
  const token = request.headers.get('authorization')?.slice('Bearer '.length) ?? ''
  const { payload } = await jwtVerify(token, key, { issuer: 'bench', audience: 'bench' })
  const tenant = String(payload.tenant_id)
  return {
    tenant,
    roles: payload.roles as string[],
    users: byId<User>(tenant, STATEMENTS.users),
    tickets: byId<Ticket>(tenant, STATEMENTS.ticketsById),
    comments: commentsOf(tenant),
  }
}

type Context = Awaited<ReturnType<typeof contextOf>>

interface Page {
  readonly rows: readonly Ticket[]
  readonly args: { first: number; status?: string | null | undefined; since?: string | null | undefined }
}

const builder = new SchemaBuilder<{
  Context: Context
  Objects: {
    User: User
    Ticket: Ticket
    Comment: Comment
    StatusCount: StatusCount
    TicketPage: Page
    PageInfo: Page
  }
}>({})

builder.objectType('User', {
  fields: (t) => ({ rowId: t.exposeID('rowId'), name: t.exposeString('name') }),
})
builder.objectType('Comment', {
  fields: (t) => ({
    rowId: t.exposeID('rowId'),
    body: t.exposeString('body'),
    createdAt: t.exposeString('createdAt'),
    author: t.field({
      type: 'User',
      nullable: true,
      resolve: ({ authorId }, _, { users }) => users.load(authorId),
    }),
    ticket: t.field({
      type: 'Ticket',
      nullable: true,
      resolve: ({ ticketId }, _, { tickets }) => tickets.load(ticketId),
    }),
  }),
})
builder.objectType('Ticket', {
  fields: (t) => ({
    rowId: t.exposeID('rowId'),
    subject: t.exposeString('subject'),
    status: t.exposeString('status'),
    priority: t.exposeString('priority'),
    authorId: t.exposeID('authorId'),
    assigneeId: t.exposeID('assigneeId', { nullable: true }),
    createdAt: t.exposeString('createdAt'),
    updatedAt: t.exposeString('updatedAt'),
    author: t.field({
      type: 'User',
      nullable: true,
      resolve: ({ authorId }, _, { users }) => users.load(authorId),
    }),
    assignee: t.field({
      type: 'User',
      nullable: true,
      resolve: ({ assigneeId }, _, { users }) => (assigneeId === null ? null : users.load(assigneeId)),
    }),
    comments: t.field({
      type: ['Comment'],
      args: { first: t.arg.int({ required: true }) },
      resolve: ({ rowId }, { first }, { comments }) => comments(rowId, first),
    }),
  }),
})
builder.objectType('PageInfo', {
  fields: (t) => ({
    hasNextPage: t.boolean({ resolve: ({ rows, args }) => rows.length > args.first }),
    endCursor: t.string({
      nullable: true,
      resolve: ({ rows, args }) => {
        const last = rows.slice(0, args.first).at(-1)
        return last ? cursorOf(last) : null
      },
    }),
  }),
})
builder.objectType('TicketPage', {
  fields: (t) => ({
    nodes: t.field({ type: ['Ticket'], resolve: ({ rows, args }) => rows.slice(0, args.first) }),
    pageInfo: t.field({ type: 'PageInfo', resolve: (page) => page }),
    totalCount: t.int({
      resolve: async ({ args }, _, { tenant }) => {
        const rows = await rowsOf<{ count: number }>(tenant, STATEMENTS.count, [args.status, args.since])
        return rows[0]?.count ?? 0
      },
    }),
  }),
})
builder.objectType('StatusCount', {
  fields: (t) => ({ status: t.exposeString('status'), count: t.exposeInt('count') }),
})
builder.queryType({
  fields: (t) => ({
    ticket: t.field({
      type: 'Ticket',
      nullable: true,
      args: { id: t.arg.id({ required: true }) },
      resolve: async (_, { id }, { tenant }) =>
        (await rowsOf<Ticket>(tenant, STATEMENTS.ticket, [id]))[0] ?? null,
    }),
    tickets: t.field({
      type: 'TicketPage',
      args: { first: t.arg.int({ required: true }), status: t.arg.string(), since: t.arg.string() },
      resolve: async (_, args, { tenant }) => {
        const { first, status, since } = args
        const rows = status
          ? await rowsOf<Ticket>(tenant, STATEMENTS.filtered, [first + 1, status, since])
          : await rowsOf<Ticket>(tenant, STATEMENTS.tickets, [first + 1])
        return { rows, args }
      },
    }),
    ticketCounts: t.field({
      type: ['StatusCount'],
      resolve: (_, __, { tenant }) => rowsOf<StatusCount>(tenant, STATEMENTS.counts, []),
    }),
  }),
})
const CreateComment = builder.inputType('CreateCommentInput', {
  fields: (t) => ({
    ticketId: t.id({ required: true }),
    authorId: t.id({ required: true }),
    body: t.string({ required: true }),
  }),
})
builder.mutationType({
  fields: (t) => ({
    createComment: t.field({
      type: 'Comment',
      nullable: true,
      args: { input: t.arg({ type: CreateComment, required: true }) },
      resolve: async (_, { input: { ticketId, authorId, body } }, { tenant }) => {
        const values = [tenant, ticketId, authorId, body]
        return (await rowsOf<Comment>(tenant, STATEMENTS.createComment, values))[0] ?? null
      },
    }),
  }),
})

const isMember = rule({ cache: 'contextual' })((_, __, { roles }: Context) => roles.includes('member'))
const rules = shield({ Query: { '*': isMember }, Mutation: { '*': isMember } })
const schema = applyMiddleware(builder.toSchema(), rules)
const yoga = createYoga({ schema, graphiql: false, context: ({ request }) => contextOf(request) })
const server = createServer(yoga)
server.keepAliveTimeout = 65_000
server.listen(Number(PORT), '127.0.0.1')
