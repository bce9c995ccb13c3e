/** `schema.graphql` is what the example's tables give; the names in it are promises. */

import { readFileSync } from 'node:fs'
import { buildSchema as parseSchema } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import extension from '../../examples/helpdesk/extension.ts'
import { withClient } from '../../src/db/client.ts'
import { buildApi } from '../../src/graphql/api.ts'
import { mutationFields } from '../../src/graphql/mutations.ts'
import { queryFields } from '../../src/graphql/queries.ts'
import { buildSchema, printSdl } from '../../src/graphql/schema.ts'
import { introspect } from '../../src/model/introspect.ts'
import type { Model } from '../../src/model/types.ts'
import { freshFleet, type TestFleet } from '../kit/fleet.ts'
import { migrate } from '../kit/migrate.ts'

const SIZES = () => ({ pageSize: 100, pageSizeDefault: 20, rows: 10_000 })
let fleet: TestFleet
let model: Model

beforeAll(async () => {
  fleet = await freshFleet({ weights: { 'shard-a': 1 }, schemas: ['helpdesk'] })
  const [shard] = fleet.shards
  await migrate({
    shard: { key: shard!.key, url: shard!.url('owner') },
    folder: 'examples/helpdesk/migrations',
    schema: 'helpdesk',
  })
  model = await withClient(shard!.url('app'), (client) =>
    introspect(client, { column: 'tenant_id', schemas: ['helpdesk'] }),
  )
})
afterAll(() => fleet.drop())

describe('schema.graphql', () => {
  it('is what the tables and the extension give; "npm run schema" prints it again', () => {
    const { schema } = buildApi(model, SIZES, [extension], () => {})
    expect(readFileSync('schema.graphql', 'utf8')).toBe(printSdl(schema))
  })

  it('is a schema that any tool can read, and never names the tenant column', () => {
    const sdl = readFileSync('schema.graphql', 'utf8')
    expect(Object.keys(parseSchema(sdl).getQueryType()?.getFields() ?? {})).toContain('tickets')
    expect(sdl).not.toMatch(/tenant_?id/i)
  })

  it('has a rule for every root field that comes from a table', () => {
    const schema = buildSchema(model, SIZES, [])
    expect(queryFields(model).sort()).toEqual(Object.keys(schema.getQueryType()!.getFields()).sort())
    expect(mutationFields(model).sort()).toEqual(Object.keys(schema.getMutationType()!.getFields()).sort())
  })
})
