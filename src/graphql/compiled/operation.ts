/**
 * One operation in the compiled lane:
 *
 *     variables ─▶ demand ─▶ permissions ─▶ (kept answer) ─▶ plans of its lists ─▶ one batch ─▶ JSON text
 *
 * Each step that finds something unusual steps back: the resolver lane does the operation from the start.
 */

import {
  type DocumentNode,
  getNamedType,
  isInputObjectType,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  type TypeNode,
  typeFromAST,
  type VariableDefinitionNode,
} from 'graphql'
import { LRUCache } from 'lru-cache'
import { type GatewayError, isGatewayError } from '../../base/errors.ts'
import type { Row } from '../../db/batch.ts'
import type { Placement } from '../../directory/types.ts'
import type { Table } from '../../model/types.ts'
import type { Mode } from '../../shards/door.ts'
import { isRefusedAtOnce } from '../../shards/failures.ts'
import type { Fresh } from '../cache/answers.ts'
import { digest } from '../cache/keeping.ts'
import { type Demand, demandOf } from '../limits/demand.ts'
import { checkInputs } from '../limits/inputs.ts'
import type { Variables } from './arguments.ts'
import { type AskedField, namesOf, textOf, UNBOUNDED } from './asked-fields.ts'
import { failedResult } from './failed.ts'
import { compileQuery, type RootField } from './root-fields.ts'
import { conditionVariables, type Selections, selectionsOf } from './selections.ts'
import { Settled, written } from './settled.ts'
import type { CompileParts, LaneOperation, LaneRequest } from './types.ts'
import { type ReadVariables, variableReader } from './variables.ts'
import { compileMutation } from './writes.ts'

/** The operation for one set of values of the variables that @skip and @include look at. */
interface Variant {
  readonly selections: Selections
  readonly fields: readonly RootField[]
  /** Whether its answers may be kept, for all that is known without arguments. */
  readonly isKept: boolean
}

/**
 * The variants of all operations. A document has as many as its conditions have answers, so that a bound for each
 * would be none. One of a document of 1,000 characters takes up to 100 kB: 200 MB at the most, mostly a tenth of it.
 */
const variants = new LRUCache<string, { readonly found: Variant | null }>({
  max: 5_000,
  maxSize: 2_000_000, // characters of their documents
})
let operations = 0

/**
 * Times the rows that an answer may hold that an operation may ask for. The resolver lane takes ten times as many and
 * stops where the answer gets too large; here all of them are read before they are counted, and then read again there.
 */
const READ_MAX = 10

/** Null where the lane will never take it. */
export function compiledOperation(
  parts: CompileParts,
  document: DocumentNode,
  node: OperationDefinitionNode,
  operationName: string | null | undefined,
): LaneOperation | null {
  const kind = node.operation
  if (kind === OperationTypeNode.SUBSCRIPTION) return null
  const operation = new Operation(parts, document, node, operationName)
  const isUnconditional = operation.conditions.length === 0
  if (isUnconditional && !operation.variant({})) return null
  return {
    kind,
    name: node.name?.value,
    document,
    demand: (variables) => operation.demand(variables ?? {}),
    run: (request) => operation.run(request),
  }
}

class Operation {
  readonly conditions: readonly string[]
  readonly #parts: CompileParts
  readonly #document: DocumentNode
  readonly #node: OperationDefinitionNode
  readonly #name: string | null | undefined
  readonly #definitions: readonly VariableDefinitionNode[]
  readonly #writes: boolean
  readonly #holdsInputs: boolean
  readonly #readVariables: ReadVariables
  readonly #id = ++operations
  /** Of its document and its name. */
  #digest: string | undefined

  constructor(
    parts: CompileParts,
    document: DocumentNode,
    node: OperationDefinitionNode,
    name: string | null | undefined,
  ) {
    this.#parts = parts
    this.#document = document
    this.#node = node
    this.#name = name
    this.#definitions = node.variableDefinitions ?? []
    this.#writes = node.operation === OperationTypeNode.MUTATION
    this.#holdsInputs = this.#definitions.some(({ type }) => this.#isInput(type))
    this.#readVariables = variableReader(parts.permissions().schema, this.#definitions)
    this.conditions = conditionVariables(document, node)
  }

  async run(request: LaneRequest): ReturnType<LaneOperation['run']> {
    let variant: Variant | null = null
    try {
      if (this.#writes && request.idempotencyKey !== undefined) return null
      const variables = this.#coerce(request.variables ?? {})
      if (!this.#fits(request, request.demand ?? this.demand(variables))) return null
      variant = this.variant(variables)
      if (!variant) return null
      const isAllowed = this.#allows(request)
      if (isAllowed === false) return null
      if (isAllowed === null) await this.#runRules(request)
      return await this.#answer(variant, variables, request)
    } catch (error) {
      const isFinal = isMixup(error) || isRefusedAtOnce(error) || this.#isTooSlow(error, request)
      const final = error instanceof Settled ? error.error : isFinal ? (error as Error) : null
      this.#report(error, request)
      return variant && final ? failedResult(variant.selections, final, isRefusedAtOnce(final)) : null
    }
  }

  /** Null where a field is not the tables' own, or an argument that is a constant is refused. */
  variant(variables: Variables): Variant | null {
    const name = `${this.#id}:${this.conditions.map((condition) => String(variables[condition])).join()}`
    const known = variants.get(name)
    if (known) return known.found
    const found = this.#compile(variables)
    variants.set(name, { found }, { size: this.#document.loc?.end ?? 1 })
    return found
  }

  #compile(variables: Variables): Variant | null {
    const { permissions, tables, limits, keeping } = this.#parts
    const keeps = keeping && ((table: Table) => keeping.keeps(table))
    const conditions = Object.fromEntries(
      this.conditions.filter((name) => name in variables).map((name) => [name, variables[name]]),
    )
    try {
      const selections = selectionsOf(permissions().schema, this.#document, this.#node, conditions)
      const fields = this.#writes
        ? compileMutation(selections, { tables, limits, keeps })
        : compileQuery(selections, { tables, sizes: limits, keeps })
      const isKept = keeps !== undefined && fields.every(({ tables }) => tables.every(keeps))
      return { selections, fields, isKept }
    } catch (error) {
      this.#report(error)
      return null
    }
  }

  /** A fault of our own must not hide behind the resolvers, which answer as if nothing had been. */
  #report(error: unknown, request?: LaneRequest): void {
    if (!isFault(error)) return
    const { requestId = 'compiling', identity } = request ?? {}
    const tenant = identity && { tenant: identity.tenant }
    const traceId = request?.deadline.witness?.traceId
    this.#parts.emit({ kind: 'request.failed', requestId, traceId, error, ...tenant })
  }

  /** @throws StepBack  a variable is refused, or there are too many input objects */
  #coerce(variables: Variables): Variables {
    const { permissions, limits } = this.#parts
    const { schema } = permissions()
    if (this.#holdsInputs) checkInputs(schema, this.#node, variables, limits().rows)
    return this.#readVariables(variables)
  }

  #allows({ variables, identity }: LaneRequest): boolean | null {
    return this.#parts.permissions().allows(this.#document, this.#name, variables ?? {}, identity)
  }

  /** @throws FORBIDDEN  one of them denies */
  async #runRules(request: LaneRequest): Promise<void> {
    const { permissions, contextFor } = this.#parts
    await permissions().decide({
      document: this.#document,
      operationName: this.#name,
      variableValues: request.variables ?? {},
      contextValue: contextFor(request),
    })
  }

  demand(variables: Variables): Demand {
    const { permissions, limits } = this.#parts
    return demandOf(permissions().schema, this.#document, this.#node, variables, limits())
  }

  /** Whether it cannot come to more than is read here, or than a write may answer, which is known only when it is done. */
  #fits({ limits: own = {} }: LaneRequest, { rows }: Demand): boolean {
    const limits = this.#parts.limits()
    if (rows > READ_MAX * limits.rows) return false
    if (!this.#writes) return true
    return rows <= (own.rows ?? rows) && limits.answerBytes <= (own.answerBytes ?? limits.answerBytes)
  }

  /** A statement has had all the time that the tenant's may have: to run it again would give it twice as much. */
  #isTooSlow(error: unknown, { deadline }: LaneRequest): boolean {
    return !this.#writes && deadline.statementMs !== undefined && isGatewayError(error, 'TIMEOUT')
  }

  async #answer({ fields, isKept }: Variant, variables: Variables, request: LaneRequest): Promise<string> {
    const { keeping } = this.#parts
    const { tenant } = request.identity
    const ask = () => fields.map(({ key, ask }) => ({ key, ...ask(variables, tenant) }))
    if (this.#writes) return this.#write(ask(), request)
    const read = (asked: readonly AskedField[]) => this.#read(asked, request)
    if (!keeping || !isKept || !isOpen(request.placement)) return (await read(ask())).text
    this.#digest ??= digest([this.#document.loc?.source.body, this.#name])
    const question = keeping.question(this.#digest, this.#definitions, request)
    return keeping.answer(question, request, ask, read)
  }

  #write(asked: readonly AskedField[], request: LaneRequest): Promise<string> {
    const { taken = { rows: 0 } } = request
    return written(
      () => this.#send(asked, 'write', request),
      (results) => textOf(asked, results, UNBOUNDED, taken),
    )
  }

  async #read(asked: readonly AskedField[], request: LaneRequest): Promise<Fresh> {
    const { limits: own = {}, taken = { rows: 0 } } = request
    const results = await this.#send(asked, 'read', request)
    const { rows, answerBytes } = this.#parts.limits()
    const bytes = Math.min(answerBytes, own.answerBytes ?? answerBytes)
    const text = textOf(asked, results, { rows: Math.min(rows, own.rows ?? rows), bytes }, taken)
    return { text, names: () => namesOf(asked, results) }
  }

  async #send(asked: readonly AskedField[], mode: Mode, request: LaneRequest): Promise<Row[][]> {
    const statements = asked.flatMap((field) => field.statements)
    const { identity, deadline } = request
    return statements.length > 0 ? this.#parts.door.batch(identity.tenant, mode, deadline, statements) : []
  }

  #isInput(node: TypeNode): boolean {
    const type =
      node.kind === Kind.NAMED_TYPE ? typeFromAST(this.#parts.permissions().schema, node) : undefined
    if (node.kind !== Kind.NAMED_TYPE) return this.#isInput(node.type)
    return isInputObjectType(type && getNamedType(type))
  }
}

/** Whether the tenant is served: nobody but the router and the fence refuses it, and they are not asked for what is kept. */
function isOpen({ state }: Placement): boolean {
  return state === 'active' || state === 'read-only'
}

/** Whatever stands for something that may happen has a class of its own: steps back, refusals, errors of Postgres. */
function isFault(error: unknown): boolean {
  return (
    error instanceof Error && [Error, TypeError, ReferenceError].some((fault) => error.constructor === fault)
  )
}

/** The answer was another request's: the door has raised the alarm, and the operation must not run again. */
function isMixup(error: unknown): error is GatewayError {
  return isGatewayError(error, 'INTERNAL_SERVER_ERROR')
}
