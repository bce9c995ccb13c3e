/**
 * Asking all questions twice, with another tenant's values and with values of nobody, and comparing the answers
 * byte for byte: through the API, and in SQL as the app role.
 */

import type { Table } from '../../src/model/types.ts'
import type { Data, WorldApi } from './api.ts'
import type { Canary } from './canary.ts'
import { type GeneratedTenant, runAndFinish } from './generated-operations.ts'
import { ghostOf } from './ghosts.ts'
import { type Question, questionsAbout, withTheirs } from './isolation-questions.ts'
import { type Known, type Row, Subject } from './isolation-subject.ts'
import { wholeRow } from './worlds/type-checks.ts'

export interface IsolationSetup {
  readonly api: WorldApi
  /** Who asks. */
  readonly asker: GeneratedTenant
  /** Whose rows are asked about. */
  readonly owner: GeneratedTenant
}

export interface IsolationCounts {
  asked: number
  /** Questions that hold nothing of the other tenant's alone, and so were not worth asking. */
  idle: number
  /** Tables without a row to ask about. */
  readonly empty: string[]
  readonly differences: {
    readonly name: string
    readonly foreign: string
    readonly nobody: string
    readonly query: string
  }[]
}

/** Ask everything about every table. */
export async function askEverything(
  { api, asker, owner }: IsolationSetup,
  tables: readonly Table[] = api.model.tables,
): Promise<IsolationCounts> {
  const counts: IsolationCounts = { asked: 0, idle: 0, empty: [], differences: [] }
  const all = new Map<string, Known>()
  for (const table of api.model.tables.filter(({ tenantColumn }) => tenantColumn !== null)) {
    const known = await knownOf(api, table, asker, owner)
    if (known) all.set(table.id, known)
  }
  for (const table of tables.filter(({ tenantColumn }) => tenantColumn !== null)) {
    const known = all.get(table.id)
    const subject = known && new Subject(api.schema, api.model.tables, table, known)
    if (!subject) counts.empty.push(table.id)
    for (const question of subject ? questionsAbout(subject, all) : []) {
      await askTwice(api, asker, owner.canary, question, counts)
    }
  }
  return counts
}

async function askTwice(
  api: WorldApi,
  asker: GeneratedTenant,
  other: Canary,
  question: Question,
  counts: IsolationCounts,
): Promise<void> {
  const theirs = withTheirs(question.variables, (value) => value) as Row
  const nobodys = withTheirs(question.variables, (value) => ghostOf(value, [other])) as Row
  if (JSON.stringify(nobodys) === JSON.stringify(theirs)) {
    counts.idle++
    return
  }
  counts.asked++
  const foreign = await answerTo(api, asker, question.query, theirs)
  const nobody = await answerTo(api, asker, question.query, nobodys)
  if (foreign === nobody) return
  const { name, query } = question
  counts.differences.push({ name, foreign, nobody, query })
}

async function answerTo(
  api: WorldApi,
  asker: GeneratedTenant,
  query: string,
  variables: Row,
): Promise<string> {
  const { data, errors, hidden } = await runAndFinish(api, asker, query, variables)
  if (hidden.length > 0) throw new Error(`${hidden.join('\n')}\n${query}\n${JSON.stringify(variables)}`)
  return JSON.stringify({ data, errors })
}

async function knownOf(
  api: WorldApi,
  table: Table,
  asker: GeneratedTenant,
  owner: GeneratedTenant,
): Promise<Known | undefined> {
  const [mine, theirs] = [await rowsOf(api, table, asker), await rowsOf(api, table, owner)]
  const [own, other] = [mine?.nodes[0], theirs?.nodes.at(-1)]
  const cursor = theirs?.edges.at(0)?.cursor
  if (!own || !other || cursor === undefined) return undefined
  return {
    own,
    other,
    cursor,
    has: (field, value) => mine!.nodes.some((row) => meets(row[field], value)),
    fresh: (value) => ghostOf(value, [asker.canary]),
  }
}

/** Whether two values are equal, or two lists have an item in common. */
function meets(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other))
    return one.some((item) => other.some((each) => meets(item, each)))
  return JSON.stringify(one) === JSON.stringify(other)
}

interface Page {
  readonly nodes: readonly Row[]
  readonly edges: readonly { readonly cursor: string }[]
}

async function rowsOf(api: WorldApi, table: Table, tenant: GeneratedTenant): Promise<Page | undefined> {
  const id = table.primaryKey.length > 0 ? 'id' : ''
  const row = `${id} ${wholeRow(api.schema, table)}`
  const list = `{ list: ${table.manyField}(first: 50) { nodes { ${row} } edges { cursor } } }`
  const { data }: { data?: Data } = await api.run(tenant, list)
  return data?.list
}
