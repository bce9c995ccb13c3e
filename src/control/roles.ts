/**
 * The roles of a shard. The first three have a log-in each, so that what leaks from one place (the gateway's
 * environment, say) opens no other.
 *
 *     shardgate_owner   owns the schemas and tables; migrations and the operator's commands
 *     shardgate_app     the gateway: reads and writes rows, owns nothing, cannot pass over row-level security
 *     shardgate_mover   imports and moves of tenants: replication, and all rows; never in the gateway
 *     shardgate_tenant  no log-in: what the roles of tenants with a schema of their own have in common
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
  // It makes the roles and the databases of tenants that have their own.
  const maker = 'login nosuperuser createdb createrole'
  return [
    {
      name: 'shardgate_owner',
      attributes: `${maker} inherit noreplication nobypassrls`,
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
    {
      name: TENANTS,
      attributes: 'nologin nosuperuser nocreatedb nocreaterole inherit noreplication nobypassrls',
      password: undefined,
    },
  ]
}

/**
 * Make the roles that are missing and mend those that may do more or less than they should. Call in a
 * transaction; only a superuser, or a role with CREATEROLE, can change anything; anybody else is told what to
 * have typed.
 *
 * @param report  told, a sentence each, what a role lacks that may be given later
 * @throws SETUP_FAILED  something has to change and the connection may not
 */
export async function ensureRoles(
  db: Queryable,
  passwords: RolePasswords,
  report: (sentence: string) => void = () => {},
): Promise<void> {
  const wanted = wantedRoles(passwords)
  const changes = await changesTo(db, wanted)
  if (changes.length === 0) return lend(db)
  const [me] = await db.query(`
    select rolsuper, rolcreaterole, concat_ws(' ', case when rolreplication then 'replication' end,
      case when rolbypassrls then 'bypassrls' end, case when rolcreatedb then 'createdb' end,
      case when rolcreaterole then 'createrole' end) as may_give
    from pg_roles where rolname = current_user`)
  if (me?.rolsuper === 't') {
    // Roles belong to the whole server, and the lock of an installation only to one database.
    await db.query('lock table pg_catalog.pg_authid in share row exclusive mode')
    for (const change of await changesTo(db, wanted)) await db.query(statementFor(change))
    return lend(db)
  }
  const beyond = me?.rolcreaterole === 't' ? beyondMaker(changes, me.may_give ?? '') : changes
  const vital = beyond.filter(
    ({ role, missing }) => !missing.every((attribute) => isForLater(role, attribute)),
  )
  if (vital.length > 0) {
    const lines = vital.map(({ verb, role, missing }) => `${verb} role ${role.name} ${missing.join(' ')};`)
    fail('SETUP_FAILED', ['A superuser has to run this first:', ...lines].join('\n  '))
  }
  for (const change of changes) {
    const left = beyond.find(({ role }) => role === change.role)?.missing ?? []
    const given = change.missing.filter((attribute) => !left.includes(attribute))
    if (given.length > 0 || change.newPassword) await db.query(statementFor({ ...change, missing: given }))
    if (left.length === 0) continue
    const { purpose } = LATER[change.role.name]!
    report(`${purpose} will want a superuser to run: alter role ${change.role.name} ${left.join(' ')};`)
  }
  await lend(db)
}

const TENANTS = 'shardgate_tenant'

/** What a role may be without until it is wanted for something; often only a superuser can give it. */
const LATER: Readonly<Record<string, { attributes: readonly string[]; purpose: string }>> = {
  shardgate_mover: { attributes: ['replication', 'bypassrls'], purpose: 'Moves of tenants' },
  shardgate_owner: {
    attributes: ['createdb', 'createrole'],
    purpose: 'Tenants with a schema or a database of their own',
  },
}

function isForLater({ name }: WantedRole, attribute: string): boolean {
  return LATER[name]?.attributes.includes(attribute) ?? false
}

async function lend(db: Queryable): Promise<void> {
  await lendTenants(db)
  await quietTriggers(db)
}

/** Let the owner make others members of the role that tenants have in common, where whoever asks may say so. */
async function lendTenants(db: Queryable): Promise<void> {
  const [wanted] = await db.query(`
    select format('grant %I to shardgate_owner with admin option', rolname) as statement
    from pg_roles
    where rolname = '${TENANTS}' and not pg_has_role('shardgate_owner', oid, 'member with admin option')
      and pg_has_role(oid, 'member with admin option')`)
  if (wanted?.statement) await db.query(wanted.statement)
}

/**
 * Let the mover write rows without their triggers, where whoever asks may say so: what a trigger adds is among the rows
 * already, and foreign keys cost 2.7 times the rest of a load when they are looked up row by row. Without it, imports
 * are slower and refused where a trigger changes rows (control/copy/load.ts).
 */
async function quietTriggers(db: Queryable): Promise<void> {
  const wanted = `
    select 'grant set on parameter session_replication_role to shardgate_mover' as statement
    from pg_roles
    where rolname = current_user and rolsuper
      and not has_parameter_privilege('shardgate_mover', 'session_replication_role', 'set')`
  if ((await db.query(wanted)).length === 0) return
  // As for roles: it belongs to the whole server, and two who grant at once fail.
  await db.query('lock table pg_catalog.pg_authid in share row exclusive mode')
  for (const { statement } of await db.query(wanted)) if (statement) await db.query(statement)
}

/** The parts of changes that a role with CREATEROLE may not make: it can give no attribute that it lacks. */
function beyondMaker(changes: readonly RoleChange[], mayGive: string): RoleChange[] {
  const given = mayGive.split(' ')
  const isBeyond = ({ verb, role }: RoleChange, attribute: string): boolean =>
    isForLater(role, attribute) ? !given.includes(attribute) : verb === 'alter' && attribute === 'nosuperuser'
  const cut = changes.map((change) => {
    return { ...change, missing: change.missing.filter((attribute) => isBeyond(change, attribute)) }
  })
  return cut.filter(({ missing }) => missing.length > 0)
}

interface RoleChange {
  readonly verb: 'create' | 'alter'
  readonly role: WantedRole
  /** Attributes that the role does not have as wanted; all of them for a new one. */
  readonly missing: readonly string[]
  readonly newPassword: boolean
}

async function changesTo(db: Queryable, wanted: readonly WantedRole[]): Promise<RoleChange[]> {
  const changes: RoleChange[] = []
  for (const role of wanted) {
    const change = await changeTo(db, role)
    if (change) changes.push(change)
  }
  return changes
}

async function changeTo(db: Queryable, role: WantedRole): Promise<RoleChange | undefined> {
  const { name, attributes, password } = role
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
  const wanted = attributes.split(' ')
  if (!found) return { verb: 'create', role, missing: wanted, newPassword: password !== undefined }
  const has = found.attributes?.split(' ') ?? []
  const missing = wanted.filter((attribute) => !has.includes(attribute))
  const newPassword = password !== undefined && !(await hasPassword(db, name, password))
  return missing.length > 0 || newPassword ? { verb: 'alter', role, missing, newPassword } : undefined
}

function statementFor({ verb, role, missing }: RoleChange): string {
  const secret = role.password === undefined ? '' : ` password '${scramVerifier(role.password)}'`
  return `${verb} role ${role.name} ${missing.join(' ')}${secret}`
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
