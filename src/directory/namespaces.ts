/**
 * Names of what is a tenant's own on a shard: its schema, its role, its database.
 *
 * An id is 1 to 40 letters, digits and "-", so each name says whose it is, differs for different ids, and fits into
 * the 63 bytes that Postgres has for one. Roles and databases belong to a whole server, which may hold several
 * shards: they carry the beginning of their shard's uuid too.
 */

import type { TenantId } from '../base/ids.ts'

/** How the names of tenants' own schemas begin. */
export const TENANT_SCHEMAS = 'tenant_'

export function tenantSchema(tenant: TenantId): string {
  return TENANT_SCHEMAS + tenant
}

/** Whether `schema` has the name of a tenant's own one. */
export function isTenantSchema(schema: string): boolean {
  return schema.startsWith(TENANT_SCHEMAS)
}

/** @param shardId  uuid of the shard */
export function tenantRole(shardId: string, tenant: TenantId): string {
  return `${ofShard(shardId)}${tenant}`
}

/** @param shardId  uuid of the shard */
export function tenantDatabase(shardId: string, tenant: TenantId): string {
  return `${ofShard(shardId)}${tenant}`
}

/**
 * A database that new ones are copied from. No id begins with "_".
 *
 * @param applied  digest of the migrations that it has (control/migrate/)
 */
export function templateDatabase(shardId: string, applied: string): string {
  return `${ofShard(shardId)}${TEMPLATE}${applied.slice(0, 12)}`
}

/** Whether `database` has the name of a template of the shard. */
export function isTemplateOf(shardId: string, database: string): boolean {
  return database.startsWith(ofShard(shardId) + TEMPLATE)
}

const TEMPLATE = '_template_'

/** Whether a database or a role has the name of something that belongs to tenants of the shard. */
export function isOfShard(shardId: string, name: string): boolean {
  return name.startsWith(ofShard(shardId))
}

/** What names of databases and roles begin with that belong to tenants of the shard. */
export function ofShard(shardId: string): string {
  return `shardgate_${shardId.replaceAll('-', '').slice(0, 8)}_`
}
