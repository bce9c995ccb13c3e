/**
 * Golden files: an operation beside the statements that it becomes beside its answer, so that a change of a plan
 * is seen as a difference of SQL.
 *
 * A case is a Markdown file: some words, the operation, its variables if any. Everything from `## Statements` on
 * is written by `UPDATE_GOLDEN=1` and compared otherwise. To add one, write the first half and run the test
 * so. It runs as the tenant acme on the rows of fixtures/golden-rows.sql; what a mutation changes is undone.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tenantId } from '../../src/base/ids.ts'
import { createTenant } from '../../src/control/lifecycle.ts'
import { openConfiguredApi } from './api.ts'
import { freshFleet } from './fleet.ts'
import { placeOfHome } from './homes.ts'
import { isolationOf } from './isolation-model.ts'
import { migrate } from './migrate.ts'
import { connectIn, type RowsPlace } from './places-of-rows.ts'
import { formatSql } from './sql-format.ts'

export interface Golden {
  /** The whole text of a case as it should be, from what its author wrote. */
  render(text: string): Promise<string>
  stop(): Promise<void>
}

const SCHEMA = 'helpdesk'
const TENANT = tenantId('acme')
const ROWS = readFileSync(new URL('../fixtures/golden-rows.sql', import.meta.url), 'utf8')
const TENANTS = [TENANT, tenantId('globex')]
const TABLES = [
  'users',
  'teams',
  'team_members',
  'orders',
  'order_items',
  'tickets',
  'comments',
  'tags',
  'ticket_tags',
]

export async function openGolden(): Promise<Golden> {
  const fleet = await freshFleet({ weights: { 'shard-a': 1 }, schemas: [SCHEMA] })
  const [shard] = fleet.shards
  await migrate({
    shard: { key: shard!.key, url: shard!.url('owner') },
    folder: 'examples/helpdesk/migrations',
    schema: SCHEMA,
  })
  const own = { ...fleet.fleet, migrations: 'examples/helpdesk/migrations' }
  const places: RowsPlace[] = []
  for (const [i, id] of TENANTS.entries()) {
    const { tenant } = await createTenant(own, { id, name: id, isolation: isolationOf(i) })
    places.push(await placeOfHome(shard!, { ...tenant, tenant: id }, SCHEMA))
  }
  const refill = async () => {
    for (const place of places) await fillWith(ROWS, place)
  }
  await refill()
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-golden-'))
  const configFile = join(folder, 'shards.config.json')
  writeFileSync(
    configFile,
    JSON.stringify({
      tenancy: { schemas: [SCHEMA] },
      directory: { url: fleet.directoryUrl },
      router: { buckets: 64 },
      shards: { 'shard-a': { url: shard!.url('app'), ownerUrl: shard!.url('owner') } },
      tokens: [{ issuer: 'x', audience: 'x', algorithms: ['HS256'], secrets: ['s'.repeat(32)] }],
    }),
  )
  const api = await openConfiguredApi({ configFile, directoryUrl: fleet.directoryUrl })

  return {
    async render(text) {
      const [source = ''] = fenced(text, 'graphql')
      const [variables = '{}'] = fenced(text, 'json')
      const authored = text.split(/^## Statements$/m)[0]!.trimEnd()
      const statements = await api.record(async () => {
        const answer = await api.run({ id: TENANT }, source, JSON.parse(variables))
        return JSON.stringify(answer, null, 2)
      })
      if (/^\s*mutation/m.test(source)) await refill()
      const told = statements.ran.map(({ text: sql, values }) => block('sql', formatSql(sql, values)))
      return [authored, '## Statements', ...told, '## Answer', block('json', statements.value), ''].join(
        '\n\n',
      )
    },
    async stop() {
      api.end()
      rmSync(folder, { recursive: true })
      await fleet.drop()
    },
  }
}

/** The rows of the tenants who live in a place. */
async function fillWith(rows: string, place: RowsPlace): Promise<void> {
  const foreign =
    place.tenant === null
      ? []
      : TABLES.map((name) => `delete from ${name} where tenant_id <> '${place.tenant}'`)
  const client = await connectIn(place, SCHEMA)
  await client.query(`set search_path = ${SCHEMA}; truncate ${TABLES.join(', ')} restart identity cascade; ${rows};
    set session_replication_role = replica; ${foreign.join(';')}`)
  await client.end()
}

const block = (language: string, text: string): string => `\`\`\`${language}\n${text}\n\`\`\``

/** The blocks of a language in the half that the author wrote. */
function fenced(text: string, language: string): string[] {
  const authored = text.split(/^## Statements$/m)[0]!
  return [...authored.matchAll(/```(\w+)\n(.*?)```/gs)]
    .filter(([, found]) => found === language)
    .map(([, , body]) => body!)
}
