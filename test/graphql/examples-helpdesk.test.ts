/** The example queries of the help desk, held against the schema that serves its real tables. */

import { fileURLToPath } from 'node:url'
import { type GraphQLSchema, parse, validate } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withClient } from '../../src/db/client.ts'
import { type Example, exampleQueries } from '../../src/graphql/examples.ts'
import { buildSchema } from '../../src/graphql/schema.ts'
import { introspect } from '../../src/model/introspect.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { migrate } from '../kit/migrate.ts'

const FOLDER = fileURLToPath(new URL('../../examples/helpdesk/migrations/', import.meta.url))
const TENANCY = { column: 'tenant_id', schemas: ['helpdesk'] }

let fleet: TestFleet
let examples: Example[]
let schema: GraphQLSchema

beforeAll(async () => {
  fleet = await freshFleet({ weights: { 'shard-a': 1 }, schemas: TENANCY.schemas })
  const [shard] = fleet.shards
  if (!shard) throw new Error('the fleet has no shard')
  await migrate({ shard: { key: shard.key, url: shard.url('owner') }, folder: FOLDER, schema: 'helpdesk' })
  const model = await withClient(shard.superuserUrl, (client) => introspect(client, TENANCY))
  schema = buildSchema(model, () => ({ pageSize: 100, pageSizeDefault: 20, rows: 10_000 }), [])
  examples = exampleQueries(model)
})
afterAll(() => fleet?.drop())

describe('exampleQueries of the help desk', () => {
  it('are five, and valid', () => {
    expect(examples.map(({ title }) => title)).toEqual([
      'The first five tickets',
      'Tickets with related rows',
      'Filter, order and count tickets',
      'Tickets in groups',
      'Create one of the users',
    ])
    for (const { title, query } of examples) expect(validate(schema, parse(query)), title).toEqual([])
  })
})
