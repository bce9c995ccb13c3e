/** Names: the same for ever, valid in GraphQL, and a clash is told with its fix. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plural, singular } from '../../src/model/inflection.ts'
import {
  camelCase,
  columnField,
  constantCase,
  pascalCase,
  referenceName,
  tableNames,
} from '../../src/model/names.ts'

const PAIRS = `
  ticket/tickets address/addresses category/categories status/statuses person/people child/children
  grandchild/grandchildren man/men woman/women human/humans box/boxes tax/taxes branch/branches dish/dishes
  cache/caches epoch/epochs house/houses warehouse/warehouses case/cases database/databases license/licenses
  response/responses course/courses purchase/purchases clause/clauses use/uses size/sizes invoice/invoices
  day/days key/keys company/companies reply/replies movie/movies series/series species/species news/news
  data/data metadata/metadata media/media bus/buses virus/viruses campus/campuses alias/aliases
  canvas/canvases lens/lenses gas/gases analysis/analyses crisis/crises hypothesis/hypotheses axis/axes
  taxi/taxis api/apis sku/skus menu/menus photo/photos hero/heroes potato/potatoes shoe/shoes move/moves
  archive/archives knife/knives shelf/shelves leaf/leaves olive/olives quiz/quizzes matrix/matrices
  index/indexes vertex/vertices mouse/mice foot/feet specimen/specimens criterion/criteria ox/oxen
  class/classes process/processes business/businesses match/matches patch/patches hash/hashes
  bonus/bonuses census/censuses roof/roofs chief/chiefs thief/thieves query/queries survey/surveys
  s3/s3s job/jobs tie/ties promise/promises exercise/exercises phase/phases base/bases zombie/zombies`
  .trim()
  .split(/\s+/)
  .map((pair) => pair.split('/') as [string, string])

describe('singular and plural', () => {
  it.each(PAIRS)('%s / %s', (one, many) => {
    expect(plural(one)).toBe(many)
    expect(singular(many)).toBe(one)
    expect(singular(one)).toBe(one)
  })

  it('a word that nobody knows never becomes empty', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{1,12}$/), (word) => {
        expect(singular(word).length).toBeGreaterThan(0)
        expect(plural(singular(word)).length).toBeGreaterThan(0)
      }),
    )
  })
})

describe('tables', () => {
  it.each([
    ['tickets', 'Ticket', 'ticket', 'tickets'],
    ['ticket', 'Ticket', 'ticket', 'tickets'],
    ['order_items', 'OrderItem', 'orderItem', 'orderItems'],
    ['OrderItems', 'OrderItem', 'orderItem', 'orderItems'],
    ['people', 'Person', 'person', 'people'],
    ['news', 'News', 'news', 'newsList'],
    ['user_data', 'UserData', 'userData', 'userDataList'],
    ['2fa_codes', '_2faCode', '_2faCode', '_2faCodes'],
    ['_drafts', '_Draft', '_draft', '_drafts'],
    ['ticket_tags', 'TicketTag', 'ticketTag', 'ticketTags'],
  ])('%s', (table, typeName, oneField, manyField) => {
    expect(tableNames(table)).toEqual({ typeName, oneField, manyField })
  })
})

describe('columns and labels', () => {
  it.each([
    ['created_at', 'createdAt'],
    ['createdAt', 'createdAt'],
    ['CreatedAt', 'createdAt'],
    ['userID', 'userId'],
    ['HTTPServer', 'httpServer'],
    ['address_2', 'address2'],
    ['2fa', '_2fa'],
    ['prix €', 'prix'],
    ['Émile', 'emile'],
    ['_hidden', '_hidden'],
    ['__hidden', '__hidden'],
    ['id', 'rowId'],
    ['ID', 'rowId'],
  ])('%s → %s', (column, field) => {
    expect(columnField(column)).toBe(field)
  })

  it.each([
    ['open', 'OPEN'],
    ['in-progress', 'IN_PROGRESS'],
    ['In Progress', 'IN_PROGRESS'],
    ['inProgress', 'IN_PROGRESS'],
    ['true', 'TRUE'],
    ['A1B2', 'A1B2'],
    ['2xl', '_2XL'],
    ['>=', 'U3E_U3D'],
    ['\u0301', 'U301'],
  ])('label %s → %s', (label, name) => {
    expect(constantCase(label)).toBe(name)
  })

  it('any name but the empty one gives a valid one, or one that begins with "__" and is refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 63 }), (name) => {
        for (const made of [
          camelCase(name),
          pascalCase(name),
          constantCase(name),
          tableNames(name).manyField,
        ]) {
          expect(made).toMatch(/^[_A-Za-z][_0-9A-Za-z]*$/)
        }
      }),
      { numRuns: 500 },
    )
  })

  it.each([
    ['author_id', 'author'],
    ['author_uuid', 'author'],
    ['authorId', 'author'],
    ['parent_ticket_id', 'parent_ticket'],
    ['author', undefined],
    ['id', undefined],
    ['_id', undefined],
    ['paid', undefined],
    ['valid', undefined],
  ])('the foreign key column %s names %s', (column, name) => {
    expect(referenceName(column)).toBe(name)
  })
})
