/** What the app role may do beside reading and writing rows, and whom it may become. */

import { quoted } from '../quote.ts'
import type { GlobalFacts, RoleFacts, SafetyQuestion, TableFacts } from './facts.ts'
import { advice, atOnce, type Finding, tableId, tableSql, unsafe } from './finding.ts'

export function roleFindings(role: RoleFacts, question: SafetyQuestion): Finding[] {
  return [
    ...attributeFindings(role, question.appRole),
    ...(role.superuser ? [] : membershipFindings(role, question.appRole)),
    ...(role.superuser ? [] : ownerFindings(role, question.appRole)),
    ...(role.superuser ? [] : createFindings(role, question.appRole)),
  ]
}

function attributeFindings(role: RoleFacts, appRole: string): Finding[] {
  const attributes = [
    { has: role.superuser, name: 'SUPERUSER', so: 'no policy holds for it' },
    { has: role.bypassRls, name: 'BYPASSRLS', so: 'no policy holds for it' },
    { has: role.replication, name: 'REPLICATION', so: 'it can read the log of all tenants' },
    { has: role.createRole, name: 'CREATEROLE', so: 'it can make a role that may more' },
    { has: role.createDb, name: 'CREATEDB', so: 'it can make a database of its own' },
  ]
  return attributes
    .filter(({ has }) => has)
    .map(({ name, so }) =>
      unsafe(
        'role-attributes',
        `the app role ${appRole} is ${name}: ${so}.`,
        `alter role ${quoted(appRole)} no${name.toLowerCase()};`,
      ),
    )
}

// Any membership, also without INHERIT: SET ROLE is enough.
function membershipFindings(role: RoleFacts, appRole: string): Finding[] {
  return role.memberOf
    .filter((other) => other.superuser || other.bypassRls || other.predefined)
    .map(({ name }) => {
      const reason = `the app role ${appRole} is a member of ${name}, and may do what that one may.`
      return unsafe('role-member', reason, `revoke ${quoted(name)} from ${quoted(appRole)};`)
    })
}

function ownerFindings(role: RoleFacts, appRole: string): Finding[] {
  if (role.owns.length === 0) return []
  const reason = `the app role ${appRole} owns, itself or as a member of an owner: ${role.owns.join(', ')}; an owner can switch row-level security off.`
  const members = role.memberOf.map(({ name }) => `revoke ${quoted(name)} from ${quoted(appRole)};`)
  const own = `reassign owned by ${quoted(appRole)} to shardgate_owner;`
  return [unsafe('role-owner', reason, [own, ...members].join('\n'))]
}

function createFindings(role: RoleFacts, appRole: string): Finding[] {
  const everyone = `public, ${quoted(appRole)}`
  const inSchemas = role.createsIn.map((schema) =>
    unsafe(
      'role-create',
      `the app role ${appRole} may create in the schema ${schema}: functions and operators of its own make policies see what they like.`,
      `revoke create on schema ${quoted(schema)} from ${everyone};`,
    ),
  )
  const database = quoted(role.database)
  const schemas = unsafe(
    'role-create',
    `the app role ${appRole} may create schemas.`,
    `revoke create on database ${database} from ${everyone};`,
  )
  const temporary = advice(
    'role-temporary',
    `the app role ${appRole} may create temporary tables and functions, which it has no use for.`,
    `revoke temporary on database ${database} from ${everyone};`,
  )
  return [
    ...inSchemas,
    ...(role.createsSchemas ? [schemas] : []),
    ...(role.createsTemporary ? [temporary] : []),
  ]
}

const FORBIDDEN: Readonly<Record<string, string>> = {
  truncate: 'TRUNCATE empties the table for all tenants, past every policy',
  references: 'REFERENCES lets foreign keys look past policies',
  trigger: "TRIGGER runs code in other tenants' writes",
}

export function tableRightFindings(table: TableFacts, question: SafetyQuestion): Finding[] {
  const found = table.rights.filter((right) => Object.hasOwn(FORBIDDEN, right))
  if (found.length === 0) return []
  const why = found.map((right) => FORBIDDEN[right]).join('; ')
  const reason = `the app role ${question.appRole} has too many rights on it: ${why}.`
  const sql = `revoke ${found.join(', ')} on ${tableSql(table)} from public, ${quoted(question.appRole)};`
  return [unsafe('table-rights', reason, sql, tableId(table), atOnce(table))]
}

/** A global table belongs to nobody: what one tenant could write there, all others would read. */
export function globalFindings(table: GlobalFacts, question: SafetyQuestion): Finding[] {
  if (table.rights.length === 0) return []
  const rights = table.rights.join(', ')
  const reason = `it is global, so every tenant reads it, and the app role may ${rights} there: one tenant could write what all others read.`
  const sql = `revoke ${rights} on ${tableSql(table)} from public, ${quoted(question.appRole)};`
  return [unsafe('global-rights', reason, sql, tableId(table), atOnce())]
}

/** Tables of the schema shardgate that the app role may change and should not, or not like this. */
export function ownTableFindings(tables: readonly string[], question: SafetyQuestion): Finding[] {
  return tables.map((name) => {
    if (name === 'shardgate.idempotency') return keptAnswersFinding(name, question)
    const reason = `the app role ${question.appRole} may change ${name}, by which tenants are fenced.`
    const sql = `revoke insert, update, delete, truncate, references, trigger on ${name} from public, ${quoted(question.appRole)};`
    return unsafe('own-tables', reason, sql, undefined, atOnce())
  })
}

// The app role writes it, as it writes the tenants' tables.
function keptAnswersFinding(name: string, { appRole }: SafetyQuestion): Finding {
  const reason = `${name}, which keeps answers of all tenants, has no forced row-level security, or gives the app role more than it needs.`
  const sql = `alter table ${name} enable row level security, force row level security;
revoke update, truncate, references, trigger on ${name} from public, ${quoted(appRole)};
grant update (answer) on ${name} to ${quoted(appRole)};`
  return unsafe('own-tables', reason, sql)
}
