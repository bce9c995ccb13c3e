/**
 * What the app role can learn in SQL of another tenant's rows, whatever it sends: each statement is run in the
 * asking tenant's transaction with the other's values and with values of nobody, and has to end alike.
 */

import pg from 'pg'
import type { Table } from '../../src/model/types.ts'
import type { GeneratedTenant } from './generated-operations.ts'
import { ghostOf } from './ghosts.ts'

export interface SqlSetup {
  /** Connection string of the app role on the database of the asker's tables. */
  readonly appUrl: string
  /** The same of the superuser. */
  readonly superuserUrl: string
  readonly asker: GeneratedTenant
  readonly owner: GeneratedTenant
  /** Schema of the asker's tables, where it is not that of the model. */
  readonly schema?: string
  /** Where the owner's tables are, when they are not where the asker's are. */
  readonly theirs?: { readonly superuserUrl: string; readonly schema: string }
}

export interface SqlCounts {
  asked: number
  readonly differences: string[]
}

type Row = Record<string, unknown>

/** Try everything on every table. Leaves nothing behind. */
export async function trySql(setup: SqlSetup, tables: readonly Table[]): Promise<SqlCounts> {
  const counts: SqlCounts = { asked: 0, differences: [] }
  const { appUrl, superuserUrl, schema, theirs } = setup
  const [app, mighty, owner] = await Promise.all(
    [appUrl, superuserUrl, theirs?.superuserUrl ?? superuserUrl].map(open),
  )
  try {
    await app!.query('begin')
    await app!.query(`select shardgate.begin_tenant($1, $2, 'write', 60000)`, [
      setup.asker.id,
      await epochOf(mighty!, setup.asker.id),
    ])
    for (const table of tables) {
      const found = await firstRow(owner!, { ...table, schema: theirs?.schema ?? table.schema }, setup.owner)
      if (found) await tryTable(app!, { ...table, schema: schema ?? table.schema }, found, setup, counts)
    }
  } finally {
    await Promise.all([app!.end(), mighty!.end(), owner!.end()])
  }
  return counts
}

async function open(url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  await client.connect()
  return client
}

async function epochOf(mighty: pg.Client, tenant: string): Promise<unknown> {
  const { rows } = await mighty.query('select epoch from shardgate.tenant_fence where tenant_id = $1', [
    tenant,
  ])
  return rows[0]?.epoch
}

async function firstRow(mighty: pg.Client, table: Table, { id }: GeneratedTenant): Promise<Row | undefined> {
  const { rows } = await mighty.query(
    `select to_jsonb(t)::text as row from ${nameOf(table)} t where ${quote(table.tenantColumn!)} = $1 order by 1 limit 1`,
    [id],
  )
  return rows[0] && JSON.parse(rows[0].row)
}

async function tryTable(
  app: pg.Client,
  table: Table,
  theirs: Row,
  { asker, owner }: SqlSetup,
  counts: SqlCounts,
): Promise<void> {
  const nobodys = ghostOf(theirs, [owner.canary]) as Row
  for (const [what, statement, withRow] of statementsFor(table)) {
    counts.asked++
    const found = await outcome(app, statement, [JSON.stringify(withRow(theirs, asker.id))])
    const ghost = await outcome(app, statement, [JSON.stringify(withRow(nobodys, asker.id))])
    if (found !== ghost) counts.differences.push(`${table.id} ${what}: ${found}, but of nobody ${ghost}`)
  }
}

type Statement = readonly [what: string, sql: string, row: (row: Row, asker: string) => Row]

/** $1 is a row as JSON. */
function statementsFor(table: Table): Statement[] {
  const name = nameOf(table)
  const tenant = quote(table.tenantColumn!)
  const keys =
    table.primaryKey.length > 0 ? table.primaryKey : table.columns.slice(0, 1).map((column) => column.name)
  const asIs = (row: Row): Row => row
  const asOwn = (row: Row, asker: string): Row => ({ ...row, [table.tenantColumn!]: asker })
  const given = `jsonb_populate_record(null::${name}, $1::jsonb) as r`
  const matches = keys.map((key) => `t.${quote(key)} = r.${quote(key)}`).join(' and ')
  const written = table.columns.filter(({ can }) => can.create).map((column) => quote(column.name))
  const insert = `insert into ${name} (${[tenant, ...written].join(', ')}) select ${[tenant, ...written].join(', ')} from ${given}`
  return [
    ['select by key', `select count(*) from ${name} t, ${given} where ${matches}`, asIs],
    ['select by tenant', `select count(*) from ${name} t, ${given} where t.${tenant} = r.${tenant}`, asIs],
    ['insert for the other', insert, asIs],
    ['insert a copy', insert, asOwn],
    ['take a row over', `update ${name} t set ${tenant} = r.${tenant} from ${given} where ${matches}`, asOwn],
    ['give rows away', `update ${name} t set ${tenant} = r.${tenant} from ${given}`, asIs],
    ['delete', `delete from ${name} t using ${given} where ${matches}`, asIs],
    ['lock', `select 1 from ${name} t, ${given} where ${matches} for update of t`, asIs],
  ]
}

/** How a statement ends: its rows and their count, or what refuses it. */
async function outcome(app: pg.Client, statement: string, values: string[]): Promise<string> {
  await app.query('savepoint before')
  try {
    const { rows, rowCount } = await app.query(statement, values)
    return `${rowCount} ${JSON.stringify(rows)}`
  } catch (error) {
    const { code, constraint, message } = error as pg.DatabaseError
    // Which value breaks a constraint stands in the detail, and was the question.
    return `${code} ${constraint ?? ''} ${message}`
  } finally {
    await app.query('rollback to savepoint before')
  }
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
const nameOf = ({ schema, name }: Table): string => `${quote(schema)}.${quote(name)}`
