/**
 * The APIs of the shapes that are served: schema, permissions and compiled lane, made once for each shape, whoever's
 * tables have it.
 *
 * Whatever is decided about a document (valid, allowed, compiled) hangs on the objects of one API. Only what knows
 * nothing of tables is shared between them: the parser, the limits.
 */

import { LRUCache } from 'lru-cache'
import type { LimitsConfig } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import type { Door } from '../shards/door.ts'
import type { Shape } from '../shards/shapes.ts'
import { buildApi } from './api.ts'
import type { AnswerCache } from './cache/answers.ts'
import { tellingDoor } from './cache/door.ts'
import { createLane } from './compiled/lane.ts'
import type { Lane } from './compiled/types.ts'
import { type GatewayContext, RequestScope, type ScopeParts } from './context.ts'
import type { Extension } from './extension.ts'
import { type JobBook, Jobs } from './jobs/book.ts'
import type { JobTools } from './jobs/definition.ts'
import type { ParseDocument } from './limits/limits.ts'
import type { Permissions } from './permissions/permissions.ts'
import type { TenantAccount } from './tenant-view.ts'

/** What a request brings, without what is the API's own. */
export type Asking = Omit<ScopeParts, 'door' | 'answerBytes' | 'account'>

export interface Api {
  readonly permissions: Permissions
  /** Left out, the resolvers answer everything. */
  readonly lane?: Lane
  readonly contextFor: (asking: Asking) => GatewayContext
  /** The tables as jobs have them in their hands. */
  readonly jobTools: JobTools
}

export interface ApiParts {
  readonly limits: () => LimitsConfig
  readonly extensions: readonly Extension[]
  /** Shared by all of them. */
  readonly parse: ParseDocument
  /** Leads to the tables of all tenants that may have the shape. */
  readonly doorFor: (shape: Shape) => Door
  /** Left out where no jobs can be asked for. */
  readonly jobs?: JobBook | undefined
  /** Left out, no answers are kept. */
  readonly cache?: AnswerCache | undefined
  /** Of usage and limits; left out, nobody can say. */
  readonly account?: TenantAccount
  readonly emit: Emit
}

/** APIs that are kept; one takes some 10 MB, and 0.2 s to make for 40 tables. */
const APIS_MAX = 20

/**
 * @returns the API of a shape, made when it is first asked for
 * @throws CONFIG_INVALID  from what it returns: an extension asks for what these tables do not have
 */
export function createApis(parts: ApiParts): (shape: Shape) => Api {
  const known = new LRUCache<Shape, Api>({ max: APIS_MAX })
  return (shape) => {
    const found = known.get(shape)
    if (found) return found
    const fresh = makeApi(shape, parts)
    known.set(shape, fresh)
    return fresh
  }
}

function makeApi(shape: Shape, parts: ApiParts): Api {
  const { limits, extensions, parse, doorFor, jobs, account, cache, emit } = parts
  const door = cache ? tellingDoor(doorFor(shape), cache) : doorFor(shape)
  const contextFor = (asking: Asking): GatewayContext => ({
    scope: new RequestScope({
      ...asking,
      door,
      answerBytes: limits().answerBytes,
      ...(account && { account }),
    }),
    ...(jobs && { jobs: new Jobs(jobs) }),
  })
  const [tools, lendTools] = lentTools()
  const api = buildApi(shape.model, limits, [...extensions, lendTools], emit)
  const permissions = () => api
  const tables = new Map(shape.model.tables.map((table) => [table.id, table]))
  return {
    permissions: api,
    lane: createLane({ permissions, tables, limits, parse, door, contextFor, cache, emit }),
    contextFor,
    jobTools: tools(),
  }
}

/** An extension that adds nothing, and what it was given: jobs have the tools of the tables that their tenant has. */
function lentTools(): [() => JobTools, Extension] {
  let lent: JobTools | undefined
  const extend: Extension['extend'] = (tools) => {
    lent = tools
  }
  const tools = () => lent ?? fail('INTERNAL_SERVER_ERROR', 'The schema has not lent its tools.')
  return [tools, { extend }]
}
