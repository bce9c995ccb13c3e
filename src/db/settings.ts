/** What every connection to Postgres is opened with. */

import type pg from 'pg'

export interface ConnectionOptions {
  readonly url: string
  /** Milliseconds for the TCP connection and the log-in together. */
  readonly connectMs: number
  readonly applicationName: string
}

// Values travel as Postgres text: pg's own parsers lose microseconds (Date) and digits (numbers).
const TEXT_TYPES = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig

// One text form for every value on every connection, plans that do not depend on the tenant that came
// first, and a server that gives up on its own soon after a client has gone. Said at log-in, they pass over what a role
// or a database is set to.
const SETTINGS = [
  // With one snapshot for the whole transaction, a write that waits for a cutover would read the fence of before.
  'default_transaction_isolation=read\\ committed',
  // A pool keeps its connections, and who copies for hours has others that wait for the end of it.
  'idle_session_timeout=0',
  'plan_cache_mode=force_generic_plan',
  'client_min_messages=error',
  'DateStyle=ISO',
  'IntervalStyle=iso_8601',
  'TimeZone=UTC',
  'bytea_output=hex',
  'extra_float_digits=1',
  'idle_in_transaction_session_timeout=15s',
  'client_connection_check_interval=1s',
  'jit=off', // compiling a plan takes longer than any answer that somebody waits for
]

export function clientConfig(options: ConnectionOptions): pg.ClientConfig {
  return {
    connectionString: options.url,
    connectionTimeoutMillis: options.connectMs,
    application_name: options.applicationName,
    keepAlive: true,
    types: TEXT_TYPES,
    options: SETTINGS.map((setting) => `-c ${setting}`).join(' '),
  }
}
