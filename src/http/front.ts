/**
 * The compiled lane's way in, before Yoga: it answers what the lane takes and leaves the rest as it is.
 *
 *     surely not forged ─▶ a known Accept ─▶ intake ─▶ plain parameters ─▶ lane ─▶ text ─▶ answered
 *            └── or else ────────┴─────────────┴──────────────┴─────────────┴──▶ Yoga (graphql.ts)
 *
 * Yoga costs a request some 300 µs, however little there is to do. What is not answered here goes to Yoga with all
 * that is known of it by then: nothing is read or checked twice, and every refusal is Yoga's. Nothing has had an
 * effect by then either; what may not be run again goes there as a result.
 */

import type { ExecutionResult, GraphQLSchema } from 'graphql'
import type { Clock } from '../base/time.ts'
import type { LaneOperation, LaneRequest } from '../graphql/compiled/types.ts'
import { isWithinOwn } from '../graphql/limits/own.ts'
import { charge } from './costs.ts'
import type { Exchange, Parameters } from './exchange.ts'
import { extensionsOf, withExtensions } from './extensions.ts'
import { type Finish, finished } from './finish.ts'
import { isUnforged } from './forgery.ts'
import { type IntakeOptions, idempotencyKeyOf, takeIn } from './intake.ts'
import { answerType } from './media-types.ts'
import { isRateRefusal, pay } from './rates.ts'

/** An operation that a compiled plan has run, for those who count. */
export interface CompiledRun {
  readonly schema: GraphQLSchema
  readonly operation: LaneOperation
  /** As they came. */
  readonly variables: Parameters['variables'] | null
  readonly seconds: number
  readonly errors: number
}

export interface FrontOptions extends IntakeOptions {
  readonly countCompiled?: (run: CompiledRun) => void
  readonly clock: Clock
  /** Headers of every answer, as names and values in turn. */
  readonly headersOf: (exchange: Exchange) => readonly string[]
}

/** Resolves to true when the exchange is answered; to false when it is Yoga's to answer. */
export type Front = (exchange: Exchange) => Promise<boolean>

/**
 * @returns a front that rejects where a limit of the tenant is met, and when the lane rejects, which is a fault: nobody
 *          knows what has had an effect
 */
export function createFront(options: FrontOptions): Front {
  return async (exchange) => {
    if (!options.config().http.compiledLane || !isUnforged(exchange.request)) return false
    const type = answerType(exchange.request.headers.accept)
    const parameters = type === undefined ? undefined : await takeIn(exchange, options).catch(leaveToYoga)
    if (!type || !parameters || !arePlain(parameters)) return false
    const operation = exchange.api?.lane?.find(parameters.query, parameters.operationName)
    if (!operation || (operation.kind === 'mutation' && exchange.request.method === 'GET')) return false
    const answer = await run(operation, exchange, parameters, options)
    if (answer === undefined) return false
    await endOfTurn()
    const text = withExtensions(answer, extensionsOf(exchange, options.clock))
    send(exchange, [...options.headersOf(exchange), 'Content-Type', type], text)
    return true
  }
}

/** A refusal is kept with the exchange, and Yoga meets it there: but for those that a flood brings, which must cost little. */
function leaveToYoga(refusal: unknown): undefined {
  if (isRateRefusal(refusal)) throw refusal
}

type PlainParameters = Parameters & { readonly query: string }

/** Whether Yoga would have no word to say about them. */
function arePlain(parameters: Parameters): parameters is PlainParameters {
  for (const name in parameters) if (!KNOWN.includes(name)) return false
  const { query, variables, extensions } = parameters
  return typeof query === 'string' && isObject(variables) && isObject(extensions)
}

const KNOWN = ['query', 'variables', 'operationName', 'extensions']

function isObject(value: unknown): boolean {
  return value === undefined || (typeof value === 'object' && !Array.isArray(value))
}

async function run(
  operation: LaneOperation,
  exchange: Exchange,
  { variables }: PlainParameters,
  { clock, countCompiled, emit }: FrontOptions,
): Promise<string | undefined> {
  const { identity, placement, api, requestId, deadline, limits = {} } = exchange
  if (!identity || !placement || !api) return undefined
  const demand = operation.demand(variables)
  if (!isWithinOwn(operation.document, demand, limits)) return undefined
  const settle = charge(exchange, demand)
  const paid = pay(exchange, { emit })
  if (paid) await paid
  exchange.trace?.began(operation.kind, operation.name)
  const started = clock.elapsed()
  const idempotencyKey = operation.kind === 'mutation' ? idempotencyKeyOf(exchange) : undefined
  const taken = { rows: 0 }
  const request: LaneRequest = {
    identity,
    placement,
    requestId,
    deadline,
    variables,
    idempotencyKey,
    demand,
    limits,
    taken,
  }
  const answer = await operation.run(request)
  if (answer === null) return undefined
  if (request.cache) exchange.cache = request.cache
  settle(taken.rows)
  exchange.lane = 'compiled'
  if (operation.name) exchange.operation = operation.name
  const errors = typeof answer === 'string' ? 0 : (answer.errors?.length ?? 0)
  const seconds = (clock.elapsed() - started) / 1000
  countCompiled?.({ schema: api.permissions.schema, operation, variables, seconds, errors })
  if (typeof answer === 'string') return answer
  // Of many refusals by a shard without room each must cost little; where there are no data, Yoga knows the status.
  if (answer.data !== undefined) return failureText(answer, exchange, { emit, hideSuggestions: false })
  exchange.settled = answer
  return undefined
}

function failureText({ errors = [], data }: ExecutionResult, exchange: Exchange, finish: Finish): string {
  return JSON.stringify({ errors: finished(errors, exchange, finish), data })
}

let turn: Promise<void> | undefined

/**
 * Answers that are ready in one turn of the event loop leave together at its end. A client that has just been given
 * one is awake when the next comes, and to wake one up is dear: `npm run bench:steps` gives 85 µs of CPU per point
 * query without this, and 61 with it.
 */
function endOfTurn(): Promise<void> {
  turn ??= new Promise((resolve) => {
    setImmediate(() => {
      turn = undefined
      resolve()
    })
  })
  return turn
}

/** @param headers  names and values in turn */
export function send(exchange: Exchange, headers: readonly string[], text: string): void {
  const { response } = exchange
  if (response.destroyed) return
  const bytes = Buffer.byteLength(text)
  exchange.bytesOut = bytes
  response.writeHead(200, [...headers, 'content-length', String(bytes)])
  response.end(text)
}
