/**
 * Round trips of everything that a table may hold: values of every type at their edges, types of users, identities,
 * generated columns, circles of foreign keys, triggers, partitions, keys that are looked at late.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantId } from '../../src/base/ids.ts'
import { exportTenant } from '../../src/control/copy/export.ts'
import type { ContentHash } from '../../src/control/copy/hash.ts'
import { cloneTenant, importTenant } from '../../src/control/copy/import.ts'
import { type Fleet, onDirectory, onHome } from '../../src/control/reach.ts'
import { type Client, withClient } from '../../src/db/client.ts'
import { findTenant } from '../../src/directory/tenants.ts'
import type { TestFleet } from '../kit/fleet.ts'
import { refusal } from '../kit/life.ts'
import { type PrivateServer, privateServer } from '../kit/servers.ts'
import { hashAt, TYPED, TYPED_TENANCY, type TypedFleet, typedFleet } from '../kit/typed-fleet.ts'

let typed: TypedFleet
let test: TestFleet
let server: PrivateServer
let fleet: Fleet
let original: ContentHash

beforeAll(async () => {
  // What roles may do belongs to a server: the one whose mover may less is its own.
  server = await privateServer()
  const weights = { 'shard-a': 1, 'shard-b': 1, 'shard-c': 1 }
  typed = await typedFleet({ weights, servers: { 'shard-c': server.superuserUrl('postgres') } })
  ;({ test, fleet } = typed)
  original = await hashOf('typed')
})
afterAll(async () => {
  await typed?.drop()
  await server?.remove()
})

async function at<T>(id: string, work: (client: Client, schema: string) => Promise<T>): Promise<T> {
  const tenant = (await onDirectory(fleet.directoryUrl, (db) => findTenant(db, tenantId(id))))!
  const shard = fleet.shards.find(({ key }) => key === tenant.shard)!
  return onHome(shard, tenant, async (client) => {
    await client.query(`select set_config('app.current_tenant_id', '${id}', false)`)
    return work(client, tenant.isolation === 'schema' ? tenant.namespace : 'app')
  })
}

async function hashOf(id: string): Promise<ContentHash> {
  const tenant = (await onDirectory(fleet.directoryUrl, (db) => findTenant(db, tenantId(id))))!
  const shard = fleet.shards.find(({ key }) => key === tenant.shard)!
  return hashAt(shard, { home: tenant, tenancy: TYPED_TENANCY, tenant: tenant.id })
}

const nextId = (id: string, table: string): Promise<string | null | undefined> =>
  at(id, async (client, schema) => {
    const [row] = await client.query(
      `select nextval(pg_get_serial_sequence('"${schema}".${table}', 'id')) as id`,
    )
    return row?.id
  })

/** What a home of the tenant's own has by its migrations is not among the rows of shared tables. */
const ofTenant = ({ tables }: ContentHash) =>
  tables.filter(({ table, rows }) => rows > 0 && table !== 'app.notes')

describe('a tenant with every type of value', () => {
  it('has rows in every kind of table', () => {
    const rows = new Map(original.tables.map(({ table, rows }) => [table, rows]))
    expect(rows.get('app.every_value')).toBeGreaterThan(9)
    expect(rows.get('app.user_types')).toBe(4)
    expect([...rows].filter(([, count]) => count === 0)).toEqual([])
  })

  it('is the same after shared → schema → database → shared, under other ids', async () => {
    const way = [
      { id: 'typed-1', isolation: 'schema', shard: 'shard-a' },
      { id: 'typed-2', isolation: 'database', shard: 'shard-a' },
      { id: 'typed-3', isolation: 'shared', shard: 'shard-b' },
    ] as const
    let from = TYPED
    for (const { id, ...place } of way) {
      const { folder } = await exportTenant(fleet, from)
      if (place.isolation === 'shared') {
        // Its own copy of a table without the tenant column has rows, and shared tables have no room for them.
        expect((await refusal(importTenant(fleet, folder, { as: tenantId(id), ...place }))).message).toMatch(
          /There are 1 rows of app\.notes, and no such table for a tenant on shard-b/,
        )
        await at(from, (client) => client.query('truncate app.notes'))
        const again = await exportTenant(fleet, from)
        await importTenant(fleet, again.folder, { as: tenantId(id), ...place })
      } else await importTenant(fleet, folder, { as: tenantId(id), ...place })
      expect(ofTenant(await hashOf(id))).toEqual(ofTenant(original))
      from = tenantId(id)
    }
  })

  it('draws numbers above those that it brought, from identities and serials', async () => {
    await cloneTenant(fleet, TYPED, { as: tenantId('numbered'), isolation: 'schema', shard: 'shard-b' })
    expect(await nextId('numbered', 'hens')).toBe('7')
    expect(await nextId('numbered', 'eggs')).toBe('9')
    // One more in the tenant's own must not come before those of a third one in shared tables.
    expect(Number(await nextId('typed-3', 'hens'))).toBeGreaterThanOrEqual(7)
  })

  it('keeps what triggers have made of its rows, once', async () => {
    const bodies = await at('typed-2', (client) => client.query('select body from app.shouts'))
    expect(bodies).toEqual([{ body: 'quiet' }])
  })

  it('is cloned without quiet, where triggers and circles let it, and else refused with what to grant', async () => {
    const onC = (text: string) => withClient(test.shards[2]!.superuserUrl, (db) => db.query(text))
    const source = (text: string) =>
      withClient(test.shards[0]!.superuserUrl, (db) =>
        db.query(`set session_replication_role = replica; ${text}`),
      )
    await onC('revoke set on parameter session_replication_role from shardgate_mover')
    const loud = () =>
      cloneTenant(fleet, TYPED, { as: tenantId('loud'), isolation: 'schema', shard: 'shard-c' })
    expect((await refusal(loud())).message).toMatch(
      /Loading the rows of loud was refused by Postgres: .* violates foreign key/,
    )
    await source('delete from app.eggs; delete from app.hens')
    const { message, hint } = await refusal(loud())
    expect(message).toContain('app.shouts has other contents than what was read')
    expect(hint).toContain('grant set on parameter session_replication_role')
    await source('delete from app.shouts')
    await loud()
    expect(ofTenant(await hashOf('loud'))).toEqual(ofTenant(await hashOf(TYPED)))
  })
})
