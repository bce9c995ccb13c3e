/** Where a page stands: what has to be counted for it is counted when it is asked for, and not before. */

import { expect, it, vi } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { pageOf } from '../../src/graphql/pages.ts'
import type { ListPlan } from '../../src/graphql/plan/types.ts'
import type { Table } from '../../src/model/types.ts'

const PLAN: ListPlan = {
  table: { primaryKey: [], columns: [] } as unknown as Table,
  where: null,
  order: [],
  limit: 10,
  offset: 5,
  backward: false,
  after: null,
  before: null,
  parentColumns: null,
}

const page = (count: () => Promise<string>) =>
  pageOf(
    PLAN,
    tenantId('acme'),
    async () => [],
    async () => [[await count()]],
  )

it('an empty page behind an offset counts nothing for whoever asks for the next page alone', async () => {
  // A count that fails and that nobody waits for ends the process.
  const count = vi.fn(() => Promise.reject(new Error('the shard is away')))
  const { pageInfo } = await page(count).shown()
  expect(pageInfo.hasNextPage).toBe(false)
  expect(count).not.toHaveBeenCalled()
})

it.each([
  ['0', false],
  ['3', true],
])('it counts for whoever asks for the page before: of %s rows', async (rows, has) => {
  const { pageInfo } = await page(async () => rows).shown()
  expect(await pageInfo.hasPreviousPage).toBe(has)
})
