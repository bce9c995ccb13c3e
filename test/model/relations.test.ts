/** Relations: every foreign key between served tables, named on both sides. */

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withClient } from '../../src/db/client.ts'
import { introspect } from '../../src/model/introspect.ts'
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
})
