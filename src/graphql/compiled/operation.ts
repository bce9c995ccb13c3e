/**
 * One operation in the compiled lane:
 *
 *     variables ─▶ permissions ─▶ row estimate ─▶ plans of its lists ─▶ one batch ─▶ JSON text
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
import type { Mode } from '../../shards/door.ts'
import { estimateRows } from '../limits/estimate.ts'
import { checkInputs } from '../limits/inputs.ts'
import type { AnswerBounds } from './answer.ts'
import type { Variables } from './arguments.ts'
import { failedResult } from './failed.ts'
import { compileQuery, type RootField } from './root-fields.ts'
import { conditionVariables, type Selections, selectionsOf } from './selections.ts'
import { Settled, written } from './settled.ts'
import { StepBack } from './step-back.ts'
import type { LaneOperation, LaneParts, LaneRequest } from './types.ts'
import type { Asked } from './unit.ts'
import { type ReadVariables, variableReader } from './variables.ts'
import { compileMutation } from './writes.ts'

/** The operation for one set of values of the variables that @skip and @include look at. */
interface Variant {
  readonly selections: Selections
  readonly fields: readonly RootField[]
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
  parts: LaneParts,
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
    run: (request) => operation.run(request),
  }
}

class Operation {
  readonly conditions: readonly string[]
  readonly #parts: LaneParts
  readonly #document: DocumentNode
  readonly #node: OperationDefinitionNode
  readonly #name: string | null | undefined
  readonly #definitions: readonly VariableDefinitionNode[]
  readonly #writes: boolean
  readonly #holdsInputs: boolean
  readonly #readVariables: ReadVariables
  readonly #id = ++operations
  /** Whether no values of variables can make the row estimate too large. */
  #isSmall: boolean | undefined

  constructor(
    parts: LaneParts,
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
      variant = this.variant(variables)
      if (!variant) return null
      const isAllowed = this.#allows(request)
      if (isAllowed === false) return null
      if (isAllowed === null) await this.#runRules(request)
      return await this.#answer(variant, variables, request)
    } catch (error) {
      const final = error instanceof Settled ? error.error : isMixup(error) ? error : null
      this.#report(error, request)
      return variant && final ? failedResult(variant.selections, final) : null
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
    const { permissions, tables, limits } = this.#parts
    const conditions = Object.fromEntries(
      this.conditions.filter((name) => name in variables).map((name) => [name, variables[name]]),
    )
    try {
      const selections = selectionsOf(permissions().schema, this.#document, this.#node, conditions)
      const fields = this.#writes
        ? compileMutation(selections, { tables, limits })
        : compileQuery(selections, { tables, sizes: limits })
      return { selections, fields }
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
    this.#parts.emit({ kind: 'request.failed', requestId, error, ...tenant })
  }

  /** @throws StepBack  a variable is refused, or there are too many input objects */
  #coerce(variables: Variables): Variables {
    const { permissions, limits } = this.#parts
    const { schema } = permissions()
    if (this.#holdsInputs) checkInputs(schema, this.#node, variables, limits().rows)
    const coerced = this.#readVariables(variables)
    this.#checkEstimate(coerced)
    return coerced
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

  #checkEstimate(variables: Variables): void {
    this.#isSmall ??= this.#fits(this.#largest())
    if (!this.#isSmall && !this.#fits(variables)) throw new StepBack()
  }

  #fits(variableValues: Variables): boolean {
    const { permissions, limits } = this.#parts
    const operation = { document: this.#document, operationName: this.#name, variableValues }
    return estimateRows(permissions().schema, operation, limits()) <= READ_MAX * limits().rows
  }

  /** Numbers as large as a page may be, and conditions that leave nothing out. */
  #largest(): Variables {
    const { pageSize } = this.#parts.limits()
    const numbers = this.#definitions.map(({ variable }) => [variable.name.value, pageSize])
    return Object.fromEntries(numbers)
  }

  async #answer({ fields }: Variant, variables: Variables, request: LaneRequest): Promise<string> {
    const { door, limits } = this.#parts
    const { tenant } = request.identity
    const asked = fields.map(({ key, ask }) => ({ key, ...ask(variables, tenant) }))
    const statements = asked.flatMap((field) => field.statements)
    const send = (mode: Mode) => door.batch(tenant, mode, request.deadline, statements)
    if (this.#writes)
      return written(
        () => send('write'),
        (results) => textOf(asked, results, UNBOUNDED),
      )
    const results = statements.length > 0 ? await send('read') : []
    const { rows, answerBytes } = limits()
    return textOf(asked, results, { rows, bytes: answerBytes })
  }

  #isInput(node: TypeNode): boolean {
    const type =
      node.kind === Kind.NAMED_TYPE ? typeFromAST(this.#parts.permissions().schema, node) : undefined
    if (node.kind !== Kind.NAMED_TYPE) return this.#isInput(node.type)
    return isInputObjectType(type && getNamedType(type))
  }
}

/** A write is bounded before it is sent. */
const UNBOUNDED: AnswerBounds = { rows: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }

/** @throws StepBack  it would be larger than an answer may be */
function textOf(
  asked: readonly (Asked & Pick<RootField, 'key'>)[],
  results: readonly Row[][],
  bounds: AnswerBounds,
): string {
  const count = { rows: 0 }
  let next = 0
  let text = ''
  for (const { key, statements, write } of asked) {
    const found = results.slice(next, next + statements.length)
    next += statements.length
    text += `${text === '' ? '' : ','}${key}${write(found, bounds, count)}`
    if (text.length > bounds.bytes) throw new StepBack()
  }
  return `{"data":{${text}}}`
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
