/**
 * The GraphQL stages of a request, as one list of plugins for Yoga.
 *
 * Yoga keeps HTTP's side of GraphQL (media types, results, masking); each default of it that would be
 * open is closed here by name. The order of the list is the order of the stages.
 */

import { getOperationAST } from 'graphql'
import { createYoga, type Plugin } from 'graphql-yoga'
import { fail } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import type { Clock, Deadline } from '../base/time.ts'
import type { GatewayContext } from '../graphql/context.ts'
import { maskError } from '../graphql/errors.ts'
import { demandPlugin, inputsPlugin } from '../graphql/limits/estimate.ts'
import { limitsPlugin, NO_DOCUMENT_CACHE, type ParseDocument } from '../graphql/limits/limits.ts'
import { checkOwnDocument } from '../graphql/limits/own.ts'
import { validationPlugin } from '../graphql/limits/validation.ts'
import { permissionsPlugin } from '../graphql/permissions/permissions.ts'
import type { Identity } from '../tenant/types.ts'
import { charge } from './costs.ts'
import type { Exchange } from './exchange.ts'
import { extensionsOf } from './extensions.ts'
import { type Finish, finished } from './finish.ts'
import { forgeryPlugin } from './forgery.ts'
import { type IntakeOptions, idempotencyKeyOf, takeIn } from './intake.ts'
import { acceptWithoutStreams } from './media-types.ts'
import { pay } from './rates.ts'
import type { Served, TenantApis } from './tenant-apis.ts'

export interface GraphqlOptions extends IntakeOptions {
  /** Shared with the compiled lane. */
  readonly parse: ParseDocument
  /** Plugins that watch (metrics); they come before all others. */
  readonly plugins?: readonly Plugin[]
  readonly emit: Emit
  readonly clock: Clock
}

interface ServerContext {
  readonly exchange: Exchange
}

type ServerPlugin = Plugin<GatewayContext & ServerContext, ServerContext>

/** Answers an exchange whose path is the API's. */
export type AnswerGraphql = (exchange: Exchange) => Promise<Response>

export function createGraphql(options: GraphqlOptions): AnswerGraphql {
  const { config, plugins = [], emit } = options
  const yoga = createYoga<ServerContext, GatewayContext>({
    schema: ({ exchange }) => callerOf(exchange).api.permissions.schema,
    context: ({ exchange }) => {
      const { requestId, deadline, limits } = exchange
      const { api, ...caller } = callerOf(exchange)
      const idempotencyKey = idempotencyKeyOf(exchange)
      return api.contextFor({ ...caller, requestId, deadline, idempotencyKey, ...(limits && { limits }) })
    },
    plugins: [
      ...plugins,
      forgeryPlugin(),
      intakePlugin(options),
      settledPlugin(),
      limitsPlugin<ServerContext>(options.parse, (document, { exchange }) => {
        checkOwnDocument(document, exchange.limits ?? {})
      }),
      validationPlugin(config().mode),
      inputsPlugin(() => config().limits),
      permissionsPlugin<ServerContext>(({ exchange }) => callerOf(exchange).api.permissions),
      demandPlugin<ServerContext>(
        () => config().limits,
        (demand, { exchange }) => charge(exchange, demand),
      ),
      payPlugin(emit),
      deadlinePlugin(),
      againPlugin(options.apis),
      replayPlugin(),
      finishPlugin({ emit, hideSuggestions: config().mode === 'production' }),
      extensionsPlugin(options.clock),
    ],
    maskedErrors: { maskError },
    parserAndValidationCache: NO_DOCUMENT_CACHE,
    // Defaults of Yoga that are open: a page and files from a CDN, uploads, every origin, 25 MB, a
    // health check under any address that ends with its name (no address ends with a space).
    graphiql: false,
    landingPage: false,
    multipart: false,
    batching: false,
    cors: false,
    maxRequestBodySize: false, // body.ts reads the body
    healthCheckEndpoint: ' ',
    logging: false, // what happens is an event
  })
  const answer = async (exchange: Exchange): Promise<Response> => {
    const { request, path, search } = exchange
    // The host is the caller's text, and as part of an address it could be one that no parser takes.
    const address = `http://gateway${path}${search === '' ? '' : `?${search}`}`
    const init = { method: request.method ?? 'GET', headers: plainHeaders(request.headers) }
    return yoga.fetch(new yoga.fetchAPI.Request(address, init), { exchange })
  }
  return async (exchange) => {
    for (let runs = 1; runs < RUNS_MAX; runs++) {
      exchange.again = false
      const given = await answer(exchange)
      if (!exchange.again) return given
    }
    exchange.again = false
    return answer(exchange)
  }
}

/** Runs of one operation whose tables change while it runs. */
const RUNS_MAX = 3

function callerOf({ identity, placement, api }: Exchange): Served & { readonly identity: Identity } {
  if (!identity || !placement || !api) return fail('UNAUTHENTICATED', 'No identity was established.')
  return { identity, placement, api }
}

/** Who asks, for which tenant, and what: as it is known already, where the compiled lane was asked first. */
function intakePlugin(options: IntakeOptions): ServerPlugin {
  return {
    async onRequestParse({ serverContext: { exchange }, setRequestParser }) {
      const parameters = await takeIn(exchange, options)
      setRequestParser(() => parameters)
    },
  }
}

/** What the compiled lane has answered with errors: it is finished like any result, and nothing runs. */
function settledPlugin(): ServerPlugin {
  return {
    onParams({ context: { exchange }, setResult }) {
      if (exchange.settled) setResult(exchange.settled)
    },
  }
}

/** What the operation costs is taken from what its tenant may spend. */
function payPlugin(emit: Emit): ServerPlugin {
  return {
    async onExecute({ args }) {
      await pay(args.contextValue.exchange, { emit })
    },
  }
}

// The door ends its own work at the deadline and knows whether a change was kept; it goes first.
const GRACE_MS = 500

/** Ends what does not end itself: a resolver of an extension that waits for ever. */
function deadlinePlugin(): ServerPlugin {
  return {
    onExecute({ args, executeFn, setExecuteFn }) {
      const { exchange } = args.contextValue
      const operation = getOperationAST(args.document, args.operationName)
      exchange.lane = 'resolver'
      if (operation?.name) exchange.operation = operation.name.value
      exchange.trace?.began(operation?.operation ?? 'none', operation?.name?.value)
      const late = operation?.operation === 'mutation' ? 'OUTCOME_UNKNOWN' : 'TIMEOUT'
      setExecuteFn((given) => withinDeadline(exchange.deadline, late, () => executeFn(given)))
    },
  }
}

async function withinDeadline<T>(
  deadline: Deadline,
  late: 'TIMEOUT' | 'OUTCOME_UNKNOWN',
  work: () => T | Promise<T>,
): Promise<T> {
  const { promise: expiry, reject } = Promise.withResolvers<never>()
  const expire = (): void => {
    try {
      fail(late, 'The operation did not end before the deadline of its request.')
    } catch (error) {
      reject(error)
    }
  }
  const timer = setTimeout(expire, deadline.remainingMs() + GRACE_MS)
  try {
    return await Promise.race([work(), expiry])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * An operation that was made for tables as they are no more is run again, from the start: its document is held against
 * the new ones. Nothing of it was kept, because a statement has failed. What is given here is seen by nobody.
 */
function againPlugin(apis: TenantApis): ServerPlugin {
  return {
    onExecute({ args: { contextValue }, executeFn, setExecuteFn }) {
      const { exchange, scope } = contextValue
      const isOld = async (): Promise<boolean> => {
        if (!scope.hasOldTables) return false
        const served = callerOf(exchange)
        const renewed = await apis.renewed(served, exchange.deadline)
        Object.assign(exchange, renewed, { again: renewed !== null })
        return renewed !== null
      }
      setExecuteFn(async (given) => {
        try {
          const result = await executeFn(given)
          return (await isOld()) ? { data: null } : result
        } catch (error) {
          if (await isOld()) return { data: null }
          throw error
        }
      })
    },
  }
}

/** Says of an answer that it was given before. */
function replayPlugin(): ServerPlugin {
  return {
    onExecute: ({ args }) => ({
      onExecuteDone() {
        const { scope, exchange } = args.contextValue
        if (scope.replayed) exchange.response.setHeader('idempotency-replayed', 'true')
      },
    }),
  }
}

function finishPlugin(finish: Finish): ServerPlugin {
  return {
    onResultProcess({ result, setResult, serverContext: { exchange } }) {
      if (Array.isArray(result) || !('errors' in result) || !result.errors) return
      setResult({ ...result, errors: finished(result.errors, exchange, finish) })
    },
  }
}

/** The last stage: what the answer says of itself. */
function extensionsPlugin(clock: Clock): ServerPlugin {
  return {
    onResultProcess({ result, setResult, serverContext: { exchange } }) {
      const extensions = extensionsOf(exchange, clock)
      if (!extensions || Array.isArray(result) || !('data' in result || 'errors' in result)) return
      setResult({ ...result, extensions: { ...result.extensions, ...extensions } })
    },
  }
}

/** The headers as Yoga wants them. */
function plainHeaders(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  const plain: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) plain[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return { ...plain, accept: acceptWithoutStreams(plain.accept) }
}
