/**
 * The three roles of a shard. Each has a log-in of its own, so that what leaks from one place (the gateway's
 * environment, say) opens no other.
 *
 *     shardgate_owner   owns the schemas and tables; migrations and the operator's commands
 *     shardgate_app     the gateway: reads and writes rows, owns nothing, cannot pass over row-level security
 *     shardgate_mover   moves of tenants: replication, and all rows; never in the gateway
 */

import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { fail } from '../base/errors.ts'
import type { Queryable } from '../db/client.ts'
import { compile, sql } from '../db/sql.ts'

/** Passwords for log-ins that do not exist yet or have another one. A role without one is left as it is. */
export interface RolePasswords {
  readonly owner?: string
  readonly app?: string
  readonly mover?: string
}

interface WantedRole {
  readonly name: string
  readonly attributes: string
  readonly password: string | undefined
}

function wantedRoles(passwords: RolePasswords): WantedRole[] {
  const plain = 'login nosuperuser nocreatedb nocreaterole'
  return [
    {
      name: 'shardgate_owner',
      attributes: `${plain} inherit noreplication nobypassrls`,
      password: passwords.owner,
    },
    {
      name: 'shardgate_app',
      attributes: `${plain} noinherit noreplication nobypassrls`,
      password: passwords.app,
    },
    {
      name: 'shardgate_mover',
      attributes: `${plain} noinherit replication bypassrls`,
      password: passwords.mover,
    },
  ]
}

/**
 * Make the roles that are missing and mend those that may do more or less than they should. Call in a
 * transaction; only a superuser can change anything, anybody else is told what to have typed.
 *
 * @throws SETUP_FAILED  something has to change and the connection may not
 */
export async function ensureRoles(db: Queryable, passwords: RolePasswords): Promise<void> {
  const wanted = wantedRoles(passwords)
  const changes = await changesTo(db, wanted)
  if (changes.length === 0) return
  const [me] = await db.query('select rolsuper from pg_roles where rolname = current_user')
  if (me?.rolsuper !== 't') {
    const lines = changes.map(({ verb, role }) => `${verb} role ${role.name} ${role.attributes};`)
    fail('SETUP_FAILED', ['A superuser has to run this first:', ...lines].join('\n  '))
  }
  // Roles belong to the whole server, and the lock of an installation only to one database.
  await db.query('lock table pg_catalog.pg_authid in share row exclusive mode')
  for (const { verb, role } of await changesTo(db, wanted)) await db.query(statementFor(verb, role))
}

interface RoleChange {
  readonly verb: 'create' | 'alter'
  readonly role: WantedRole
}

async function changesTo(db: Queryable, wanted: readonly WantedRole[]): Promise<RoleChange[]> {
  const changes: RoleChange[] = []
  for (const role of wanted) {
    const verb = await verbFor(db, role)
    if (verb) changes.push({ verb, role })
  }
  return changes
}

async function verbFor(
  db: Queryable,
  { name, attributes, password }: WantedRole,
): Promise<RoleChange['verb'] | undefined> {
  const [found] = await db.query(
    compile(sql`
      select concat_ws(' ',
        case when rolcanlogin then 'login' else 'nologin' end,
        case when rolsuper then 'superuser' else 'nosuperuser' end,
        case when rolcreatedb then 'createdb' else 'nocreatedb' end,
        case when rolcreaterole then 'createrole' else 'nocreaterole' end,
        case when rolinherit then 'inherit' else 'noinherit' end,
        case when rolreplication then 'replication' else 'noreplication' end,
        case when rolbypassrls then 'bypassrls' else 'nobypassrls' end) as attributes
      from pg_roles where rolname = ${sql.value(name)}`),
  )
  if (!found) return 'create'
  if (found.attributes !== attributes) return 'alter'
  return password !== undefined && !(await hasPassword(db, name, password)) ? 'alter' : undefined
}

function statementFor(verb: RoleChange['verb'], { name, attributes, password }: WantedRole): string {
  const secret = password === undefined ? '' : ` password '${scramVerifier(password)}'`
  return `${verb} role ${name} ${attributes}${secret}`
}

// Only a superuser may read the verifier; for anybody else the password is taken to be right, and a wrong
// one shows at the first log-in.
async function hasPassword(db: Queryable, name: string, password: string): Promise<boolean> {
  const [may] = await db.query(`select has_table_privilege('pg_authid', 'select') as read`)
  if (may?.read !== 't') return true
  const [role] = await db.query(
    compile(sql`select rolpassword from pg_authid where rolname = ${sql.value(name)}`),
  )
  const [, iterations, salt] = /^SCRAM-SHA-256\$(\d+):([^$]+)\$/.exec(role?.rolpassword ?? '') ?? []
  if (!iterations || !salt) return false
  return scramVerifier(password, Buffer.from(salt, 'base64'), Number(iterations)) === role?.rolpassword
}

/**
 * What Postgres stores for a password (RFC 5802). Made here, the password itself is in no statement and so
 * in no server log.
 */
export function scramVerifier(password: string, salt: Buffer = randomBytes(16), iterations = 4_096): string {
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, 32, 'sha256')
  const keyed = (label: string): Buffer => createHmac('sha256', salted).update(label).digest()
  const stored = createHash('sha256').update(keyed('Client Key')).digest('base64')
  const server = keyed('Server Key').toString('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${server}`
}
