/** Tables for the traps of row-level security: each test has an empty schema `t`, and each tenant its view. */

import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { checkSafety } from '../../src/model/safety.ts'
import { APP, type IsolatedDatabase, isolatedDatabase, OWNER } from './isolation.ts'

/** The policy that Shardgate wants. */
export const OURS = 'tenant_id = (select shardgate.current_tenant())'
export const IDS = 'id int not null, primary key (tenant_id, id)'

export interface TrapTables {
  readonly database: () => IsolatedDatabase
  asOwner(statements: string): Promise<unknown>
  /** Past every policy. */
  fill(statements: string): Promise<unknown>
  asTenant: IsolatedDatabase['asTenant']
  /** A table t.`name`, isolated as it should be unless told otherwise. */
  makeTable(name: string, columns: string, rule?: string, checked?: boolean): Promise<unknown>
  /** Names of the checks that find something about t.`name`; what it lacks for moves is no trap. */
  found(name: string): Promise<string[]>
}

export function useTrapTables(): TrapTables {
  let database: IsolatedDatabase
  beforeAll(async () => {
    database = await isolatedDatabase()
  })
  afterAll(() => database?.close())

  const fill = (statements: string): Promise<unknown> => database.admin.query(statements)
  const asOwner = (statements: string): Promise<unknown> =>
    fill(`set role ${OWNER}; ${statements}; reset role`)
  beforeEach(() => asOwner(`create schema t; grant usage on schema t to ${APP}`))
  afterEach(async () => {
    await database.app.query('discard all')
    await fill('reset role; drop schema t cascade')
  })
  return {
    database: () => database,
    asOwner,
    fill,
    asTenant: (tenant, statement) => database.asTenant(tenant, statement),
    makeTable: (name, columns, rule = OURS, checked = true) =>
      asOwner(tableSql(name, columns, rule, checked)),
    found: (name) => checksOf(database, name),
  }
}

function tableSql(name: string, columns: string, rule: string, checked: boolean): string {
  return `
    create table t.${name} (tenant_id text not null ${checked ? "check (tenant_id <> '')" : ''}, ${columns});
    alter table t.${name} enable row level security;
    alter table t.${name} force row level security;
    create policy tenant_rows on t.${name} using (true) with check (true);
    create policy tenant_isolation on t.${name} as restrictive using (${rule}) with check (${rule});
    grant select, insert, update, delete on t.${name} to ${APP}`
}

async function checksOf(database: IsolatedDatabase, name: string): Promise<string[]> {
  const question = { column: 'tenant_id', schemas: ['t'], appRole: APP }
  const findings = await checkSafety(database.admin, question)
  return findings
    .filter(({ table, check }) => table === `t.${name}` && !check.startsWith('move-'))
    .map(({ check }) => check)
}
