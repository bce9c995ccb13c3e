/**
 * Limit: plain rows from one statement per operation, and a writer by hand for each.
 *
 * A statement gives all levels of an answer at once: one part per level, told apart by its first column, and each
 * person that is referred to once.
 */

import { DOCUMENTS, type OperationName } from '../operations.ts'
import { type Answer, serve } from './http.ts'
import { openConnections, type Row, type Run, type Statement } from './wire.ts'

const TICKET = 'id, subject, status, priority, author_id, assignee_id, created_at, updated_at'

const SQL = {
  Q1: `select ${TICKET} from bench.tickets where tenant_id = $1 and id = $2`,
  Q2: `select ${TICKET} from bench.tickets where tenant_id = $1 order by created_at desc limit $2::int + 1`,
  Q3: `with t as materialized (
      select id, subject, status, author_id, assignee_id from bench.tickets
      where tenant_id = $1 order by created_at desc limit $2),
    c as materialized (
      select c.* from t cross join lateral (
        select id, ticket_id, author_id, body, created_at from bench.comments
        where tenant_id = $1 and ticket_id = t.id order by id limit $3) c)
    select 't', id, subject, status, author_id, assignee_id from t
    union all select 'c', id, body, created_at::text, author_id, ticket_id from c
    union all select 'u', id, name, null, null, null from bench.users where tenant_id = $1 and id = any(array(
      select author_id from t union select assignee_id from t union select author_id from c))`,
  Q4: `select count(*), null, null, null, null, null, null, null from bench.tickets
      where tenant_id = $1 and status = $3 and created_at >= $4
    union all (select ${TICKET} from bench.tickets
      where tenant_id = $1 and status = $3 and created_at >= $4 order by created_at desc limit $2)`,
  Q5: `with c as (insert into bench.comments (tenant_id, ticket_id, author_id, body)
      values ($1, $2, $3, $4) returning ticket_id, author_id, body)
    select c.body, t.id, t.subject, u.id, u.name from c
      join bench.tickets t on t.tenant_id = $1 and t.id = c.ticket_id
      join bench.users u on u.tenant_id = $1 and u.id = c.author_id`,
  Q6: 'select status, count(*) from bench.tickets where tenant_id = $1 group by status order by status',
}

const quoted = (text: string | null | undefined): string => JSON.stringify(text ?? null)

/** Numbers and times need no escapes; bigints are texts in the API. */
const bare = (text: string | null | undefined): string => (text == null ? 'null' : `"${text}"`)

function ticket([id, subject, status, priority, author, assignee, created, updated]: Row): string {
  return `{"rowId":"${id}","subject":${quoted(subject)},"status":${quoted(status)},"priority":${quoted(priority)},"authorId":"${author}","assigneeId":${bare(assignee)},"createdAt":"${created}","updatedAt":"${updated}"}`
}

function tickets(rows: readonly Row[], from: number, to: number): string {
  let text = ''
  for (let i = from; i < to; i++) text += (i === from ? '' : ',') + ticket(rows[i]!)
  return text
}

function page(rows: Row[], first: number): string {
  const count = Math.min(rows.length, first)
  const last = rows[count - 1]
  const cursor = last ? `"${Buffer.from(`${last[6]},${last[0]}`).toString('base64url')}"` : 'null'
  return `{"data":{"tickets":{"nodes":[${tickets(rows, 0, count)}],"pageInfo":{"hasNextPage":${rows.length > first},"endCursor":${cursor}}}}}`
}

function board(rows: readonly Row[]): string {
  const people = new Map<string | null | undefined, string>([[null, 'null']])
  const comments = new Map<string | null | undefined, string>()
  for (const [tag, id, name] of rows)
    if (tag === 'u') people.set(id, `{"rowId":"${id}","name":${quoted(name)}}`)
  for (const [tag, id, body, created, author, of] of rows) {
    if (tag !== 'c') continue
    const before = comments.get(of)
    const text = `{"rowId":"${id}","body":${quoted(body)},"createdAt":"${created}","author":${people.get(author)}}`
    comments.set(of, before === undefined ? text : `${before},${text}`)
  }
  let nodes = ''
  for (const [tag, id, subject, status, author, assignee] of rows) {
    if (tag !== 't') continue
    nodes += `${nodes && ','}{"rowId":"${id}","subject":${quoted(subject)},"status":${quoted(status)},"author":${people.get(author)},"assignee":${people.get(assignee)},"comments":{"nodes":[${comments.get(id) ?? ''}]}}`
  }
  return `{"data":{"tickets":{"nodes":[${nodes}]}}}`
}

function counts(rows: readonly Row[]): string {
  const groups = rows.map(([status, count]) => `{"key":{"status":${quoted(status)}},"count":${count}}`)
  return `{"data":{"tickets":{"groups":[${groups.join(',')}]}}}`
}

function comment([row]: readonly Row[]): string {
  const [body, ticketId, subject, authorId, name] = row!
  return `{"data":{"createComment":{"body":${quoted(body)},"ticket":{"rowId":"${ticketId}","subject":${quoted(subject)}},"author":{"rowId":"${authorId}","name":${quoted(name)}}}}}`
}

function answersOf(run: Run): Record<OperationName, Answer> {
  const ask = (name: OperationName, tenant: string, ...values: unknown[]): Promise<Row[]> => {
    const statement: Statement = { name, text: SQL[name] }
    return run(tenant, statement, [tenant, ...values.map(String)])
  }
  return {
    Q1: async (tenant, { id }) => {
      const [row] = await ask('Q1', tenant, id)
      return `{"data":{"ticketBy":${row ? ticket(row) : 'null'}}}`
    },
    Q2: async (tenant, { first }) => page(await ask('Q2', tenant, first), first),
    Q3: async (tenant, variables) => board(await ask('Q3', tenant, variables.first, variables.comments)),
    Q4: async (tenant, { first, status, since }) => {
      const rows = await ask('Q4', tenant, first, status, since)
      return `{"data":{"tickets":{"totalCount":${rows[0]?.[0]},"nodes":[${tickets(rows, 1, rows.length)}]}}}`
    },
    Q5: async (tenant, { input }) =>
      comment(await ask('Q5', tenant, input.ticketId, input.authorId, input.body)),
    Q6: async (tenant) => counts(await ask('Q6', tenant)),
  }
}

const { PORT, DATABASE_URL = '', SECRET = '' } = process.env
const answers = answersOf(await openConnections(DATABASE_URL, 3))
const byText = Object.entries(answers).map(([name, answer]) => {
  return [DOCUMENTS.shardgate[name as OperationName], answer] as const
})
serve(Number(PORT), SECRET, new Map(byText))
