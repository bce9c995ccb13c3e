/** Limit: one statement per operation, whose single value is the JSON text of the whole answer. */

import { DOCUMENTS, type OperationName } from '../operations.ts'
import { type Answer, serve, type Variables } from './http.ts'
import { openConnections } from './wire.ts'

const TICKET = `json_build_object('rowId', id::text, 'subject', subject, 'status', status, 'priority', priority,
  'authorId', author_id::text, 'assigneeId', assignee_id::text, 'createdAt', created_at, 'updatedAt', updated_at)`

const person = (column: string): string => `(select json_build_object('rowId', u.id::text, 'name', u.name)
  from bench.users u where u.tenant_id = $1 and u.id = ${column})`

const answer = (field: string, value: string): string =>
  `json_build_object('data', json_build_object('${field}', ${value}))`

const SQL: Readonly<Record<OperationName, string>> = {
  Q1: `select ${answer('ticketBy', `(select ${TICKET} from bench.tickets where tenant_id = $1 and id = $2)`)}`,
  Q2: `select ${answer(
    'tickets',
    `json_build_object(
      'nodes', coalesce(json_agg(${TICKET} order by created_at desc) filter (where place <= $2), '[]'),
      'pageInfo', json_build_object('hasNextPage', count(*) > $2,
        'endCursor', encode(convert_to(max(created_at || ',' || id) filter (where place = $2), 'utf8'), 'base64')))`,
  )}
    from (select *, row_number() over (order by created_at desc) as place from (
      select * from bench.tickets where tenant_id = $1 order by created_at desc limit $2::int + 1) t) t`,
  Q3: `select ${answer(
    'tickets',
    `json_build_object('nodes', coalesce(json_agg(json_build_object(
      'rowId', id::text, 'subject', subject, 'status', status,
      'author', ${person('t.author_id')}, 'assignee', ${person('t.assignee_id')},
      'comments', json_build_object('nodes', (
        select coalesce(json_agg(json_build_object('rowId', id::text, 'body', body, 'createdAt', created_at,
          'author', ${person('c.author_id')}) order by id), '[]')
        from (select id, body, created_at, author_id from bench.comments
          where tenant_id = $1 and ticket_id = t.id order by id limit $3) c))) order by created_at desc), '[]'))`,
  )}
    from (select * from bench.tickets where tenant_id = $1 order by created_at desc limit $2) t`,
  Q4: `select ${answer(
    'tickets',
    `json_build_object(
      'totalCount', (select count(*) from bench.tickets
        where tenant_id = $1 and status = $3 and created_at >= $4),
      'nodes', coalesce(json_agg(${TICKET} order by created_at desc), '[]'))`,
  )}
    from (select * from bench.tickets where tenant_id = $1 and status = $3 and created_at >= $4
      order by created_at desc limit $2) t`,
  Q5: `with c as (insert into bench.comments (tenant_id, ticket_id, author_id, body)
      values ($1, $2, $3, $4) returning ticket_id, author_id, body)
    select ${answer(
      'createComment',
      `json_build_object('body', c.body,
        'ticket', json_build_object('rowId', t.id::text, 'subject', t.subject), 'author', ${person('c.author_id')})`,
    )}
    from c join bench.tickets t on t.tenant_id = $1 and t.id = c.ticket_id`,
  Q6: `select ${answer(
    'tickets',
    `json_build_object('groups',
      coalesce(json_agg(json_build_object('key', json_build_object('status', status), 'count', count) order by status), '[]'))`,
  )}
    from (select status, count(*) from bench.tickets where tenant_id = $1 group by status) g`,
}

/** Values of the variables in the order of the parameters, after the tenant. */
const VALUES: Readonly<Record<OperationName, (variables: Variables) => unknown[]>> = {
  Q1: ({ id }) => [id],
  Q2: ({ first }) => [first],
  Q3: ({ first, comments }) => [first, comments],
  Q4: ({ first, status, since }) => [first, status, since],
  Q5: ({ input }) => [input.ticketId, input.authorId, input.body],
  Q6: () => [],
}

const { PORT, DATABASE_URL = '', SECRET = '' } = process.env
const run = await openConnections(DATABASE_URL, 3)

function answerOf(name: OperationName): Answer {
  const statement = { name, text: SQL[name] }
  return async (tenant, variables) => {
    const [row] = await run(tenant, statement, [tenant, ...VALUES[name](variables).map(String)])
    return row?.[0] ?? ''
  }
}

const names = Object.keys(SQL) as OperationName[]
serve(Number(PORT), SECRET, new Map(names.map((name) => [DOCUMENTS.shardgate[name], answerOf(name)])))
