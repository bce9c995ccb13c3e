/** Which tables reach others when they are written, and which hang on others when they are read. */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { openTableApi, type TableApi } from '../kit/table-api.ts'

let api: TableApi

const table = (name: string, more = '') =>
  `create table ${name} (tenant_id text not null, id int not null, code text not null, primary key (tenant_id, id),
    unique (tenant_id, code)) ${more};`
const trigger = (on: string) =>
  `create trigger t before insert on ${on} for each row execute function nothing();`
const key = (name: string, columns: string) => `${table(name)}
  create table of_${name} (tenant_id text not null, id int primary key, code text,
    foreign key (tenant_id, ${columns}) references ${name} (tenant_id, ${columns}) on update cascade on delete cascade);`

beforeAll(async () => {
  api = await openTableApi(`
    create function nothing() returns trigger language plpgsql as 'begin return new; end';
    ${table('plain')}
    ${table('triggered')} ${trigger('triggered')}
    ${table('switched_off')} ${trigger('switched_off')} alter table switched_off disable trigger t;
    ${table('parted', 'partition by list (tenant_id)')}
    create table one_part partition of parted for values in ('acme'); ${trigger('one_part')}
    ${table('ruled')} create rule r as on delete to ruled do also delete from plain;
    ${key('kept', 'id')}
    ${key('followed', 'code')}
    create function look() returns boolean stable language plpgsql as
      'begin return exists (select from app.plain); end';
    create schema shardgate;
    create function shardgate.current_tenant() returns text stable language sql return current_setting('x');
    ${table('calling')} create policy p on calling using (look());
    ${table('fenced')} create policy p on fenced using (tenant_id = (select shardgate.current_tenant()));
    ${table('looking')} create policy p on looking using (exists (select from plain));
    ${table('guarded')} create policy p on guarded using (tenant_id = current_setting('x'));`)
})
afterAll(() => api?.end())

const having = (fact: 'reaches' | 'depends') =>
  api.model.tables.filter((found) => found[fact]).map(({ name }) => name)

it('writes of a table reach others by triggers, rules, and keys that follow a column', () => {
  expect(having('reaches')).toEqual(['followed', 'parted', 'ruled', 'triggered'])
})

it('rows of a table hang on others by policies that look at them, or call what may', () => {
  expect(having('depends')).toEqual(['calling', 'looking'])
})
