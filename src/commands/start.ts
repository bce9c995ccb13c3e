/**
 * `shardgate start`: everything on this machine, with nothing to fill in.
 *
 *     embedded servers ──▶ databases and roles ──▶ install ──▶ migrations ──▶ tenants ──▶ rows
 *
 * Each step finds what an earlier start has made and adds what is missing, so that a start that was
 * interrupted is finished by the next one.
 */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type Config, EMBEDDED } from '../base/config.ts'
import { fail, isGatewayError } from '../base/errors.ts'
import { tenantId } from '../base/ids.ts'
import { ensureDatabase, ensureLogin } from '../control/bootstrap.ts'
import { renewHomes } from '../control/homes/renew.ts'
import { install } from '../control/install.ts'
import { installQueue } from '../control/jobs/install.ts'
import { createTenant } from '../control/lifecycle.ts'
import { migrateFleet } from '../control/migrate/up.ts'
import { type Fleet, onDirectory, onHome, type ShardAccess } from '../control/reach.ts'
import { createTenants } from '../control/register.ts'
import { withClient } from '../db/client.ts'
import { type EmbeddedServers, startEmbedded } from '../db/embedded/start.ts'
import { findTenants, type TenantRecord } from '../directory/tenants.ts'
import { ISOLATIONS, type Isolation } from '../directory/types.ts'
import { fleetOf, weightOf } from './context.ts'
import { type EmbeddedState, embeddedShards, fillEmbedded, readEmbedded, writeEmbedded } from './embedded.ts'
import { type Example, type ExampleTenant, loadExample } from './example.ts'
import type { Progress } from './progress.ts'

const SHARD_DATABASE = 'shardgate'
const DIRECTORY = 'shardgate_directory'

export interface StartOptions {
  readonly config: Config
  readonly progress: Progress
  /** Multiplies the rows of the example. Default is 1. */
  readonly scale?: number
}

// A move that is left alone for days shall not fill the disk with what its slot keeps.
const SETTINGS = { max_slot_wal_keep_size: '4GB' }

export interface Started {
  /** The configuration with every place filled in. */
  readonly config: Config
  /** Three tenants of the example: one of each isolation. */
  readonly demo: readonly (ExampleTenant & { readonly shard: string })[]
  /** Where the data of the embedded servers are. */
  readonly home: string
  /** Stop the embedded servers. */
  stop(): Promise<void>
}

/**
 * Start the servers and make what is missing.
 *
 * @throws SETUP_FAILED  one sentence: what is in the way, and the way out
 */
export async function start({ config, progress, scale = 1 }: StartOptions): Promise<Started> {
  requireOwnMachine(config)
  const keys = embeddedShards(config)
  const servers = await progress.step('Postgres servers', (report) =>
    startEmbedded({ dir: config.dataDir, names: keys, settings: SETTINGS, report }),
  )
  try {
    const state = stateOf(config, servers, keys)
    writeEmbedded(config.dataDir, state)
    const filled = fillEmbedded(config, state)
    await progress.step('Databases, roles and directory', () =>
      prepare(filled, servers, state, keys).catch((error) => explainStranger(error, keys, servers.home)),
    )
    const demo = await fillWithExample(filled, progress, scale)
    return { config: filled, demo, home: servers.home, stop: () => servers.stopAll() }
  } catch (error) {
    await servers.stopAll()
    throw error
  }
}

// The example's tables and rows have no place in databases that somebody else has made.
function requireOwnMachine(config: Config): void {
  const given = Object.entries(config.shards).flatMap(([key, { url }]) =>
    url === EMBEDDED ? [] : [`shards.${key}.url`],
  )
  if (config.directory.url !== EMBEDDED) given.unshift('directory.url')
  if (given.length === 0) return
  fail(
    'CONFIG_INVALID',
    `"start" makes databases of its own, and these are given: ${given.join(', ')}. ` +
      'Unset their environment variables, or use "shardgate serve".',
  )
}

function stateOf(config: Config, servers: EmbeddedServers, names: readonly string[]): EmbeddedState {
  const password = (): string => randomBytes(24).toString('hex')
  const kept = readEmbedded(config.dataDir)
  const passwords = kept?.passwords ?? {
    owner: password(),
    app: password(),
    mover: password(),
    directory: password(),
  }
  const url = (name: string, user: string, secret: string, database: string): string =>
    `postgres://${user}:${secret}@127.0.0.1:${servers.get(name).port}/${database}`
  const shards = embeddedShards(config).map((key) => [
    key,
    {
      url: url(key, 'shardgate_app', passwords.app, SHARD_DATABASE),
      ownerUrl: url(key, 'shardgate_owner', passwords.owner, SHARD_DATABASE),
      moverUrl: url(key, 'shardgate_mover', passwords.mover, SHARD_DATABASE),
    },
  ])
  return {
    secret: kept?.secret ?? password(),
    passwords,
    directoryUrl: names[0] ? url(names[0], DIRECTORY, passwords.directory, DIRECTORY) : '',
    shards: Object.fromEntries(shards),
  }
}

async function prepare(
  config: Config,
  servers: EmbeddedServers,
  state: EmbeddedState,
  keys: string[],
): Promise<void> {
  const [first] = servers.servers
  if (first) await makeDirectory(first.superuserUrl(), state.passwords.directory)
  await Promise.all(
    keys.map((key) =>
      withClient(servers.get(key).superuserUrl(), (client) => ensureDatabase(client, SHARD_DATABASE)),
    ),
  )
  await install({
    directoryUrl: config.directory.url,
    buckets: config.router.buckets,
    schemas: config.tenancy.schemas,
    shards: keys.map((key) => ({
      key,
      weight: weightOf(config.shards[key] ?? { drain: false, weight: 1 }),
      url: servers.get(key).superuserUrl(SHARD_DATABASE),
      passwords: state.passwords,
    })),
  })
  await Promise.all([renewHomes(fleetOf(config)), installQueue(config.directory.url)])
}

// "Put the right URL back" helps nobody who has no URL: a part of the data was removed or exchanged.
function explainStranger(error: unknown, keys: readonly string[], home: string): never {
  if (!isGatewayError(error, 'SHARD_UNSAFE') || !keys.includes(String(error.details.shard))) throw error
  return fail(
    'SETUP_FAILED',
    `The data of ${error.details.shard} in ${home} are not those that the directory beside them knows. ` +
      `Put them back, or begin anew with all servers: rm -r ${join(home, 'data')}`,
    {},
    { cause: error },
  )
}

async function makeDirectory(superuserUrl: string, password: string): Promise<void> {
  await withClient(superuserUrl, async (client) => {
    await ensureLogin(client, DIRECTORY, password)
    await ensureDatabase(client, DIRECTORY, DIRECTORY)
  })
}

async function fillWithExample(config: Config, progress: Progress, scale: number): Promise<Started['demo']> {
  const example = await loadExample()
  const fleet = { ...fleetOf(config), migrations: example.migrations }
  await progress.step('Tables of the example', () => makeTables(fleet))
  const tenants = example.planTenants({ scale })
  const placed = await progress.step(`${tenants.length} tenants`, () => makeTenants(fleet, tenants))
  await progress.counted('Rows of the example', tenants.length, (done) =>
    Promise.all(
      fleet.shards.map((shard) => {
        const here = placed.filter((tenant) => tenant.shard === shard.key)
        return seedShard(shard, here, example, { schema: config.tenancy.schemas[0] ?? 'public', scale }, done)
      }),
    ),
  )
  return demoOf(placed)
}

async function makeTables(fleet: Fleet): Promise<void> {
  const { results } = await migrateFleet(fleet, { takeTurns: true })
  const failed = results.find(({ error }) => error !== null)
  if (failed) fail('SETUP_FAILED', `${failed.target}: ${failed.error}`)
}

/** A tenant of the example where it is. */
type Placed = ExampleTenant & Pick<TenantRecord, 'shard' | 'isolation' | 'namespace'>

// Those that an earlier start has made stay as they are, also where this one would have made them otherwise.
async function makeTenants(fleet: Fleet, tenants: readonly ExampleTenant[]): Promise<Placed[]> {
  const ids = tenants.map(({ id }) => tenantId(id))
  const read = (): Promise<Map<string, TenantRecord>> =>
    onDirectory(fleet.directoryUrl, (directory) => findTenants(directory, ids))
  const before = await read()
  const missing = tenants.flatMap((tenant) => {
    const id = tenantId(tenant.id)
    return before.get(id)?.state === undefined || before.get(id)?.state === 'creating'
      ? [{ ...tenant, id }]
      : []
  })
  const { faults } = await createTenants(
    fleet,
    missing.filter(({ isolation }) => isolation === 'shared'),
  )
  for (const [id, fault] of faults) fail('SETUP_FAILED', `${id}: ${fault}.`)
  await Promise.all(
    missing.filter(({ isolation }) => isolation !== 'shared').map((tenant) => createTenant(fleet, tenant)),
  )
  const made = await read()
  return tenants.flatMap((tenant) => {
    const { shard, isolation, namespace } = made.get(tenant.id) ?? {}
    return shard && isolation && namespace ? [{ ...tenant, shard, isolation, namespace }] : []
  })
}

async function seedShard(
  shard: ShardAccess,
  tenants: readonly Placed[],
  example: Example,
  target: { schema: string; scale: number },
  done: (rows: number) => void,
): Promise<void> {
  for (const tenant of tenants) {
    const schema = tenant.isolation === 'schema' ? tenant.namespace : target.schema
    done(await onHome(shard, tenant, (client) => example.seedTenant(client, tenant, { ...target, schema })))
  }
}

function demoOf(placed: readonly Placed[]): Started['demo'] {
  const first = (isolation: Isolation): Placed | undefined =>
    placed.find((tenant) => tenant.isolation === isolation)
  return ISOLATIONS.flatMap((isolation) => first(isolation) ?? [])
}
