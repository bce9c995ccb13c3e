/**
 * Both lanes: generated operations, each asked of the compiled lane and of the resolvers. Where the compiled lane
 * answers, the resolvers have no error and the same text, byte for byte.
 *
 * A document is asked several times: with other variables, by other tenants, and with cursors that its own answer
 * gave. Operations are numbered, and number and seed give an operation whatever ran before it.
 */

import { Kind, parse, type SelectionSetNode, visit } from 'graphql'
import type { Data, WorldApi } from './api.ts'
import { dress } from './dressing.ts'
import type { GeneratedTenant } from './generated-operations.ts'
import { repeatableOperation, type Shape, type ValueSource } from './operations.ts'
import type { Random } from './random.ts'
import { readPool, schemaSource, type ValuePool } from './schema-source.ts'
import { notingStepsBack } from './steps-back.ts'

export interface LanesSetup {
  readonly api: WorldApi
  readonly tenants: readonly GeneratedTenant[]
  readonly random: Random
}

export interface Difference {
  /** Seed of its document. */
  readonly seed: string
  readonly tenant: string
  readonly query: string
  readonly variables: object
  /** Around the first character that differs. */
  readonly compiled: string
  readonly resolved: string
}

export interface LanesCounts {
  asked: number
  documents: number
  /** Answers of the compiled lane. */
  taken: number
  /** What it left to the resolvers, which had no error. */
  left: number
  /** What it left to the resolvers, which refused it. */
  refused: number
  /** Answers with a cursor as argument. */
  continued: number
  /** How often it left what for which reason: 'rows.ts oneWriter'. */
  readonly reasons: Record<string, number>
  /** An operation for each reason. */
  readonly examples: Record<string, string>
  readonly differences: Difference[]
}

/** Documents under way at once. */
const AT_ONCE = 8
const DIFFERENCES_MAX = 10

// Small, because what is wanted is many; deep enough for lists in rows in lists.
const SHAPE: Shape = {
  rootFields: 2,
  depth: 5,
  width: 4,
  inputs: 5,
  written: 0.4,
  holes: 0.15,
  defaults: 0.15,
}

/** Ask `count` operations. */
export async function askBothLanes(setup: LanesSetup, count: number): Promise<LanesCounts> {
  const { api, tenants } = setup
  const pools = await Promise.all(
    tenants.map(({ id, canary }) =>
      readPool(api.schema, canary, async (query) => (await api.run({ id }, query)).data ?? null),
    ),
  )
  const counts: LanesCounts = {
    asked: 0,
    documents: 0,
    taken: 0,
    left: 0,
    refused: 0,
    continued: 0,
    reasons: {},
    examples: {},
    differences: [],
  }
  const asker = new Asker(setup, pools, counts)
  let next = 0
  const work = async (): Promise<void> => {
    while (counts.asked < count && counts.differences.length < DIFFERENCES_MAX) {
      await asker.document(setup.random.fork(String(next++)))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return counts
}

class Asker {
  readonly #setup: LanesSetup
  readonly #pools: readonly ValuePool[]
  readonly #counts: LanesCounts
  readonly #reasons = new Map<string, string>()

  constructor(setup: LanesSetup, pools: readonly ValuePool[], counts: LanesCounts) {
    this.#setup = setup
    this.#pools = pools
    this.#counts = counts
  }

  async document(random: Random): Promise<void> {
    const { api, tenants } = this.#setup
    const source = listSource(this.#pools, random)
    const { operation, again } = repeatableOperation(api.schema, 'query', random, source, SHAPE)
    const dressed = dress(api.schema, operation.query, random)
    this.#counts.documents++
    const ask = (tenant: GeneratedTenant, variables: object) =>
      this.#ask({ seed: random.seed, tenant, query: dressed.query, variables })
    const tenant = random.pick(tenants)
    const variables = { ...operation.variables, ...dressed.conditions() }
    const data = await ask(tenant, variables)
    for (const cursors of cursorsFor(dressed.query, data, random)) {
      const further = await ask(tenant, { ...variables, ...cursors })
      if (further) this.#counts.continued++
    }
    if (!dressed.query.includes('$')) return
    for (let i = 0; i < 2; i++) await ask(random.pick(tenants), { ...again(), ...dressed.conditions() })
  }

  /** Ask one lane and then the other. @returns the data, where there is no error */
  async #ask(asked: Pick<Difference, 'seed' | 'query' | 'variables'> & { tenant: GeneratedTenant }) {
    const { api } = this.#setup
    const { tenant, query, variables } = asked
    const { value: compiled, reasons } = await notingStepsBack(() => api.compiled(tenant, query, variables))
    // What has been decided for the document is not said again.
    if (reasons[0]) this.#reasons.set(query, reasons[0])
    const { data, errors } = await api.run(tenant, query, variables).catch((error: Error) => ({
      data: null,
      errors: [error],
    }))
    this.#counts.asked++
    if (compiled !== null) this.#compare(asked, compiled, JSON.stringify({ data }), errors)
    else if (errors) this.#counts.refused++
    else this.#leave(this.#reasons.get(query) ?? 'an argument is refused', query)
    return errors ? null : data
  }

  #compare(
    { tenant, ...asked }: Pick<Difference, 'seed' | 'query' | 'variables'> & { tenant: GeneratedTenant },
    compiled: Awaited<ReturnType<WorldApi['compiled']>>,
    resolved: string,
    errors: readonly Error[] | undefined,
  ): void {
    this.#counts.taken++
    if (compiled === resolved && !errors) return
    const [one, other] = apart(String(compiled), errors ? `${errors[0]} ${resolved}` : resolved)
    this.#counts.differences.push({ ...asked, tenant: tenant.id, compiled: one, resolved: other })
  }

  #leave(reason: string, query: string): void {
    const { reasons, examples } = this.#counts
    this.#counts.left++
    reasons[reason] = (reasons[reason] ?? 0) + 1
    const known = examples[reason]
    if (!known || query.length < known.length) examples[reason] = query
  }
}

/** As `schemaSource`, but that lists are asked without a cursor first. */
function listSource(pools: readonly ValuePool[], random: Random): ValueSource {
  const [own, ...others] = random.shuffle(pools) as [ValuePool, ...ValuePool[]]
  const source = schemaSource(own, others, () => false)
  return (place, stream) => {
    const isCursor = place.input === undefined && /^(after|before)$/.test(place.path.at(-1) ?? '')
    return isCursor ? null : source(place, stream)
  }
}

/** Variables that continue lists of an answer: what follows one of its cursors, or what stands before it. */
function cursorsFor(query: string, data: Data, random: Random): Record<string, string>[] {
  if (!data || !/(after|before): \$/.test(query)) return []
  const variables = cursorVariables(query)
  const found = new Map<string, string[]>()
  collectCursors(data, '', found)
  const known = variables.flatMap(({ path, name }) => {
    const cursors = found.get(path)
    return cursors ? [{ name, cursors }] : []
  })
  if (known.length === 0) return []
  const draw = () => {
    const some = known.filter(() => random.chance(0.6))
    return Object.fromEntries(
      (some.length > 0 ? some : known).map(({ name, cursors }) => [name, random.pick(cursors)]),
    )
  }
  return [draw(), draw()]
}

interface CursorVariable {
  /** Response names of the connection and of what is above it. */
  readonly path: string
  readonly name: string
}

function cursorVariables(query: string): CursorVariable[] {
  const document = parse(query, { noLocation: true })
  const fragments = new Map<string, SelectionSetNode>()
  const found: CursorVariable[] = []
  const walk = ({ selections }: SelectionSetNode, above: string): void => {
    for (const node of selections) {
      if (node.kind === Kind.FRAGMENT_SPREAD) walk(fragments.get(node.name.value)!, above)
      else if (node.kind === Kind.INLINE_FRAGMENT) walk(node.selectionSet, above)
      else {
        const path = `${above}/${(node.alias ?? node.name).value}`
        for (const { name, value } of node.arguments ?? []) {
          const isCursor = name.value === 'after' || name.value === 'before'
          if (isCursor && value.kind === Kind.VARIABLE) found.push({ path, name: value.name.value })
        }
        if (node.selectionSet) walk(node.selectionSet, path)
      }
    }
  }
  visit(document, {
    FragmentDefinition: ({ name, selectionSet }) => void fragments.set(name.value, selectionSet),
  })
  for (const node of document.definitions)
    if (node.kind === Kind.OPERATION_DEFINITION) walk(node.selectionSet, '')
  return found
}

/** Cursors of an answer by the path of their connection. */
function collectCursors(value: Data, path: string, found: Map<string, string[]>): void {
  if (Array.isArray(value)) for (const item of value) collectCursors(item, path, found)
  else if (typeof value === 'string') {
    const [, connection] = /^(.*)\/[^/]+\/[^/]+$/.exec(path) ?? []
    if (connection && isCursor(value)) found.set(connection, [...(found.get(connection) ?? []), value])
  } else if (value !== null && typeof value === 'object') {
    for (const [name, item] of Object.entries(value)) collectCursors(item, `${path}/${name}`, found)
  }
}

// An opaque list whose first item is a mark of twelve characters; aliases hide the names of fields.
function isCursor(value: string): boolean {
  return /^\["[\w-]{12}"/.test(Buffer.from(value, 'base64url').toString())
}

/** Two texts from a little before they part. */
function apart(one: string, other: string): [string, string] {
  let at = 0
  while (at < one.length && one[at] === other[at]) at++
  const from = Math.max(0, at - 120)
  return [one.slice(from, at + 120), other.slice(from, at + 120)]
}
