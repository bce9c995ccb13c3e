/** The API of a world without HTTP: the same schema, door and transactions, called as a function. */

import { isDeepStrictEqual } from 'node:util'
import { type ExecutionResult, execute, type GraphQLSchema, getOperationAST, parse, validate } from 'graphql'
import { type LimitsConfig, loadConfig } from '../../src/base/config.ts'
import { configFile } from '../../src/base/config-schema.ts'
import type { Event } from '../../src/base/events.ts'
import { deadlineIn } from '../../src/base/time.ts'
import { withClient } from '../../src/db/client.ts'
import type { Statement } from '../../src/db/sql.ts'
import type { Placement } from '../../src/directory/types.ts'
import { buildApi } from '../../src/graphql/api.ts'
import { createLane } from '../../src/graphql/compiled/lane.ts'
import type { LaneOperation } from '../../src/graphql/compiled/types.ts'
import { RequestScope } from '../../src/graphql/context.ts'
import type { Extension } from '../../src/graphql/extension.ts'
import { documentParser } from '../../src/graphql/limits/limits.ts'
import { executeInTransaction } from '../../src/graphql/transaction.ts'
import { introspect } from '../../src/model/introspect.ts'
import type { Model } from '../../src/model/types.ts'
import { admitShards } from '../../src/shards/admission.ts'
import type { Door } from '../../src/shards/door.ts'
import type { Identity } from '../../src/tenant/types.ts'
import { openWorldDoor, type WorldDoor } from './door.ts'
import { placementOf } from './placements.ts'
import type { World, WorldTenant } from './shard-fixture.ts'
import { noteStepBack } from './steps-back.ts'

/** Data of any shape: a test knows what it asked for. */
export type Data = ReturnType<typeof JSON.parse>

/** Who asks; an admin unless told otherwise, whose statements may take as long as his requests. */
export type Asker = Pick<WorldTenant, 'id'> & {
  readonly roles?: Identity['roles']
  readonly statementMs?: number
}

export interface WorldApi {
  readonly model: Model
  readonly schema: GraphQLSchema
  readonly gate: WorldDoor
  /** Runs an operation as a tenant; a document that is not valid throws. */
  run(
    tenant: Asker,
    source: string,
    variables?: object,
    idempotencyKey?: string,
  ): Promise<ExecutionResult<Data>>
  /** As `run`, and expects no error. */
  data(tenant: Asker, source: string, variables?: object): Promise<Data>
  /** The answer of the compiled lane as it stands; null where it leaves the operation to the other lane. */
  compiled(
    tenant: Asker,
    source: string,
    variables?: object,
    operationName?: string,
  ): ReturnType<LaneOperation['run']>
  /** What `work` gives, and the statements that ran for it, in the order in which they were sent. */
  record<T>(work: () => Promise<T>): Promise<{ value: T; ran: readonly Statement[] }>
  end(): void
}

export async function openWorldApi(
  world: World,
  extensions: readonly Extension[] = [],
  limits: Partial<LimitsConfig> = {},
): Promise<WorldApi> {
  const gate = await openWorldDoor(world)
  const model = await withClient(world.shards[0]!.appUrl, (client) =>
    introspect(client, { column: 'tenant_id', schemas: [world.schema] }),
  )
  return apiOf(gate, model, extensions, limits)
}

/** The API that the gateway would serve for a configuration: of the tables that are safe. */
export async function openConfiguredApi(
  world: Pick<World, 'configFile' | 'directoryUrl'>,
  limits: Partial<LimitsConfig> = {},
  extensions: readonly Extension[] = [],
): Promise<WorldApi> {
  const gate = await openWorldDoor(world, undefined, false)
  const config = loadConfig(world.configFile, {})
  const emit = (event: Event): void => void gate.events.push(event)
  const { model, end } = await admitShards([...gate.fleet.values()], config, emit)
  end()
  return apiOf(gate, model, extensions, limits)
}

function apiOf(
  gate: WorldDoor,
  model: Model,
  extensions: readonly Extension[],
  limits: Partial<LimitsConfig>,
): WorldApi {
  let records: Statement[] | undefined
  const sizes = sizesOf(limits)
  const door = recorded(gate.door, (statements) => records?.push(...statements))
  const scopeOf = (request: Omit<ConstructorParameters<typeof RequestScope>[0], 'door' | 'answerBytes'>) =>
    new RequestScope({
      ...request,
      door,
      ...(limits.answerBytes !== undefined && { answerBytes: limits.answerBytes }),
    })
  const api = buildApi(model, sizes, extensions, (event) => void gate.events.push(event))
  const { schema } = api
  const lane = createLane({
    permissions: () => api,
    tables: new Map(model.tables.map((table) => [table.id, table])),
    limits: sizes,
    parse: documentParser(sizes),
    door,
    emit: (event) => void gate.events.push(event),
    contextFor: (request) => ({ scope: scopeOf(request) }),
  })
  // A test may ask for a tenant that there is not, or while the directory is away: the door then says so.
  const placementFor = async ({ id }: Asker): Promise<Placement> =>
    (await gate.placements.find(id).catch(() => null)) ?? placementOf(id)
  async function run(
    tenant: Asker,
    source: string,
    variableValues: object = {},
    idempotencyKey?: string,
  ): Promise<ExecutionResult<Data>> {
    const document = parse(source)
    const [fault] = validate(schema, document)
    if (fault) throw fault
    const identity = identityOf(tenant)
    const placement = await placementFor(tenant)
    const scope = scopeOf({
      identity,
      placement,
      requestId: 'test',
      deadline: deadlineIn(5_000),
      idempotencyKey,
    })
    const args = {
      schema,
      document,
      contextValue: { scope },
      variableValues: variableValues as Record<string, unknown>,
    }
    if (getOperationAST(document)?.operation === 'mutation') return executeInTransaction(execute, args)
    return execute(args)
  }
  return {
    model,
    schema,
    gate,
    run,
    async compiled(tenant, source, variables = {}, operationName) {
      const operation = lane.find(source, operationName)
      const placement = await placementFor(tenant)
      const request = {
        identity: identityOf(tenant),
        placement,
        requestId: 'test',
        deadline: { ...deadlineIn(5_000), statementMs: tenant.statementMs },
      }
      const given = variables as Record<string, unknown>
      return operation?.run({ ...request, variables: given, idempotencyKey: undefined }) ?? null
    },
    async data(tenant, source, variables) {
      const { data, errors } = await run(tenant, source, variables)
      if (errors?.length) throw errors[0]
      return data
    },
    async record(work) {
      const ran: Statement[] = []
      records = ran
      try {
        return { value: await work(), ran }
      } finally {
        records = undefined
      }
    },
    end: () => gate.end(),
  }
}

// Wider than the gateway's own, but for pages: a test that wants a limit says so.
export const DEFAULT_LIMITS: LimitsConfig = {
  ...configFile.shape.limits.parse({}),
  pageSize: 100,
  pageSizeDefault: 20,
  rows: 10_000,
}

/** Read anew each time, as a test may change them; another object only where they differ, as in the gateway. */
function sizesOf(limits: Partial<LimitsConfig>): () => LimitsConfig {
  let known: LimitsConfig = { ...DEFAULT_LIMITS, ...limits }
  return () => {
    const now = { ...DEFAULT_LIMITS, ...limits }
    if (!isDeepStrictEqual(now, known)) known = now
    return known
  }
}

function identityOf({ id, roles = ['admin'] }: Asker): Identity {
  return { tenant: id, subject: 'test', roles, issuer: 'test', expiresAt: 0 }
}

/** A door that tells of each statement before it is sent. */
function recorded(door: Door, tell: (statements: readonly Statement[]) => void): Door {
  return {
    batch(tenant, mode, deadline, statements) {
      tell(statements)
      return door.batch(tenant, mode, deadline, statements).catch((error: Error) => {
        noteStepBack(error.message)
        throw error
      })
    },
    withTenant: (tenant, mode, deadline, work) =>
      door.withTenant(tenant, mode, deadline, (session) =>
        work({
          tenant: session.tenant,
          run(statement) {
            tell([statement])
            return session.run(statement)
          },
        }),
      ),
  }
}
