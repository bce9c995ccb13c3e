/** What to do about a server that could not be reached or would not let us in. */

import { sqlState } from './connection.ts'

/**
 * A sentence for a person, or undefined where the error is of another kind.
 *
 * @param error  what connecting, or the first statement, has thrown
 * @param url    the connection string; its password is never told
 */
export function connectionHint(error: unknown, url: string): string | undefined {
  const { username, hostname, port, pathname } = new URL(url)
  const [role, database] = [decodeURIComponent(username), decodeURIComponent(pathname.slice(1))]
  const state = sqlState(error) ?? codeOf(error)
  const message = error instanceof Error ? error.message : ''
  if (/pg_hba\.conf/.test(message)) {
    return `The server refuses this way in: try the URL with ?sslmode=require, or let "${role}" in by pg_hba.conf.`
  }
  if (/does not support SSL/.test(message)) return 'Take sslmode out of the URL: the server has no TLS.'
  if (/password must be a string|no password supplied/i.test(message))
    return `Write the password of "${role}" into its URL, or into SHARDGATE_ADMIN_PASSWORD if you named it with --admin-user.`
  if (/timeout/i.test(message))
    return `See that a server listens at ${hostname}:${port || 5432}, and that no firewall is in between.`
  return HINTS[state ?? '']?.({ role, database, hostname })
}

interface Place {
  readonly role: string
  readonly database: string
  readonly hostname: string
}

const ADMIN = '"shardgate setup --admin-user postgres", its password in SHARDGATE_ADMIN_PASSWORD'
const noServer = (): string =>
  'See that a server runs there; those of "shardgate start" run for as long as it does.'
const noName = ({ hostname }: Place): string => `Correct the host in the URL: nobody knows "${hostname}".`
const notSetUp = (): string => 'Run "shardgate setup" first.'

/** By SQLSTATE, or by the code of Node's error. */
const HINTS: Readonly<Record<string, (place: Place) => string>> = {
  ECONNREFUSED: noServer,
  ECONNRESET: noServer,
  EHOSTUNREACH: noServer,
  ENOTFOUND: noName,
  EAI_AGAIN: noName,
  '28P01': ({ role }) =>
    role.startsWith('shardgate_') && role !== 'shardgate_directory'
      ? `Correct the password of "${role}" in its URL, or give the role that one: ${ADMIN}.`
      : `Correct the password of "${role}" in its URL, or in SHARDGATE_ADMIN_PASSWORD if you named it with --admin-user; or make the role: create role "${role}" login password '…'`,
  '28000': ({ role }) => `Make the role "${role}", or let it log in: ${ADMIN}.`,
  '3D000': ({ database }) =>
    `Make the database, or correct its name in the URL: create database "${database}";`,
  '42501': ({ role, database }) =>
    `A superuser has to run: grant connect on database "${database}" to "${role}";`,
  '3F000': notSetUp,
  '42P01': notSetUp,
  '53300': () => 'The server has no connection left: raise its max_connections, or end other programs.',
  '57P03': () => 'The server is starting or stopping; try again in a moment.',
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}
