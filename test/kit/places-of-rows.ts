/**
 * Looking behind the API where each tenant's rows are: statements are written for shared tables, and run wherever they
 * mean something.
 *
 *     names one tenant of the shard              in that tenant's home
 *     names the tables, or what fences them      in the shared tables and in every home
 *     anything else                              on the shard alone
 *
 * In a tenant's own schema the shared schema and the app role go by the tenant's names, as in migrations.
 */

import pg from 'pg'
import { ownNames } from '../../src/control/migrate/names.ts'
import { APP_ROLE } from '../../src/control/migrate/place.ts'
import { type Client, connect, type TextRow } from '../../src/db/client.ts'
import { databaseUrl } from '../../src/db/database-url.ts'
import type { Statement } from '../../src/db/sql.ts'
import type { Isolation } from '../../src/directory/types.ts'

/** Where a tenant's tables are. */
export interface RowsPlace {
  /** The tenant alone; null for shared tables. */
  readonly tenant: string | null
  readonly isolation: Isolation
  /** Connection string of the superuser. */
  readonly url: string
  readonly schema: string
  /** The role that reads and writes. */
  readonly role: string
}

export interface RowsPlaces {
  /** Run a statement of shared tables; rows of all the places that it ran in. */
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>
  /** The same with connections that stay open, and with rows as text. */
  connect(): RowsClient
}

export interface RowsClient {
  query(statement: Statement | string): Promise<TextRow[]>
  end(): Promise<void>
}

/**
 * @param shared   of the shard
 * @param homes    of its tenants with tables of their own
 * @param tenants  ids of all tenants that a statement may name
 */
export function placesOfRows(
  shared: RowsPlace,
  homes: readonly RowsPlace[],
  tenants: readonly string[],
): RowsPlaces {
  return {
    async sql(text, values = []) {
      const answers: Record<string, unknown>[][] = []
      for (const place of wherever(text, values))
        answers.push(await runIn(place, shared.schema, text, values))
      return together(answers)
    },
    connect() {
      const clients = new Map<RowsPlace, Promise<Client>>()
      const clientIn = (place: RowsPlace): Promise<Client> => {
        const client = clients.get(place) ?? connectIn(place, shared.schema)
        clients.set(place, client)
        return client
      }
      return {
        async query(statement) {
          const { text, values } = typeof statement === 'string' ? { text: statement, values: [] } : statement
          const rows: TextRow[] = []
          for (const place of wherever(text, values))
            rows.push(...(await (await clientIn(place)).query(statement)))
          return rows
        },
        async end() {
          for (const client of await Promise.all(clients.values())) await client.end()
        },
      }
    },
  }

  function wherever(text: string, values: readonly unknown[]): RowsPlace[] {
    const named = tenants.filter((id) => text.includes(`'${id}'`) || values.includes(id))
    const home = named.length === 1 && homes.find(({ tenant }) => tenant === named[0])
    if (home) return [home]
    if (named.length === 1 || !isAboutRows(text)) return [shared]
    const isNamed = new RegExp(`\\b${shared.schema}\\b`).test(text)
    // Of a database that several places share, Shardgate's own schema and statistics are there once.
    return isNamed
      ? [...homes, shared]
      : [...homes.filter(({ isolation }) => isolation === 'database'), shared]
  }

  function isAboutRows(text: string): boolean {
    return new RegExp(`\\b${shared.schema}\\b|\\bshardgate\\.|\\banalyze\\b|\\bcurrent_database\\b`).test(
      text,
    )
  }
}

/** A statement of shared tables in the words of a place. */
export function inPlace(text: string, sharedSchema: string, { schema, role, isolation }: RowsPlace): string {
  if (isolation !== 'schema') return text
  const place = { name: '', isolation, schema, sharedSchema, schemas: [schema], book: schema, appRole: role }
  return ownNames(text, place)
    .replaceAll(new RegExp(`(?<=search_path = )${sharedSchema}\\b`, 'g'), `"${schema}"`)
    .replaceAll(new RegExp(`(?<=')${sharedSchema}(?=\\.)(?!\\.current_tenant_id)`, 'g'), `"${schema}"`)
    .replaceAll(new RegExp(`\\b${sharedSchema}_(\\w+)(?=\\.|;| )`, 'g'), `"${schema}_$1"`)
}

/** A connection whose statements of shared tables are put into the words of a place. */
export async function connectIn(place: RowsPlace, sharedSchema: string, url = place.url): Promise<Client> {
  const client = await connect(url)
  const query = client.query.bind(client)
  client.query = (statement) =>
    query(
      typeof statement === 'string'
        ? inPlace(statement, sharedSchema, place)
        : { ...statement, text: inPlace(statement.text, sharedSchema, place) },
    )
  return client
}

/** The place of shared tables on a shard. */
export function sharedPlace(url: string, schema: string): RowsPlace {
  return { tenant: null, isolation: 'shared', url, schema, role: APP_ROLE }
}

/** The place of a tenant with tables of its own. @param url  the superuser's, of the shard */
export function ownPlace(
  url: string,
  home: { readonly tenant: string; readonly isolation: Isolation; readonly namespace: string },
  { sharedSchema, role }: { readonly sharedSchema: string; readonly role: string },
): RowsPlace {
  const { tenant, isolation, namespace } = home
  if (isolation === 'database')
    return { tenant, isolation, url: databaseUrl(url, namespace), schema: sharedSchema, role: APP_ROLE }
  return { tenant, isolation, url, schema: namespace, role }
}

async function runIn(
  place: RowsPlace,
  sharedSchema: string,
  text: string,
  values: readonly unknown[],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(place.url)
  await client.connect()
  try {
    const result = await client.query(inPlace(text, sharedSchema, place), [...values])
    return result.rows ?? [] // Of several statements there are none.
  } finally {
    await client.end()
  }
}

/** Counts of several places are one count. */
function together(answers: readonly Record<string, unknown>[][]): Record<string, unknown>[] {
  const counts = answers.map(([row, ...more]) => (more.length === 0 ? row : undefined))
  const isCount = answers.length > 1 && counts.every((row) => row && Object.keys(row).join() === 'count')
  if (!isCount) return answers.flat()
  return [{ count: String(counts.reduce((sum, row) => sum + Number(row!.count), 0)) }]
}
