/**
 * Asking all questions twice, with another tenant's values and with values of nobody, and comparing the answers
 * byte for byte: through both lanes of the API, and in SQL as the app role.
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
  readonly asked: number
  /** Of those, how many the compiled lane has answered. */
  compiled: number
  /** Questions that hold nothing of the other tenant's alone, and so were not worth asking. */
  readonly idle: number
  /** Tables without a row to ask about. */
  readonly empty: string[]
  readonly differences: {
    readonly name: string
    readonly foreign: string
    readonly nobody: string
    readonly query: string
  }[]
}

/** A question with both sets of variables. */
export interface Pair {
  readonly name: string
  readonly query: string
  readonly theirs: Row
  readonly nobodys: Row
}

/** Ask everything about every table. */
export async function askEverything(
  setup: IsolationSetup,
  tables: readonly Table[] = setup.api.model.tables,
): Promise<IsolationCounts> {
  const { pairs, ...rest } = await pairsAbout(setup, tables)
  const counts: IsolationCounts = { ...rest, asked: pairs.length, compiled: 0, differences: [] }
  for (const { name, query, theirs, nobodys } of pairs) {
    const foreign = await answersTo(setup, query, theirs)
    const nobody = await answersTo(setup, query, nobodys)
    if (foreign.length > 1) counts.compiled++
    // Both lanes, and with both sets of values: one answer.
    if (new Set([...foreign, ...nobody]).size > 1)
      counts.differences.push({ name, foreign: foreign.join(), nobody: nobody.join(), query })
  }
  return counts
}

/** All questions about some tables that are worth asking. */
export async function pairsAbout(
  { api, asker, owner }: IsolationSetup,
  tables: readonly Table[],
): Promise<{ pairs: Pair[]; idle: number; empty: string[] }> {
  const all = new Map<string, Known>()
  for (const table of api.model.tables.filter(({ tenantColumn }) => tenantColumn !== null)) {
    const known = await knownOf(api, table, asker, owner)
    if (known) all.set(table.id, known)
  }
  const wanted = tables.filter(({ tenantColumn }) => tenantColumn !== null)
  const questions = wanted.flatMap((table) => {
    const known = all.get(table.id)
    return known ? questionsAbout(new Subject(api.schema, api.model.tables, table, known), all) : []
  })
  const pairs = questions.map((question) => pairOf(question, owner.canary))
  const worthwhile = pairs.filter(({ theirs, nobodys }) => JSON.stringify(theirs) !== JSON.stringify(nobodys))
  return {
    pairs: worthwhile,
    idle: pairs.length - worthwhile.length,
    empty: wanted.map(({ id }) => id).filter((id) => !all.has(id)),
  }
}

function pairOf({ name, query, variables }: Question, other: Canary): Pair {
  const theirs = withTheirs(variables, (value) => value) as Row
  const nobodys = withTheirs(variables, (value) => ghostOf(value, [other])) as Row
  return { name, query, theirs, nobodys }
}

/** What the resolver lane answers, and what the compiled one does where it has an answer of its own. */
async function answersTo(setup: IsolationSetup, query: string, variables: Row): Promise<string[]> {
  const first = await answerTo(setup, query, variables, true)
  const isOwn = first.lane === 'compiled' && !query.startsWith('mutation')
  return isOwn ? [first.text, (await answerTo(setup, query, variables, false)).text] : [first.text]
}

async function answerTo({ api, asker }: IsolationSetup, query: string, variables: Row, isCompiled: boolean) {
  const { lane, data, errors, hidden } = await runAndFinish(api, asker, query, variables, isCompiled)
  if (hidden.length > 0) throw new Error(`${hidden.join('\n')}\n${query}\n${JSON.stringify(variables)}`)
  return { lane, text: JSON.stringify({ data, errors }) }
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
