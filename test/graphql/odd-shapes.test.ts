/** Tables with hardly anything in them, and names that are hard: the schema is valid, and every field can be asked. */

import { validateSchema } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openTableApi, type TableApi } from '../kit/table-api.ts'

const TENANT = 'tenant_id text not null'

let api: TableApi

beforeAll(async () => {
  api = await openTableApi(
    `create table only_tenants (${TENANT} primary key);
     create table only_jsons (${TENANT}, doc json);
     create table only_points (${TENANT}, at point);
     create table only_generated (${TENANT}, a int generated always as (1) stored);
     create table only_identity (${TENANT}, id int generated always as identity, primary key (tenant_id, id));
     create table only_omitted (${TENANT}, a int, b int); comment on column only_omitted.a is '@omit';
       comment on column only_omitted.b is '@omit';
     create table only_keys (${TENANT}, a json, id int, primary key (tenant_id, id)); comment on column only_keys.id is '@omit';
       comment on column only_keys.a is '@omit';
     create table only_unfiltered (${TENANT}, a int); comment on table only_unfiltered is '@omit filter order create';
     create table only_relations (${TENANT}, json_of int, a json, constraint r foreign key (tenant_id, json_of) references only_keys);
     create table only_globals (a json); create table only_texts (a text);
     create view only_xmls with (security_invoker) as select tenant_id, '<a/>'::xml as x from only_jsons;
     insert into only_jsons values ('acme', '{}'), ('acme', '[]'), ('globex', '1');
     insert into only_globals values ('1'), ('2');
     insert into only_keys values ('acme', '1', 1);
     insert into only_relations values ('acme', 1, '{}');
     insert into only_identity values ('acme'), ('acme');
     create table "2 ""Quoted"" größen" ("tenant_id" text, "3 d" int, "select" int, "wert €" text, "日本" text, "日" text);
     insert into "2 ""Quoted"" größen" values ('acme', 1, 2, 'c', 'd', 'e');
     create table "a table whose name is as long as Postgres lets a name be, 63 b1" (${TENANT}, "a column whose name is as long as Postgres lets a name be, 63 b" int);
     create table constructors (${TENANT}, "_proto_" text, length int, "prototype" text, "then" text);
     insert into constructors values ('acme', 'a', 1, 'b', 'c');
     create table "order" (${TENANT}, "user" text, query text, type text, edges text, node_s text, cursor text, "limit" int, nodes int, key text, count int, total_count int);`,
    { global: ['app.only_globals', 'app.only_texts'] },
  )
})
afterAll(() => api?.end())

describe('the schema of the oddest tables', () => {
  it('is valid', () => {
    expect(validateSchema(api.schema)).toEqual([])
  })

  it('has no table that would have no field', () => {
    const ids = api.model.tables.map(({ name }) => name)
    expect(ids).not.toContain('only_tenants')
    expect(ids).not.toContain('only_omitted')
    expect(ids).toEqual(
      expect.arrayContaining(['only_keys', 'only_xmls', 'only_unfiltered', 'only_generated']),
    )
  })

  it('answers for each of them: all columns, count, pages without an order', async () => {
    for (const table of api.model.tables) {
      const fields = table.columns.filter(({ can }) => can.read).map(({ field }) => field)
      const wanted = fields.length > 0 ? fields.join(' ') : 'id'
      const { [table.manyField]: list } = await api.data(
        `{ ${table.manyField} { totalCount nodes { ${wanted} } edges { cursor } } }`,
      )
      expect([table.id, list.nodes.length]).toEqual([table.id, list.totalCount])
      for (const [i, { cursor }] of list.edges.entries()) {
        const { [table.manyField]: page } = await api.data(
          `query ($after: String) { ${table.manyField}(after: $after) { nodes { __typename } } }`,
          { after: cursor },
        )
        // Rows without anything that has an order are alike to a cursor: none is beyond another.
        if (table.columns.some(({ can }) => can.order))
          expect(page.nodes).toHaveLength(list.totalCount - i - 1)
      }
    }
  })

  it('gives only the tenant its rows, and everybody those of global tables', async () => {
    const data = await api.data('{ onlyJsons { totalCount } onlyGlobals { totalCount } }')
    expect(data).toEqual({ onlyJsons: { totalCount: 2 }, onlyGlobals: { totalCount: 2 } })
  })
})
