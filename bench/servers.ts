/** The servers that are compared: how each is started, and in which words it is asked. */

import { join } from 'node:path'
import { SECRET } from './database.ts'
import type { Dialect } from './operations.ts'
import { type ServerProcess, startProcess } from './processes.ts'

export interface ServerPlan {
  readonly name: ServerName
  readonly title: string
  readonly dialect: Dialect
  /** File that Node runs, from this folder. */
  readonly file: string
  /** Of a gateway: keys of its configuration on top of the usual. */
  readonly settings?: object
}

/** Limits that nobody meets, of each kind that is counted over time. */
const LIMITS = {
  ...{ requestsPerMinute: 1e9, costPerMinute: 1e12, requestsPerMonth: 1e12, costPerMonth: 1e15 },
  concurrency: 10_000,
}

export const SERVER_NAMES = [
  'ours',
  'ours-free',
  'postgraphile',
  'mercurius',
  'yoga',
  'limit-json',
  'limit-rows',
] as const
export type ServerName = (typeof SERVER_NAMES)[number]

export const SERVERS: Readonly<Record<ServerName, ServerPlan>> = {
  ours: {
    name: 'ours',
    title: 'Shardgate',
    dialect: 'shardgate',
    file: '../src/cli.ts',
    settings: { plans: { standard: { limits: LIMITS } } },
  },
  'ours-free': {
    name: 'ours-free',
    title: 'Shardgate, neither limits nor metering',
    dialect: 'shardgate',
    file: '../src/cli.ts',
    settings: { usage: { meter: false } },
  },
  postgraphile: {
    name: 'postgraphile',
    title: 'PostGraphile 5',
    dialect: 'postgraphile',
    file: 'peers/postgraphile.ts',
  },
  mercurius: { name: 'mercurius', title: 'Mercurius 16', dialect: 'plain', file: 'peers/mercurius.ts' },
  yoga: { name: 'yoga', title: 'Yoga, Pothos, DataLoader', dialect: 'plain', file: 'peers/yoga.ts' },
  'limit-json': {
    name: 'limit-json',
    title: 'limit: JSON from Postgres',
    dialect: 'shardgate',
    file: 'limits/json.ts',
  },
  'limit-rows': {
    name: 'limit-rows',
    title: 'limit: rows, written by hand',
    dialect: 'shardgate',
    file: 'limits/rows.ts',
  },
}

export interface Places {
  /** Of the gateway's configuration. */
  readonly configFile: string
  /** Of the database that the others serve, as the role without rights of its own. */
  readonly databaseUrl: string
  /** Folder for logs. */
  readonly dir: string
  /** Of a Redis for gateways that shall share their limits. */
  readonly redisUrl?: string | undefined
}

/** GATEWAY names another build of the gateway to run instead. */
const GATEWAY = process.env.GATEWAY ?? join(import.meta.dirname, SERVERS.ours.file)

/** Every server runs in production mode, logs to a file, and is a process of its own. */
export function startServer(
  { name, file }: ServerPlan,
  places: Places,
  nodeOptions: readonly string[] = [],
): Promise<ServerProcess> {
  const gateway = isGateway(name)
  const path = gateway ? GATEWAY : join(import.meta.dirname, file)
  return startProcess({
    name,
    args: [...nodeOptions, path, ...(gateway ? ['serve', '--config', places.configFile] : [])],
    env: gateway ? gatewayEnv(places) : { DATABASE_URL: places.databaseUrl, SECRET },
    logFile: join(places.dir, `${name}.log`),
  })
}

const isGateway = (name: ServerName): boolean => name === 'ours' || name === 'ours-free'

const gatewayEnv = ({ redisUrl }: Places): Record<string, string> => ({
  ADMIN_PORT: '0',
  ...(redisUrl !== undefined && { REDIS_URL: redisUrl }),
})
