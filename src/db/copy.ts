/** COPY as streams: rows out of Postgres and into it as text, with the pace of whoever is slower. */

import type { Readable, Writable } from 'node:stream'
import { from, to } from 'pg-copy-streams'
import type { Client } from './client.ts'
import { type SQL, sql } from './sql.ts'

/** A stream of COPY, which knows the number of its rows once it has ended. */
export type Counted<T> = T & { readonly rowCount: number }

/**
 * Begin to read what `COPY … TO STDOUT` gives. A stream that is destroyed early leaves the connection in the middle
 * of the answer: end it.
 */
export function copyOut(client: Client, statement: SQL): Counted<Readable> {
  return client.submit(to(textOf(statement)))
}

/** Begin to write what `COPY … FROM STDIN` takes. A stream that is destroyed makes the statement fail. */
export function copyIn(client: Client, statement: SQL): Counted<Writable> {
  return client.submit(from(textOf(statement)))
}

// COPY is no statement that could be prepared: it has no parameters.
function textOf(statement: SQL): string {
  const { text, values } = sql.compile(statement)
  if (values.length > 0) throw new Error('COPY takes no parameters.')
  return text
}
