/** The help desk's rows, without a database: the same bytes for the same seed, in the sizes that are promised. */

import { describe, expect, it } from 'vitest'
import {
  hashRows,
  hashSeed,
  planTenants,
  type SeedChunk,
  type SeedOptions,
  type SeedTenant,
  tenantRows,
} from '../../examples/helpdesk/seed.ts'
import { isTenantId } from '../../src/base/ids.ts'

const tenants = planTenants()
const [acme, globex, initech] = tenants as [SeedTenant, SeedTenant, SeedTenant]

function rowsOf(
  tenant: SeedTenant,
  table: string,
  options: SeedOptions = {},
): Record<string, string | null>[] {
  return [...tenantRows(tenant, options)]
    .filter((chunk) => chunk.table === table)
    .flatMap(({ columns, rows }) =>
      rows.map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i] ?? null]))),
    )
}

const count = (chunks: Iterable<SeedChunk>): number =>
  [...chunks].reduce((sum, { rows }) => sum + rows.length, 0)
const sizeOf = (tenant: SeedTenant, options?: SeedOptions): number => count(tenantRows(tenant, options))

describe('same seed, same bytes', () => {
  // Whoever changes words or tables on purpose puts the new value here. On one machine alone a test could
  // not notice that the clock, the locale or the engine has a say.
  it('gives the bytes that it gave when this was written', () => {
    expect(hashSeed({ scale: 0.1 })).toBe('985145a7f210ce913d3502736a880dfeae978f6bf8790b2947aca5f317edad70')
  })

  it('gives other rows for another seed, and none by chance', () => {
    const hashes = [1, 2, 3].map((seed) => hashRows(tenantRows(initech, { seed })))
    expect(new Set(hashes).size).toBe(3)
    expect(hashRows(tenantRows(initech, { seed: 2 }))).toBe(hashes[1])
  })

  it('does not depend on which tenants came before, or how many there are', () => {
    const before = hashRows(tenantRows(globex))
    sizeOf(acme)
    expect(hashRows(tenantRows(planTenants({ tenants: 3 })[1]!))).toBe(before)
  })

  it('hashes rows, not the chunks that they come in', () => {
    const chunks = [...tenantRows(initech)]
    const single = chunks.flatMap((chunk) => chunk.rows.map((row) => ({ ...chunk, rows: [row] })))
    expect(hashRows(single)).toBe(hashRows(chunks))
    expect(hashRows(single.slice(1))).not.toBe(hashRows(chunks))
  })
})

describe('the tenants', () => {
  it('are 36 with ids of the grammar, ids and subdomains each once', () => {
    expect(tenants).toHaveLength(36)
    for (const { id } of tenants) expect(isTenantId(id), id).toBe(true)
    for (const { subdomain } of tenants) expect(subdomain).toMatch(/^[a-z][a-z0-9-]*[a-z0-9]$/)
    const many = planTenants({ tenants: 500 })
    expect(new Set(many.map(({ id }) => id)).size).toBe(500)
    expect(new Set(many.map(({ subdomain }) => subdomain)).size).toBe(500)
    expect(many.slice(0, 36)).toEqual(tenants)
  })

  it('begin with the three of the demo, one of each cohort', () => {
    expect([acme.id, globex.id, initech.id]).toEqual(['acme', 'globex', 'initech'])
    expect([acme.cohort, globex.cohort, initech.cohort]).toEqual(['L', 'M', 'S'])
  })

  it('have 50,000 rows or more, and cohorts that are far apart', () => {
    const sizes = tenants.map((tenant) => ({ cohort: tenant.cohort, rows: sizeOf(tenant) }))
    expect(sizes.reduce((sum, { rows }) => sum + rows, 0)).toBeGreaterThanOrEqual(50_000)
    const range = (cohort: string): number[] =>
      sizes.filter((it) => it.cohort === cohort).map((it) => it.rows)
    expect(Math.max(...range('S')) * 2).toBeLessThan(Math.min(...range('M')))
    expect(Math.max(...range('M')) * 2).toBeLessThan(Math.min(...range('L')))
  })

  it('grow with the scale', () => {
    expect(sizeOf(globex, { scale: 3 }) / sizeOf(globex)).toBeCloseTo(3, 0)
    expect(sizeOf(initech, { scale: 0.001 })).toBeGreaterThan(0)
  })

  it.each([
    [{ scale: 0 }, 'scale: wanted a number above 0, at most 1000; 0 came'],
    [{ scale: Number.NaN }, 'scale: wanted a number above 0, at most 1000; NaN came'],
    [{ scale: 1e9 }, 'scale: wanted a number above 0, at most 1000; 1000000000 came'],
    [{ seed: 1.5 }, 'seed: wanted a whole number from 0; 1.5 came'],
    [{ tenants: 2 }, 'tenants: wanted a whole number from 3 to 10000; 2 came'],
  ])('refuse %o', (options, message) => {
    expect(() => planTenants(options)).toThrow(message)
    expect(() => hashSeed(options)).toThrow(message)
  })
})

describe('the rows', () => {
  it('share ids between tenants, so that a forgotten tenant shows', () => {
    const ids = (tenant: SeedTenant, table: string): (string | null)[] =>
      rowsOf(tenant, table).map(({ id }) => id!)
    for (const table of ['users', 'tickets', 'comments', 'orders', 'order_items', 'tags']) {
      const shared = new Set(ids(acme, table))
      expect(
        ids(initech, table).every((id) => shared.has(id)),
        table,
      ).toBe(true)
    }
  })

  it('name their tenant first, in every table', () => {
    for (const { table, columns, rows } of tenantRows(globex)) {
      expect(columns[0], table).toBe('tenant_id')
      expect(
        rows.every(([tenant]) => tenant === 'globex'),
        table,
      ).toBe(true)
    }
  })

  it('come in chunks, so that memory does not grow with the scale', () => {
    const sizes = [...tenantRows(acme, { scale: 2 })].map(({ rows }) => rows.length)
    expect(Math.max(...sizes)).toBe(1_000)
  })

  it('keep microseconds, and hold equal times for cursors to trip over', () => {
    const times = rowsOf(acme, 'tickets').map(({ created_at }) => created_at!)
    for (const time of times) expect(time).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00$/)
    expect(times.some((time) => !time.endsWith('000+00'))).toBe(true)
    expect(times.length - new Set(times).size).toBeGreaterThan(20)
    expect([...times].sort()).not.toEqual(times)
  })

  it('hold text that breaks careless escaping', () => {
    const text = [...tenantRows(acme)].flatMap(({ rows }) => rows.flat()).join('\n')
    const pieces = ["O'Brien", 'C:\\Users', '{latest}', '"not found"', '🎉', 'ليلى', '田中', ',\n\n']
    expect(pieces.filter((piece) => !text.includes(piece))).toEqual([])
  })
})
