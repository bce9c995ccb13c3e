/** The contract of graphql/documents/registered.ts: what is kept, how much of it, and who loses when it is full. */

import { describe, expect, it } from 'vitest'
import { type RegisteredDocuments, registeredDocuments } from '../../../src/graphql/documents/registered.ts'

// Room for ten documents of 100 characters, 200 more for each.
const ROOM = 3_000
const text = 'x'.repeat(100)
const keep = (store: RegisteredDocuments, tenant: string, count: number): void => {
  for (let i = 0; i < count; i++) store.keep(`${tenant}-${i}`, text, tenant)
}
const known = (store: RegisteredDocuments, tenant: string, count: number): number[] =>
  Array.from({ length: count }, (_, i) => i).filter((i) => store.find(`${tenant}-${i}`) !== undefined)

describe('registered documents', () => {
  it('are found by their hash, whoever brought them', () => {
    const store = registeredDocuments(ROOM)
    store.keep('h', text, 'acme')
    store.keep('h', 'another', 'globex')
    expect([store.find('h'), store.find('H'), store.find('__proto__')]).toEqual([text, undefined, undefined])
  })

  it('lose the one that was asked for the longest ago', () => {
    const store = registeredDocuments(ROOM)
    keep(store, 'acme', 10)
    store.find('acme-0')
    store.keep('new', text, 'acme')
    expect(known(store, 'acme', 10)).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('lose those of who has the most, not those of who has few', () => {
    const store = registeredDocuments(ROOM)
    keep(store, 'acme', 2)
    keep(store, 'globex', 3)
    keep(store, 'flood', 10_000)
    expect([known(store, 'acme', 2), known(store, 'globex', 3)]).toEqual([
      [0, 1],
      [0, 1, 2],
    ])
    expect(known(store, 'flood', 10_000)).toEqual([9_995, 9_996, 9_997, 9_998, 9_999])
  })

  it('are weighed by their characters: a few long ones are much', () => {
    const store = registeredDocuments(ROOM)
    keep(store, 'acme', 4)
    store.keep('long', 'x'.repeat(2_000), 'flood')
    store.keep('longer', 'x'.repeat(2_500), 'flood')
    expect(known(store, 'acme', 4)).toEqual([0, 1, 2, 3])
    expect([store.find('long'), store.find('longer')]).toEqual([undefined, undefined])
  })

  it('stay within their room, also where everybody brings one', () => {
    const store = registeredDocuments(ROOM)
    const tenants = Array.from({ length: 1_000 }, (_, i) => `t${i}`)
    for (const tenant of tenants) keep(store, tenant, 1)
    expect(tenants.filter((tenant) => known(store, tenant, 1).length > 0)).toHaveLength(10)
  })

  it('come back to who was pushed out and asks again', () => {
    const store = registeredDocuments(ROOM)
    keep(store, 'first', 1)
    keep(store, 'flood', 10)
    keep(store, 'second', 4)
    expect(known(store, 'first', 1)).toEqual([0])
    // Once the flood has the share of the others, no more than its own goes.
    keep(store, 'flood', 100)
    expect([known(store, 'first', 1), known(store, 'second', 4)]).toEqual([[0], [0, 1, 2, 3]])
  })
})
