/** A folder of migrations that a test writes into, file by file, and a fleet of targets of all three models. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TenantId, tenantId } from '../../src/base/ids.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { migrateFleet } from '../../src/control/migrate/up.ts'
import type { Fleet } from '../../src/control/reach.ts'
import { withClient } from '../../src/db/client.ts'
import type { Isolation } from '../../src/directory/types.ts'
import { type FleetOptions, freshFleet, type TestFleet } from './fleet.ts'

export interface MigrationFolder {
  readonly path: string
  /** Write a file that sorts behind the others; gives its name. @param marks  behind "migrate:up" */
  add(name: string, up: string, marks?: string): string
  /** Write a migration of rows in TypeScript. */
  addCode(name: string, code: string): string
  remove(): void
}

export function migrationFolder(): MigrationFolder {
  const path = mkdtempSync(join(tmpdir(), 'shardgate-migrations-'))
  let next = 20260101000000
  const write = (name: string, text: string): string => {
    writeFileSync(join(path, name), text)
    return name
  }
  return {
    path,
    add: (name, up, marks = '') =>
      write(`${next++}_${name}.sql`, `-- migrate:up ${marks}\n${up}\n-- migrate:down\ndrop table nothing;\n`),
    addCode: (name, code) => write(`${next++}_${name}.ts`, code),
    remove: () => rmSync(path, { recursive: true }),
  }
}

/** A table that is safe to share. @param columns  beside tenant_id and id */
export function tableSql(name: string, columns = 'title text'): string {
  return `
    create table ${name} (
      tenant_id text not null check (tenant_id <> ''), id bigint not null, ${columns}, primary key (tenant_id, id));
    alter table ${name} enable row level security;
    alter table ${name} force row level security;
    create policy tenant_rows on ${name} using (true) with check (true);
    create policy tenant_isolation on ${name} as restrictive
      using (tenant_id = (select shardgate.current_tenant()))
      with check (tenant_id = (select shardgate.current_tenant()));`
}

export interface TargetWorld {
  readonly fleet: Fleet
  readonly made: TestFleet
  readonly folder: MigrationFolder
  /** Ask a shard, or one of its databases, as superuser. */
  sql(shard: string, text: string, database?: string): Promise<Record<string, string | null>[]>
  /** Ask the directory. */
  directory(text: string): Promise<Record<string, string | null>[]>
  stop(): Promise<void>
}

/**
 * A fleet whose folder has one migration, the table `notes`, which all targets have.
 *
 * @param tenants  isolation model and shard by id
 */
export async function targetWorld(
  tenants: Readonly<Record<string, readonly [Isolation, string]>>,
  options: FleetOptions = {},
): Promise<TargetWorld> {
  const made = await freshFleet(options)
  const folder = migrationFolder()
  const fleet: Fleet = { ...made.fleet, migrations: folder.path }
  folder.add('notes', tableSql('notes'))
  await migrateFleet(fleet)
  for (const [id, [isolation, shard]] of Object.entries(tenants))
    await createTenant(fleet, { id: tenantId(id) as TenantId, isolation, shard })
  const urlOf = (shard: string, database?: string): string => {
    const url = new URL(made.shards.find(({ key }) => key === shard)!.superuserUrl)
    if (database !== undefined) url.pathname = `/${database}`
    return url.href
  }
  return {
    fleet,
    made,
    folder,
    sql: (shard, text, database) => withClient(urlOf(shard, database), (client) => client.query(text)),
    directory: (text) => withClient(made.directoryUrl, (client) => client.query(text)),
    async stop() {
      await made.drop()
      folder.remove()
    },
  }
}
