/**
 * What is easily got wrong: orders of a table whose columns are called as ours, and by money; conditions side by side;
 * lists of a domain.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Data } from '../kit/api.ts'
import { openTableApi, type TableApi } from '../kit/table-api.ts'

let api: TableApi

beforeAll(async () => {
  api = await openTableApi(`
    create domain mail as text check (value like '%@%');
    create table letters (tenant_id text not null, id int, copies mail[], primary key (tenant_id, id));
    insert into letters values ('acme', 1, '{a@x,b@x}'), ('acme', 2, '{}'), ('acme', 3, null);
    create table shops (tenant_id text not null, id int, takings money, primary key (tenant_id, id));
    create table goods (tenant_id text not null, id int, shop_id int, o0 int, primary key (tenant_id, id),
      foreign key (tenant_id, shop_id) references shops (tenant_id, id));
    insert into shops select 'acme', n, (n % 3 * 1234.5)::numeric::money from generate_series(1, 5) n;
    insert into shops values ('acme', 6, null);
    insert into goods select 'acme', n, nullif(n % 7, 0), n % 2 from generate_series(1, 20) n`)
})
afterAll(() => api?.end())

const LIST = `query($orderBy: [GoodOrderBy!], $first: Int, $last: Int, $after: String, $before: String) {
  goods(orderBy: $orderBy, first: $first, last: $last, after: $after, before: $before) {
    nodes { rowId o0 } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } }`

describe('goods by the takings of their shops', () => {
  const orderBy = [{ shop: { takings: 'DESC_NULLS_LAST' } }, { o0: 'ASC' }]
  const sorted = async (): Promise<number[]> => {
    const rows = await api.db.query(`select g.id from app.goods g left join app.shops s on s.id = g.shop_id
      order by s.takings desc nulls last, g.o0, g.id`)
    return rows.map(({ id }) => Number(id))
  }
  const ids = (page: Data): number[] => page.nodes.map(({ rowId }: Data) => rowId)

  it('go page by page, though the table has a column o0 and the shop writes commas', async () => {
    const seen: number[] = []
    for (let after: string | null = null; ; ) {
      const { goods }: Data = await api.data(LIST, { orderBy, first: 3, after })
      seen.push(...ids(goods))
      if (!goods.pageInfo.hasNextPage) break
      after = goods.pageInfo.endCursor
    }
    expect(seen).toEqual(await sorted())
  })

  it('go back the same way', async () => {
    const seen: number[] = []
    for (let before: string | null = null; ; ) {
      const { goods }: Data = await api.data(LIST, { orderBy, last: 3, before })
      seen.unshift(...ids(goods))
      if (!goods.pageInfo.hasPreviousPage) break
      before = goods.pageInfo.startCursor
    }
    expect(seen).toEqual(await sorted())
  })

  it('are the goods of each shop, too', async () => {
    const { shops } = await api.data(
      '{ shops { nodes { rowId goods(first: 2, orderBy: [{ shop: { takings: ASC } }, { o0: DESC }]) { nodes { rowId o0 o02: o0 } } } } }',
    )
    const rows =
      await api.db.query(`select shop_id, array_to_string((array_agg(id order by o0 desc, id))[1:2], ' ') as ids
      from app.goods where shop_id is not null group by 1 order by 1`)
    expect(shops.nodes.map(({ goods }: Data) => ids(goods).join(' '))).toEqual(rows.map((row) => row.ids))
  })
})

describe('conditions of groups side by side', () => {
  it.each([
    [
      { or: [{ count: { lt: 3 } }, { min: { rowId: { gt: 2 } } }], max: { rowId: { gt: 18 } } },
      '(count(*) < 3 or min(id) > 2) and max(id) > 18',
    ],
    [
      { not: { or: [{ count: { lt: 3 } }, { max: { rowId: { lt: 19 } } }] } },
      'not (count(*) < 3 or max(id) < 19)',
    ],
    [
      {
        or: [{ and: [{ count: { eq: 3 } }, { min: { rowId: { lt: 3 } } }] }, { count: { eq: 2 } }],
        min: { rowId: { neq: 1 } },
      },
      '((count(*) = 3 and min(id) < 3) or count(*) = 2) and min(id) <> 1',
    ],
  ])('%j is having %s', async (having, sql) => {
    const { goods } = await api.data(
      'query($having: GoodHaving) { goods { groups(by: [{ shopId: VALUE }], having: $having) { key { shopId } } } }',
      { having },
    )
    const rows = await api.db.query(`select shop_id from app.goods group by 1 having ${sql} order by 1`)
    expect(rows.length).toBeGreaterThan(0)
    expect(goods.groups.map(({ key }: Data) => key.shopId)).toEqual(
      rows.map(({ shop_id }) => (shop_id === null ? null : Number(shop_id))),
    )
  })
})

describe('a list whose items are of a domain', () => {
  it.each([
    [{ has: 'a@x' }, [1]],
    [{ contains: ['b@x'] }, [1]],
    [{ containedBy: ['a@x', 'b@x', 'c@x'] }, [1, 2]],
    [{ overlaps: ['b@x', 'z@x'] }, [1]],
    [{ eq: ['a@x', 'b@x'] }, [1]],
    [{ has: 'no address' }, []],
    [{ isEmpty: true }, [2]],
    [{ isNull: true }, [3]],
  ])('%j', async (copies, wanted) => {
    const { letters } = await api.data(
      'query($copies: StringListFilter) { letters(filter: { copies: $copies }) { nodes { rowId } } }',
      { copies },
    )
    expect(letters.nodes.map(({ rowId }: Data) => rowId)).toEqual(wanted)
  })
})
