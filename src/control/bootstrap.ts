/** What only a superuser can make on an empty server: a log-in and a database. Safe to run again. */

import type { Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'
import { scramVerifier } from './roles.ts'

/** Make the log-in `name`, or give it this password when it has another one. */
export async function ensureLogin(db: Queryable, name: string, password: string): Promise<void> {
  const [role] = await db.query(compile(sql`select from pg_roles where rolname = ${sql.value(name)}`))
  const command = `${role ? 'alter' : 'create'} role %I login password %L`
  // The verifier, not the password: statements appear in server logs.
  const parts = [command, name, scramVerifier(password)].map((part) => sql`${sql.value(part)}::text`)
  const [written] = await db.query(compile(sql`select format(${sql.join(parts, ', ')}) as statement`))
  await db.query(written?.statement ?? '')
}

/** Make the database `name`, owned by `owner` when one is given. Not in a transaction. */
export async function ensureDatabase(db: Queryable, name: string, owner?: string): Promise<void> {
  const [database] = await db.query(compile(sql`select from pg_database where datname = ${sql.value(name)}`))
  if (database) return
  const ownedBy = owner === undefined ? sql.blank : sql` owner ${sql.identifier(owner)}`
  await db.query(sql.compile(sql`create database ${sql.identifier(name)}${ownedBy}`).text)
}
