/** What the checks of a shard's safety read from its catalogs, as plain data. */

import type { Queryable } from '../../db/client.ts'

export interface SafetyQuestion {
  /** The tenant column. */
  readonly column: string
  /** Schemas whose tables are served. */
  readonly schemas: readonly string[]
  /** The role that the gateway logs in with. */
  readonly appRole: string
  /** 'schema.name' of tables without the tenant column that every tenant may read. */
  readonly global?: readonly string[]
  /** The schemas are one tenant's own: tables without the tenant column are the tenant's too, and keys tell nobody else. */
  readonly own?: boolean
}

export interface RoleFacts {
  readonly superuser: boolean
  readonly bypassRls: boolean
  readonly replication: boolean
  readonly createRole: boolean
  readonly createDb: boolean
  /** Roles that it is a member of, directly or not. */
  readonly memberOf: readonly { name: string; superuser: boolean; bypassRls: boolean; predefined: boolean }[]
  /** What it owns, itself or through a membership: 'table app.tickets', at most 20. */
  readonly owns: readonly string[]
  /** Schemas outside of Postgres' own in which it may create. */
  readonly createsIn: readonly string[]
  readonly createsSchemas: boolean
  readonly createsTemporary: boolean
  readonly database: string
  readonly versionNumber: number
  readonly version: string
}

export interface PolicyFacts {
  readonly name: string
  readonly permissive: boolean
  /** '*' all, 'r' select, 'a' insert, 'w' update, 'd' delete. */
  readonly command: string
  /** Whether it is for the app role, and a restrictive one also for each role that this one may become. */
  readonly applies: boolean
  readonly everyone: boolean
  readonly using: string | null
  readonly check: string | null
  /** Oids of functions outside of Postgres' own that it calls, also by operators. */
  readonly calls: readonly string[]
  /** Names of operators outside of Postgres' own that it uses. */
  readonly operators: readonly string[]
}

export interface IndexFacts {
  readonly name: string
  readonly primary: boolean
  readonly unique: boolean
  readonly exclusion: boolean
  readonly valid: boolean
  /** Whether no column of it may be null. */
  readonly notNull: boolean
  /** Whether it is checked at once: not deferrable. */
  readonly immediate: boolean
  readonly partial: boolean
  /** Key columns in order; null for an expression. */
  readonly columns: readonly (string | null)[]
  /** Whether the comparisons of each key column leave its values to themselves (leakproof). */
  readonly leakproof: readonly boolean[]
  /** Its access method: 'btree'. */
  readonly method: string
  /** Its definition from behind the first parenthesis: 'lower(mail)) WHERE (mail <> …)'. */
  readonly body: string
  /** Of an exclusion constraint: 'EXCLUDE USING gist (room WITH =, …)'. */
  readonly definition: string | null
  /** Whether it belongs to a constraint of its own name. */
  readonly constraint: boolean
  readonly deferrable: boolean
  readonly deferred: boolean
  /** Whether it is the table's replica identity. */
  readonly identity: boolean
  /** Of the constraint, else of the index. */
  readonly comment: string | null
}

/** A table as two names. */
export interface TableName {
  readonly schema: string
  readonly name: string
}

export interface ForeignKeyFacts {
  readonly name: string
  /** The table that it is of. */
  readonly schema: string
  readonly table: string
  /** The parts with rows of that table, when it is partitioned. */
  readonly leaves: readonly TableName[]
  /** Number of tables that are locked with both of its tables. */
  readonly breadth: number
  readonly columns: readonly string[]
  readonly otherSchema: string
  readonly otherTable: string
  readonly otherPartitioned: boolean
  readonly otherColumns: readonly string[]
  /** Whether its own table has the tenant column. */
  readonly ownIsTenant: boolean
  /** The unique index of the other table that it leans on. */
  readonly index: string | null
  /** False after NOT VALID: rows from before were never checked. */
  readonly valid: boolean
  /** Whether policies may hide rows of one of the two tables from its owner. */
  readonly rowsHidden: boolean
  readonly deferrable: boolean
  readonly deferred: boolean
  readonly comment: string | null
  /** Whether the other table has the tenant column. */
  readonly otherIsTenant: boolean
  /** 'a' no action, 'r' restrict, 'c' cascade, 'n' set null, 'd' set default. */
  readonly onDelete: string
  readonly onUpdate: string
  /** Columns that the delete sets; empty for all of them. */
  readonly onDeleteColumns: readonly string[]
}

export interface TableFacts {
  readonly schema: string
  readonly name: string
  /** Of pg_class: 'r', 'p', 'f'. */
  readonly kind: string
  /** 'schema.name' of what it is a partition or a child of. */
  readonly parents: readonly string[]
  readonly isPartition: boolean
  readonly owner: string
  /** Roles with a right on it, the owner among them and the app role not. */
  readonly users: readonly string[]
  /** The parts with rows, when it is partitioned. */
  readonly leaves: readonly TableName[]
  /** Number of tables that are locked with it: its parts and children, and itself. */
  readonly breadth: number
  /** Columns by which replication finds a row again; null for all of them. */
  readonly identity: readonly string[] | null
  /** Columns of the primary key that a sequence fills. */
  readonly counted: readonly string[]
  /** Columns whose comparisons are not leakproof, by their type. */
  readonly opaque: readonly string[]
  readonly rowSecurity: boolean
  readonly forced: boolean
  readonly tenantType: string
  readonly tenantNotNull: boolean
  readonly tenantCollationExact: boolean
  /** Checks on the table and on the tenant column's domain; the domain's with VALUE for the column. */
  readonly checks: readonly string[]
  readonly domainChecks: readonly string[]
  /** Rights of the app role, lower case: 'select', 'truncate', … */
  readonly rights: readonly string[]
  readonly policies: readonly PolicyFacts[]
  readonly indexes: readonly IndexFacts[]
  readonly foreignKeys: readonly ForeignKeyFacts[]
  /** Foreign keys of any table that refer to it. */
  readonly incoming: readonly ForeignKeyFacts[]
}

export interface FunctionFacts {
  readonly oid: string
  readonly schema: string
  readonly name: string
  /** As `app.tenant(text)`. */
  readonly signature: string
  /** 'i' immutable, 's' stable, 'v' volatile. */
  readonly volatility: string
  readonly definer: boolean
  /** Whether the app role may call it. */
  readonly callable: boolean
  readonly language: string
  /** Whether only a trigger may call it. */
  readonly trigger: boolean
  /** Its text; empty when its body was parsed. */
  readonly source: string
  /** Whether its body was parsed when it was made. */
  readonly body: boolean
  /** Names of tables and views that its parsed body reads or writes. */
  readonly reads: readonly string[]
  /** Oids of functions that its parsed body calls; a body that is a text has none here. */
  readonly calls: readonly string[]
}

export interface ViewFacts {
  readonly schema: string
  readonly name: string
  readonly materialized: boolean
  /** Whether it reads with the rights of whoever asks. */
  readonly invoker: boolean
  /** Ids of the tables and views that it reads, itself or by way of a view. */
  readonly reads: readonly string[]
  /**
   * Ids of what it reads itself that has no tenant column and is not global, and that the app role may read; in a
   * tenant's own schemas only what lies outside of them.
   */
  readonly strange: readonly string[]
  readonly rights: readonly string[]
}

/** A table that is listed as global. */
export interface GlobalFacts extends TableName {
  /** Of the app role, beside reading. */
  readonly rights: readonly string[]
}

/** Ask one of the queries of catalog-sql.ts; each answers one row with one JSON text. */
export async function readFacts<T>(db: Queryable, text: string, question: SafetyQuestion): Promise<T | null> {
  const values = [
    question.column,
    question.schemas,
    question.appRole,
    question.global ?? [],
    question.own ?? false,
  ]
  const rows = await db.query({ text, values })
  const facts = rows[0]?.facts
  return facts ? (JSON.parse(facts) as T) : null
}
