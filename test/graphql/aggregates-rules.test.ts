/** Who may not read a column may not read what is measured of it. */

import { parse, validate } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildApi } from '../../src/graphql/api.ts'
import type { GatewayContext } from '../../src/graphql/context.ts'
import type { Grant } from '../../src/graphql/permissions/rules.ts'
import type { Role } from '../../src/tenant/types.ts'
import { openWorldApi, type WorldApi } from '../kit/api.ts'
import { startWorld, type World } from '../kit/shard-fixture.ts'

let world: World
let api: WorldApi

beforeAll(async () => {
  world = await startWorld({ tenants: 1, shards: 1, rows: 1 })
  api = await openWorldApi(world)
})
afterAll(async () => {
  api?.end()
  await world?.stop()
})

async function isAllowed(
  source: string,
  role: Role,
  permissions: Readonly<Record<string, Grant>>,
): Promise<boolean> {
  const sizes = () => ({ pageSize: 100, pageSizeDefault: 20, rows: 10_000 })
  const { schema, decide } = buildApi(api.model, sizes, [{ permissions, extend: () => {} }], () => {})
  const document = parse(source)
  expect(validate(schema, document)).toEqual([])
  const scope = { requestId: 'r-1', identity: { tenant: 'acme', roles: [role] } }
  const decision = decide({ document, contextValue: { scope } as unknown as GatewayContext })
  return decision.then(
    () => true,
    (error) => {
      expect(error).toMatchObject({ code: 'FORBIDDEN' })
      return false
    },
  )
}

const SELECTIONS = [
  'aggregates { sum { effort } }',
  'aggregates { avg { effort } }',
  'aggregates { min { effort } }',
  'aggregates { max { effort } }',
  'aggregates { distinctCount { effort } }',
  'groups(by: [{ effort: VALUE }]) { key { effort } }',
  'groups(by: [{ state: VALUE }]) { sum { effort } }',
]

describe('the rule of a column', () => {
  it.each(SELECTIONS)('holds for %s', async (selection) => {
    const source = `{ projects { nodes { tasks { ${selection} } } } }`
    const permissions = { 'Task.effort': 'admin' } as const
    expect(await isAllowed(source, 'admin', permissions)).toBe(true)
    expect(await isAllowed(source, 'member', permissions)).toBe(false)
    expect(await isAllowed(source, 'viewer', {})).toBe(true)
    expect(await isAllowed(source.replaceAll('effort', 'rowId'), 'viewer', permissions)).toBe(true)
  })

  it('holds for all columns where it is that of the whole row', async () => {
    const permissions = { 'Task.*': 'admin' } as const
    for (const selection of SELECTIONS) {
      expect(await isAllowed(`{ tasks { ${selection} } }`, 'member', permissions)).toBe(false)
    }
    expect(await isAllowed('{ tasks { aggregates { count } } }', 'viewer', permissions)).toBe(true)
  })

  it('steps back behind one for the aggregate itself', async () => {
    const permissions = { 'Task.effort': 'admin', 'TaskSums.effort': 'viewer' } as const
    expect(await isAllowed(`{ tasks { ${SELECTIONS[0]} } }`, 'viewer', permissions)).toBe(true)
    expect(await isAllowed(`{ tasks { ${SELECTIONS[1]} } }`, 'viewer', permissions)).toBe(false)
  })
})
