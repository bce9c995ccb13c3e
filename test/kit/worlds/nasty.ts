/**
 * The nasty fixture: an ordinary product's database that knows nothing of Shardgate, and beside it every
 * table that is hard to serve. Once with tenants as uuids, once as numbers.
 */

import type { Client } from '../../../src/db/client.ts'
import type { Canary } from '../canary.ts'
import type { Random } from '../random.ts'
import { fill } from './fill.ts'
import { literal, type Overrides } from './fill-values.ts'
import { GENERATED_SCHEMAS, generatedTables } from './generated-tables.ts'
import { fixtureIn, type Style } from './style.ts'
import { TYPE_SCHEMA, typeRows, typeTables } from './type-tables.ts'

/** Schemas of the fixture, as they are named in the catalogs. */
export const NASTY_SCHEMAS = [
  ...GENERATED_SCHEMAS,
  'shapes',
  'names',
  'Odd "Schema".v1',
  TYPE_SCHEMA,
  'clashes',
] as const

/** What only a superuser can make; extensions in the schema `public`. */
const EXTENSIONS = ['btree_gist', 'citext', 'hstore', 'ltree', 'postgres_fdw']

const TYPED_TABLES = ['types.every_value', 'types.every_array']

const OVERRIDES: Overrides = {
  'app.email_address': ({ canary, n, label }) => literal(canary.text(`${n}-${label}@example.com`)),
  'shapes.bookings.state': () => literal('open'),
  'types.even': ({ tenantNo, n }) => String(tenantNo * 1_000 + n * 2),
  'types.workday': () => literal('tue'),
}

/** A letter is a paper too, and no key holds over both tables: rows of one id would have no order. */
const LETTERS_APART: Overrides = {
  'shapes.letters.id': ({ tenantNo, n }) => String(tenantNo * 100_000 + 50_000 + n),
}

/** Make the tables, empty, as `owner`. @param client  a superuser */
export async function makeNasty(client: Client, style: Style, owner: string, random: Random): Promise<void> {
  for (const name of EXTENSIONS) await client.query(`create extension if not exists ${name} schema public`)
  await client.query(`grant usage on foreign data wrapper postgres_fdw to ${owner}`)
  await client.query(`set role ${owner}`)
  await client.query(generatedTables(style, random))
  for (const name of ['nasty-shapes', 'nasty-names', 'nasty-types', 'nasty-clashes']) {
    await client.query(fixtureIn(style, name))
  }
  await client.query(typeTables(style))
  await client.query('reset role')
}

/** Give every tenant its rows. @param client  a superuser */
export async function fillNasty(
  client: Client,
  style: Style,
  tenants: readonly Canary[],
  rows: number,
): Promise<void> {
  for (const { tenant, text } of tenants) {
    await client.query({
      text: 'insert into app.tenants (id, name) values ($1, $2)',
      values: [tenant, text('tenant')],
    })
  }
  await fill(client, {
    tenantColumn: style.tenantColumn,
    schemas: NASTY_SCHEMAS,
    tenants,
    rows,
    skip: TYPED_TABLES,
    overrides: { ...OVERRIDES, ...(style.key === 'int' && LETTERS_APART) },
  })
  const typed = tenants.flatMap(({ tenant }) => typeRows(style, literal(tenant)))
  await client.query(typed.join('\n'))
  await client.query('refresh materialized view shapes.frozen_bookings; analyze')
}
