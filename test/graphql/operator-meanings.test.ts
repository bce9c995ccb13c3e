/** What each operator means: the rows that it gives beside those that SQL gives. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Data } from '../kit/api.ts'
import { openTableApi, type TableApi } from '../kit/table-api.ts'

let api: TableApi

beforeAll(async () => {
  api = await openTableApi(`
    create extension citext;
    create type mood as enum ('sad', 'so so', 'happy');
    create type pair as (x int, y json);
    create table words (tenant_id text not null default 'acme', id serial primary key, tags text[], data jsonb,
      plain json, span int4range, spans int4multirange, address inet, network cidr, body text, words tsvector, mood mood,
      label citext, pair pair);
    insert into app.words (tags, data, plain, span, spans, address, network, body, words, mood, label, pair) values
      ('{a,b}', '{"a": {"n": 5, "s": "x", "b": true, "l": [1, 2]}, "k": null}', '{"a": {"n": 1.5}}', '[1,5)', '{[1,3),[7,9)}',
        '10.0.0.5/24', '10.0.0.0/16', 'The quick brown foxes jumped', to_tsvector('The quick brown foxes'), 'happy', 'Label', '(1,)'),
      ('{}', '[]', '[1]', 'empty', '{}', '192.168.0.1', '192.168.0.0/24', 'A slow 100% tortoise', to_tsvector('tortoise'), 'sad', 'LABEL', '(,)'),
      ('{c}', '{"a": {"n": "5", "s": 7}, "z": 1}', null, '[5,9)', '{[1,9)}', '10.0.1.1', '10.0.0.0/8', 'brown_bread', null, 'so so', null, null),
      (null, null, null, null, null, null, null, null, null, null, null, null)`)
})
afterAll(() => api?.end())

describe('what an operator means', () => {
  it.each([
    [{ tags: { has: 'a' } }, "'a' = any(tags)"],
    [{ tags: { contains: ['b'] } }, "tags @> '{b}'"],
    [{ tags: { contains: [] } }, 'tags is not null'],
    [{ tags: { containedBy: ['a', 'b', 'c'] } }, "tags <@ '{a,b,c}'"],
    [{ tags: { overlaps: ['c', 'b'] } }, "tags && '{c,b}'"],
    [{ tags: { eq: ['a', 'b'] } }, "tags = '{a,b}'"],
    [{ tags: { isEmpty: true } }, "tags = '{}'"],
    [{ tags: { isEmpty: false } }, "tags <> '{}'"],
    [{ data: { contains: { a: { n: 5 } } } }, `data @> '{"a": {"n": 5}}'`],
    [{ data: { containedBy: [] } }, "data = '[]'"],
    [{ data: { eq: [] } }, "data = '[]'"],
    [{ data: { hasKey: 'k' } }, "data ? 'k'"],
    [{ data: { hasAnyKey: ['k', 'z'] } }, "data ?| '{k,z}'"],
    [{ data: { hasAllKeys: ['a', 'z'] } }, "data ?& '{a,z}'"],
    [{ data: { at: [{ path: ['a', 'n'], number: { gte: '5' } }] } }, 'id = 1'],
    [{ data: { at: [{ path: ['a', 'n'], string: { eq: '5' } }] } }, 'id = 3'],
    [{ data: { at: [{ path: ['a', 'n'], number: { isNull: true } }] } }, 'id <> 1'],
    [{ data: { at: [{ path: ['a', 'b'], boolean: { eq: true } }] } }, 'id = 1'],
    [{ data: { at: [{ path: ['a', 'l', '1'], number: { eq: 2 } }] } }, 'id = 1'],
    [{ data: { at: [{ path: ['k'], exists: true }] } }, 'id = 1'],
    [{ data: { at: [{ path: ['k'], exists: false }] } }, 'id <> 1'],
    [{ data: { at: { path: ['a', 's'], string: { startsWith: 'x' }, exists: true } } }, 'id = 1'],
    [{ data: { at: [{ path: ['a'] }, { path: ['z'], exists: true }] } }, 'id = 3'],
    [{ plain: { at: [{ path: ['a', 'n'], number: { lt: 2 } }] } }, 'id = 1'],
    [{ plain: { contains: [1] } }, 'id = 2'],
    [{ span: { containsValue: 4 } }, 'span @> 4'],
    [{ span: { contains: { lower: 2, upper: 3 } } }, "span @> '[2,3)'"],
    [{ span: { containedBy: { lower: 1 } } }, "span <@ '[1,)'"],
    [{ span: { overlaps: { lower: 4, upper: 5, upperInclusive: true } } }, "span && '[4,5]'"],
    [{ span: { before: { lower: 5, upper: 6 } } }, "span << '[5,6)'"],
    [{ span: { after: { lower: 0, upper: 1 } } }, "span >> '[0,1)'"],
    [{ span: { adjacent: { lower: 5, upper: 6 } } }, "span -|- '[5,6)'"],
    [{ span: { eq: { isEmpty: true } } }, "span = 'empty'"],
    [{ span: { isEmpty: false } }, 'not isempty(span)'],
    [{ spans: { containsValue: 4 } }, 'spans @> 4'],
    [{ spans: { contains: [{ lower: 7, upper: 8 }] } }, "spans @> '{[7,8)}'::int4multirange"],
    [{ spans: { eq: [] } }, "spans = '{}'"],
    [{ address: { containedBy: '10.0.0.0/16' } }, "address <<= '10.0.0.0/16'"],
    [{ address: { eq: '10.0.0.5/24' } }, "address = '10.0.0.5/24'"],
    [{ network: { contains: '10.0.0.0/24' } }, "network >>= '10.0.0.0/24'"],
    [{ body: { search: 'fox -tortoise' } }, 'id = 1'],
    [{ body: { search: '"brown fox"' } }, 'id = 1'],
    [{ body: { search: 'tortoise or jumping' } }, 'id < 3'],
    [{ body: { search: 'the' } }, 'false'],
    [{ words: { search: 'foxes' } }, 'id = 1'],
    [{ body: { contains: '%' } }, 'id = 2'],
    [{ body: { contains: '_' } }, 'id = 3'],
    [{ body: { startsWith: 'the' } }, 'false'],
    [{ mood: { gte: 'SO_SO' } }, "mood >= 'so so'"],
    [{ label: { eq: 'label' } }, "label = 'label'"],
    [{ label: { contains: 'ABE' } }, "label like '%ABE%'"],
    [{ pair: { isNull: true } }, 'pair is not distinct from null'],
    [{ pair: { isNull: false } }, 'id < 3'],
  ])('%j: the rows where %s', async (filter, where) => {
    const { words } = await api.data(
      'query($filter: WordFilter) { words(filter: $filter) { nodes { rowId } } }',
      { filter },
    )
    const rows = await api.db.query(
      `set search_path = app, public; select id from app.words where ${where} order by id`,
    )
    await api.db.query('reset search_path')
    expect(words.nodes.map(({ rowId }: Data) => String(rowId))).toEqual(rows.map(({ id }) => String(id)))
  })

  it('a search reads the start of a text that is too long for an index of words', async () => {
    await api.db.query(
      `insert into app.words (body) select 'needle ' || string_agg('w' || n, ' ') from generate_series(1, 400000) n`,
    )
    const { words } = await api.data('{ words(filter: { body: { search: "needle" } }) { totalCount } }')
    expect(words.totalCount).toBe(1)
  })

  const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)])
  const times = (count: number, item: unknown): unknown[] => Array.from({ length: count }, () => item)

  it.each([
    [{ data: { eq: nested(4_900) } }, undefined],
    [{ data: { eq: nested(5_100) } }, 'characters in JSON values'],
    [{ and: [nested(3_000), nested(3_000)].map((eq) => ({ data: { eq } })) }, 'characters in JSON values'],
    [{ body: { search: 'x'.repeat(1_001) } }, 'characters in patterns'],
    [
      { or: [{ body: { like: 'x'.repeat(600) } }, { body: { startsWith: 'x'.repeat(401) } }] },
      'characters in patterns',
    ],
    [{ or: times(10, { body: { search: 'x' } }) }, undefined],
    [{ or: times(11, { body: { search: 'x' } }) }, 'searches for words'],
    [{ data: { contains: times(50, [3]) } }, undefined],
    [{ data: { contains: times(51, [3]) } }, 'items in lists of JSON values'],
    [
      { not: { and: times(2, { data: { containedBy: { a: times(51, 3) } } }) } },
      'items in lists of JSON values',
    ],
    [{ data: { at: [{ path: times(1_001, 'x') }] } }, 'items in lists'],
    [{ data: { at: times(2, { path: times(501, 'x'), exists: true }) } }, 'items in lists'],
    [{ data: { at: null } }, '"at" of "data" is null'],
    [{ data: { at: [{ path: ['a'], string: null }] } }, 'The filter of "data" is null'],
    [{ data: { contains: null } }, '"contains" of "data" is null'],
  ])('%# is bounded', async (filter, message) => {
    const { errors } = await api.run('query($filter: WordFilter) { words(filter: $filter) { totalCount } }', {
      filter,
    })
    if (message) expect(errors?.[0]?.message).toContain(message)
    else
      for (const error of errors ?? []) expect(error.originalError).toMatchObject({ code: 'BAD_USER_INPUT' })
  })
})
