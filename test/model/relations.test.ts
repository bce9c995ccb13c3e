/** Relations: every foreign key between served tables, named on both sides. */

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withClient } from '../../src/db/client.ts'
import { introspect } from '../../src/model/introspect.ts'
import { withoutTables } from '../../src/model/subset.ts'
import type { Model, Relation, Table } from '../../src/model/types.ts'
import { type FreshDatabase, freshDatabase } from '../kit/servers.ts'

const FIXTURE = readFileSync(new URL('../fixtures/odd-tables.sql', import.meta.url), 'utf8')

let database: FreshDatabase
let model: Model

beforeAll(async () => {
  database = await freshDatabase()
  model = await withClient(database.url, async (db) => {
    await db.query(FIXTURE)
    return introspect(db, { column: 'tenant_id', schemas: ['app'] })
  })
})
afterAll(() => database?.drop())

function table(id: string): Table {
  const match = model.tables.find((candidate) => candidate.id === id)
  if (!match) throw new Error(`no table ${id}`)
  return match
}

function relation(id: string, field: string): Relation {
  const match = table(id).relations.find((candidate) => candidate.field === field)
  if (!match) throw new Error(`no relation ${field} on ${id}`)
  return match
}

describe('relations', () => {
  it('are named by the column on the child, and by the child on the parent', () => {
    expect(relation('app.comments', 'post')).toEqual({
      field: 'post',
      kind: 'one',
      target: 'app.posts',
      columns: [{ own: 'post_id', other: 'id' }],
      constraint: 'comments_post_again_fkey',
      nullable: false,
    })
    expect(relation('app.posts', 'comments')).toMatchObject({
      kind: 'many',
      target: 'app.comments',
      columns: [{ own: 'id', other: 'post_id' }],
    })
  })

  it('of two foreign keys to one table are told apart by column', () => {
    expect(table('app.posts').relations.map(({ field }) => field)).toEqual(['author', 'reviewer', 'comments'])
    expect(relation('app.people', 'postsByAuthor').constraint).toBe('posts_author_fkey')
    expect(relation('app.people', 'postsByReviewer').constraint).toBe('posts_reviewer_fkey')
    expect(relation('app.posts', 'author').nullable).toBe(false)
    expect(relation('app.posts', 'reviewer').nullable).toBe(true)
  })

  it('to oneself go both ways', () => {
    expect(relation('app.comments', 'parent')).toMatchObject({
      kind: 'one',
      nullable: true,
    })
    expect(relation('app.comments', 'commentsByParent')).toMatchObject({
      kind: 'many',
      target: 'app.comments',
    })
  })

  it('of a unique foreign key are one to one, and the parent may have none', () => {
    expect(relation('app.profiles', 'person')).toMatchObject({
      kind: 'one',
      nullable: false,
    })
    expect(relation('app.people', 'profile')).toMatchObject({
      kind: 'one',
      nullable: true,
    })
  })

  it('of composite keys keep every pair but the tenant column', () => {
    expect(relation('app.shipments', 'orderItem')).toMatchObject({
      nullable: true,
      columns: [
        { own: 'order_no', other: 'order_no' },
        { own: 'line_no', other: 'line_no' },
      ],
    })
    expect(relation('app.shipments', 'person').columns).toEqual([{ own: 'courier', other: 'id' }])
    expect(relation('app.order_items', 'shipments').kind).toBe('many')
  })

  it('are left out where the key leads by another column to the tenant, or by the tenant alone', () => {
    expect(table('app.transfers').relations.map(({ field }) => field)).toEqual(['event', 'note'])
    expect(table('app.accounts').relations).toEqual([])
    expect(table('app.accounts').primaryKey).toEqual([])
  })

  it('of a key that is not proven may have no row, though no column is null', () => {
    expect(relation('app.transfers', 'note')).toMatchObject({ kind: 'one', nullable: true })
  })

  it('reach a partitioned table once, whatever it is cut into', () => {
    expect(table('app.events').relations.map(({ field }) => field)).toEqual(['transfers'])
  })
})

describe('a model without a table that must not be served', () => {
  it('has no relation to it, no enum of its own, another fingerprint, and the same names', () => {
    const smaller = withoutTables(model, new Set(['app.posts']))
    const people = smaller.tables.find(({ id }) => id === 'app.people')

    expect(smaller.tables.map(({ id }) => id)).not.toContain('app.posts')
    expect(smaller.tables.flatMap(({ relations }) => relations.map(({ target }) => target))).not.toContain(
      'app.posts',
    )
    expect(people?.relations.map(({ field }) => field)).toEqual(['profile', 'shipments'])
    expect(smaller.enums).toEqual([])
    expect(smaller.fingerprint).not.toBe(model.fingerprint)
    expect(Object.isFrozen(smaller.tables)).toBe(true)
  })

  it('that holds none of them is the same model', () => {
    expect(withoutTables(model, new Set(['bad.table']))).toBe(model)
  })
})
