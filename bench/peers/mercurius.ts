/**
 * Mercurius 16: compiled queries (jit), loaders, a pool of 10, prepared statements, and one transaction per request, which
 * is opened by the first statement and closed when the answer is there.
 */

import Fastify from 'fastify'
import mercurius, { type MercuriusContext } from 'mercurius'
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
import { tenantOf } from './token.ts'

const { PORT, DATABASE_URL } = process.env
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 10 })

const schema = `
  type Query {
    ticket(id: ID!): Ticket
    tickets(first: Int!, status: String, since: String): TicketPage!
    ticketCounts: [StatusCount!]!
  }
  type Mutation { createComment(input: CreateCommentInput!): Comment! }
  type Ticket {
    rowId: ID!
    subject: String!
    status: String!
    priority: String!
    authorId: ID!
    assigneeId: ID
    createdAt: String!
    updatedAt: String!
    author: User!
    assignee: User
    comments(first: Int!): [Comment!]!
  }
  type User { rowId: ID! name: String! }
  type Comment { rowId: ID! body: String! createdAt: String! author: User! ticket: Ticket! }
  type TicketPage { nodes: [Ticket!]! pageInfo: PageInfo! totalCount: Int! }
  type PageInfo { hasNextPage: Boolean! endCursor: String }
  type StatusCount { status: String! count: Int! }
  input CreateCommentInput { ticketId: ID! authorId: ID! body: String! }
`

/** The transaction of one request. */
class Transaction {
  readonly tenant: string
  #client: Promise<pg.PoolClient> | undefined

  constructor(tenant: string) {
    this.tenant = tenant
  }

  async rows<R extends pg.QueryResultRow>(statement: Statement, values: unknown[]): Promise<R[]> {
    this.#client ??= this.#begin()
    const client = await this.#client
    return (await client.query<R>({ ...statement, values })).rows
  }

  async #begin(): Promise<pg.PoolClient> {
    const client = await pool.connect()
    await client.query('begin')
    await client.query({ ...SET_TENANT, values: [this.tenant] })
    return client
  }

  async commit(): Promise<void> {
    const client = await this.#client
    if (!client) return
    await client.query('commit')
    client.release()
  }
}

interface Context extends MercuriusContext {
  readonly transaction: Transaction
}

interface ListArguments {
  readonly first: number
  readonly status?: string
  readonly since?: string
}

async function page(args: ListArguments, { transaction }: Context) {
  const { first, status, since } = args
  const rows =
    status === undefined
      ? await transaction.rows<Ticket>(STATEMENTS.tickets, [first + 1])
      : await transaction.rows<Ticket>(STATEMENTS.filtered, [first + 1, status, since])
  const nodes = rows.slice(0, first)
  const last = nodes.at(-1)
  const pageInfo = { hasNextPage: rows.length > first, endCursor: last ? cursorOf(last) : null }
  return { nodes, pageInfo, args }
}

const resolvers = {
  Query: {
    ticket: async (_: unknown, { id }: { id: string }, { transaction }: Context) =>
      (await transaction.rows<Ticket>(STATEMENTS.ticket, [id]))[0],
    tickets: (_: unknown, args: ListArguments, context: Context) => page(args, context),
    ticketCounts: (_: unknown, __: unknown, { transaction }: Context) =>
      transaction.rows<StatusCount>(STATEMENTS.counts, []),
  },
  TicketPage: {
    totalCount: async ({ args }: { args: ListArguments }, _: unknown, { transaction }: Context) => {
      const values = [args.status, args.since]
      return (await transaction.rows<{ count: number }>(STATEMENTS.count, values))[0]?.count
    },
  },
  Mutation: {
    createComment: async (
      _: unknown,
      { input }: { input: Record<string, string> },
      { transaction }: Context,
    ) => {
      const values = [transaction.tenant, input.ticketId, input.authorId, input.body]
      return (await transaction.rows<Comment>(STATEMENTS.createComment, values))[0]
    },
  },
}

interface LoaderQuery<T, P = unknown> {
  readonly obj: T
  readonly params: P
}

/** Rows by their id, in the order of `ids`. */
async function byId<R extends { rowId: string }>(
  { transaction }: Context,
  statement: Statement,
  ids: (string | null)[],
): Promise<(R | null)[]> {
  const wanted = [...new Set(ids.filter((id) => id !== null))]
  const rows = await transaction.rows<R>(statement, [wanted])
  const found = new Map(rows.map((row) => [row.rowId, row]))
  return ids.map((id) => (id === null ? null : (found.get(id) ?? null)))
}

const authors = (queries: LoaderQuery<Ticket | Comment>[], context: Context) =>
  byId<User>(
    context,
    STATEMENTS.users,
    queries.map(({ obj }) => obj.authorId),
  )

const loaders = {
  Ticket: {
    author: authors,
    assignee: (queries: LoaderQuery<Ticket>[], context: Context) =>
      byId<User>(
        context,
        STATEMENTS.users,
        queries.map(({ obj }) => obj.assigneeId),
      ),
    comments: async (queries: LoaderQuery<Ticket, { first: number }>[], { transaction }: Context) => {
      const ids = queries.map(({ obj }) => obj.rowId)
      const rows = await transaction.rows<Comment>(STATEMENTS.comments, [ids, queries[0]?.params.first])
      const found = Map.groupBy(rows, ({ ticketId }) => ticketId)
      return ids.map((id) => found.get(id) ?? [])
    },
  },
  Comment: {
    author: authors,
    ticket: (queries: LoaderQuery<Comment>[], context: Context) =>
      byId<Ticket>(
        context,
        STATEMENTS.ticketsById,
        queries.map(({ obj }) => obj.ticketId),
      ),
  },
}

const app = Fastify({ keepAliveTimeout: 65_000 })
app.register(mercurius, {
  schema,
  resolvers: resolvers as never,
  loaders: loaders as never,
  jit: 1,
  graphiql: false,
  context: (request) => ({ transaction: new Transaction(tenantOf(request.headers.authorization)) }),
})
await app.ready()
app.graphql.addHook('onResolution', async (_execution, context) => {
  await (context as unknown as Context).transaction.commit()
})
await app.listen({ port: Number(PORT), host: '127.0.0.1' })
