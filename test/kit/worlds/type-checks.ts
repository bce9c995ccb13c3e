/**
 * What must hold for a column of any type: it is read, what was read can be written and is the same text in
 * Postgres then, its value finds its row, and its order is Postgres's own, page by page.
 *
 * Each check gives a list of sentences, empty when all is well, so that one run tells every type that fails.
 */

import {
  type GraphQLInputObjectType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  isInputObjectType,
  isObjectType,
} from 'graphql'
import type { TextRow } from '../../../src/db/client.ts'
import type { Column, ColumnType, Table } from '../../../src/model/types.ts'
import type { Data, WorldApi } from '../api.ts'
import type { ForeignTenant } from './foreign-world.ts'

export interface TypeCheck {
  readonly api: WorldApi
  readonly tenant: ForeignTenant
  readonly table: Table
  /** Run a statement on the tenant's shard, as superuser. */
  sql(statement: string): Promise<TextRow[]>
}

type Row = Record<string, unknown> & { readonly rowId: string }

const PAGE = 5

/** Every row of the table with every column. A value that cannot be read is left out, and told. */
export async function readAll(check: TypeCheck): Promise<{ rows: Row[]; faults: string[] }> {
  const { api, tenant, table } = check
  const { data, errors = [] } = await api.run(
    tenant,
    `{ ${table.manyField}(first: 50) { nodes { ${wholeRow(api.schema, table)} } } }`,
  )
  const faults = errors.map(
    ({ message, path, originalError }) => `${path?.slice(2).join('.')}: ${codeOf(originalError)} ${message}`,
  )
  return { rows: data?.[table.manyField]?.nodes ?? [], faults }
}

const codeOf = (error: unknown): string => (error as { code?: string } | undefined)?.code ?? ''

/** Every column of a row, with all that is in it. */
export function wholeRow(schema: GraphQLSchema, table: Table): string {
  const row = schema.getType(table.typeName) as GraphQLObjectType
  const fields = table.columns.map(({ field }) => field + wholeOf(getNamedType(row.getFields()[field]!.type)))
  return fields.join(' ')
}

function wholeOf(type: ReturnType<typeof getNamedType>): string {
  if (!isObjectType(type)) return ''
  const parts = Object.values(type.getFields()).map(({ name, type }) => name + wholeOf(getNamedType(type)))
  return ` { ${parts.join(' ')} }`
}

/** Write each row again, as it was read, and compare the texts of the two. */
export async function writeAgain(check: TypeCheck, rows: readonly Row[]): Promise<string[]> {
  const { api, tenant, table } = check
  const faults: string[] = []
  const columns = table.columns.filter(({ can, name }) => can.create && !table.primaryKey.includes(name))
  for (const row of rows) {
    const input = Object.fromEntries(columns.map(({ field }) => [field, row[field]]))
    const result = await api.run(
      tenant,
      `mutation ($input: Create${table.typeName}Input!) { made: create${table.typeName}(input: $input) {
        ... on ${table.typeName} { rowId } ... on ConstraintError { message } } }`,
      { input },
    )
    const made = result.data?.made?.rowId
    if (made) faults.push(...(await differences(check, columns, row.rowId, made)))
    else faults.push(`${row.rowId} cannot be written: ${JSON.stringify(result.errors ?? result.data)}`)
  }
  return faults
}

async function differences(
  { table, sql }: TypeCheck,
  columns: readonly Column[],
  one: string,
  other: string,
): Promise<string[]> {
  const texts = columns.map(({ name, type }, i) => `${comparable(quote(name), type)}::text as c${i}`)
  const of = async (id: string): Promise<TextRow> => {
    const [row] = await sql(`select ${texts.join(', ')} from ${nameOf(table)} where id = '${id}'`)
    return row ?? {}
  }
  const [before, after] = [await of(one), await of(other)]
  await sql(`delete from ${nameOf(table)} where id = '${other}'`)
  return columns.flatMap(({ name, type }, i) => {
    const [was, is] = [before, after].map((row) => withoutWhatIsLost(row[`c${i}`] ?? null, type))
    return was === is ? [] : [`${name}: ${shown(was)} became ${shown(is)}`]
  })
}

// The text of a json is not kept, its value is: spaces go, and of a key that comes twice the first.
const comparable = (column: string, { kind, array }: ColumnType): string =>
  kind === 'json' ? `${column}::jsonb${array ? '[]' : ''}` : column

/**
 * A text without what no JSON carries: the sign of a zero, the null of jsonb beside that of SQL, from which
 * number an array counts, and whether it is a list of lists.
 */
function withoutWhatIsLost(text: string | null, { kind, array }: ColumnType): string | null {
  if (text === null || (array && /^(\[-?\d+:-?\d+\])*=?\{\{/.test(text))) return null
  const plain = array ? text.replace(/^(\[-?\d+:-?\d+\])+=/, '') : text
  if (kind === 'float') return plain.replace(/(?<![\w.])-0(?![\w.])/g, '0')
  if (kind !== 'json') return plain
  return array ? plain.replaceAll('"null"', 'NULL') : plain === 'null' ? null : plain
}

/** Look each row up by each of its values. */
export async function findByValue(check: TypeCheck, rows: readonly Row[]): Promise<string[]> {
  const { api, tenant, table } = check
  const filter = api.schema.getType(`${table.typeName}Filter`) as GraphQLInputObjectType
  const faults: string[] = []
  for (const { field, can } of table.columns) {
    const operators = filter.getFields()[field] && getNamedType(filter.getFields()[field]!.type)
    if (!can.filter || !isInputObjectType(operators) || !operators.getFields().eq) continue
    const type = operators.getFields().eq!.type
    const asked = rows.filter((row) => isAskable(row[field]))
    if (asked.length === 0) continue
    const parts = asked.map(
      (_, i) =>
        `f${i}: ${table.manyField}(first: 50, filter: { ${field}: { eq: $v${i} } }) { nodes { rowId } }`,
    )
    const { data, errors } = await api.run(
      tenant,
      `query (${asked.map((_, i) => `$v${i}: ${type}`).join(', ')}) { ${parts.join(' ')} }`,
      Object.fromEntries(asked.map((row, i) => [`v${i}`, row[field]])),
    )
    for (const [i, row] of asked.entries()) {
      const found: Row[] = data?.[`f${i}`]?.nodes ?? []
      if (!found.some(({ rowId }) => rowId === row.rowId)) {
        faults.push(`${field} eq ${shown(row[field])}: ${errors?.[0]?.message ?? 'does not find its row'}`)
      }
    }
  }
  return faults
}

// A list is asked for with all its items, so one with a null among them cannot be.
const isAskable = (value: unknown): boolean =>
  Array.isArray(value) ? !value.includes(null) : value !== null && value !== undefined

/** Order by each column, both ways, a few rows at a time, and compare with Postgres. */
export async function orderByEach(check: TypeCheck): Promise<string[]> {
  const { api, table, sql, tenant } = check
  const faults: string[] = []
  const orders = api.schema.getType(`${table.typeName}OrderBy`) as GraphQLInputObjectType
  for (const { name, field } of table.columns.filter((column) => column.field in orders.getFields())) {
    for (const direction of ['asc', 'desc'] as const) {
      const wanted = await sql(
        `select id from ${nameOf(table)} where ${table.tenantColumn} = '${tenant.id}' order by ${quote(name)} ${direction}, id`,
      )
      const found = await pages(check, field, direction.toUpperCase()).catch((error: Error) => error.message)
      if (String(found) !== String(wanted.map(({ id }) => id))) {
        faults.push(
          `${field} ${direction}: ${typeof found === 'string' ? found : 'other rows, or in another order'}`,
        )
      }
    }
  }
  return faults
}

async function pages({ api, tenant, table }: TypeCheck, field: string, direction: string): Promise<string[]> {
  const found: string[] = []
  for (let after: string | null = null; ; ) {
    const data: Data = await api.data(
      tenant,
      `query ($after: String) { page: ${table.manyField}(first: ${PAGE}, after: $after, orderBy: [{ ${field}: ${direction} }]) {
        nodes { rowId } pageInfo { hasNextPage endCursor } } }`,
      { after },
    )
    found.push(...data.page.nodes.map(({ rowId }: Row) => rowId))
    if (!data.page.pageInfo.hasNextPage) return found
    after = data.page.pageInfo.endCursor
  }
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
const nameOf = ({ schema, name }: Table): string => `${quote(schema)}.${quote(name)}`
const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 120) ?? 'nothing'
