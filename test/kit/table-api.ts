/**
 * The API over tables of a test's own, on a database of its own: the real model, schema, plans and
 * transactions, as superuser and without fence, for tests that are about values and names.
 */

import { type ExecutionResult, execute, type GraphQLSchema, getOperationAST, parse, validate } from 'graphql'
import pg from 'pg'
import { tenantId } from '../../src/base/ids.ts'
import { deadlineIn } from '../../src/base/time.ts'
import type { Row } from '../../src/db/batch.ts'
import { type Client, connect } from '../../src/db/client.ts'
import { clientConfig } from '../../src/db/settings.ts'
import { type Statement, wireText } from '../../src/db/sql.ts'
import { buildApi } from '../../src/graphql/api.ts'
import { createLane } from '../../src/graphql/compiled/lane.ts'
import { RequestScope } from '../../src/graphql/context.ts'
import { documentParser } from '../../src/graphql/limits/limits.ts'
import { executeInTransaction } from '../../src/graphql/transaction.ts'
import { introspect, type Tenancy } from '../../src/model/introspect.ts'
import type { Model } from '../../src/model/types.ts'
import type { Door, TenantSession } from '../../src/shards/door.ts'
import { type Data, DEFAULT_LIMITS } from './api.ts'
import { placementOf } from './placements.ts'
import { type FreshDatabase, freshDatabase } from './servers.ts'

export const TENANT = tenantId('acme')

export interface TableApi {
  readonly database: FreshDatabase
  /** Superuser, for set-up and for looking behind the API. */
  readonly db: Client
  readonly model: Model
  readonly schema: GraphQLSchema
  run(source: string, variables?: object): Promise<ExecutionResult<Data>>
  /** As `run`, through JSON as a client sees it, and expects no error. */
  data(source: string, variables?: object): Promise<Data>
  /** The same from the compiled lane; null where it leaves the operation to the resolvers. */
  compiled(source: string, variables?: object): Promise<Data | null>
  end(): Promise<void>
}

/** @param tables  SQL that makes them; the schema `app` is there, and on the search path while it runs */
export async function openTableApi(tables: string, tenancy: Partial<Tenancy> = {}): Promise<TableApi> {
  const database = await freshDatabase()
  const db = await connect(database.url)
  await db.query(`create schema app; set search_path = app, public; ${tables}; reset search_path`)
  const model = await introspect(db, { column: 'tenant_id', schemas: ['app'], ...tenancy })
  const sizes = { ...DEFAULT_LIMITS, pageSize: 1_000, pageSizeDefault: 100 }
  const limits = () => sizes
  const api = buildApi(model, limits, [], () => {})
  const { schema } = api
  const client = new pg.Client(
    clientConfig({ url: database.url, connectMs: 5_000, applicationName: 'table api' }),
  )
  await client.connect()
  const door = doorOf(client)
  const identity = { tenant: TENANT, subject: 't', roles: ['admin'], issuer: 't', expiresAt: 0 } as const
  const request = { identity, placement: placementOf(TENANT), requestId: 't' }
  const lane = createLane({
    permissions: () => api,
    tables: new Map(model.tables.map((table) => [table.id, table])),
    limits,
    parse: documentParser(limits),
    door,
    emit: (event) => {
      throw new Error(`an event: ${JSON.stringify(event)}`)
    },
    contextFor: (asked) => ({ scope: new RequestScope({ ...asked, door }) }),
  })

  async function run(source: string, variables: object = {}): Promise<ExecutionResult<Data>> {
    const document = parse(source)
    const [fault] = validate(schema, document)
    if (fault) throw fault
    const scope = new RequestScope({ ...request, deadline: deadlineIn(10_000), door })
    const args = { schema, document, contextValue: { scope }, variableValues: { ...variables } }
    return getOperationAST(document)?.operation === 'mutation'
      ? executeInTransaction(execute, args)
      : execute(args)
  }

  return {
    database,
    db,
    model,
    schema,
    run,
    async data(source, variables) {
      const { data, errors } = await run(source, variables)
      if (errors?.length) throw errors[0]
      return JSON.parse(JSON.stringify(data))
    },
    async compiled(source, variables = {}) {
      const given = { variables: { ...variables }, idempotencyKey: undefined }
      const asked = { ...request, deadline: deadlineIn(10_000), ...given }
      const answer = (await lane.find(source, null)?.run(asked)) ?? null
      if (answer === null) return null
      if (typeof answer !== 'string') throw answer.errors?.[0]
      return JSON.parse(answer).data
    },
    async end() {
      await client.end()
      await db.end()
      await database.drop()
    },
  }
}

function doorOf(client: pg.Client): Door {
  const ask = async ({ text, values }: Statement): Promise<Row[]> => {
    const { rows } = await client.query({ text, values: values.map(wireText), rowMode: 'array' })
    return rows as Row[]
  }
  // One connection, so what is asked at the same time is asked in turn.
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work)
    last = next.catch(() => {})
    return next
  }
  return {
    batch: (_tenant, _mode, _deadline, statements) =>
      inTurn(async () => {
        const results: Row[][] = []
        for (const statement of statements) results.push(await ask(statement))
        return results
      }),
    withTenant: (tenant, _mode, _deadline, work) =>
      inTurn(async () => {
        const session: TenantSession = { tenant, run: ask }
        await client.query('begin')
        try {
          const { keep, value } = await work(session)
          await client.query(keep ? 'commit' : 'rollback')
          return value
        } catch (error) {
          await client.query('rollback')
          throw error
        }
      }),
  }
}
