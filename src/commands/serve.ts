/**
 * `shardgate serve` and `shardgate start`: the two commands that go on until they are told to stop. The
 * gateway itself is passed in, because it is built above this floor.
 */

import { type Command, Option } from 'commander'
import { type Config, loadConfig } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import { tenantId } from '../base/ids.ts'
import { isFree } from '../db/embedded/ports.ts'
import type { Isolation } from '../directory/types.ts'
import { signToken } from '../tenant/sign.ts'
import { type CommandContext, configOf, type MakeContext } from './context.ts'
import { fillEmbedded, readEmbedded } from './embedded.ts'
import type { ExampleTenant } from './example.ts'
import { terminalProgress } from './progress.ts'
import { type Started, start } from './start.ts'

/** A gateway that listens. */
export interface RunningGateway {
  readonly port: number
  readonly adminPort: number
  /** Resolves when it has stopped, because of a signal or of `stop`. */
  readonly stopped: Promise<void>
  stop(reason: string): Promise<void>
}

export interface RunOptions {
  readonly config: Config
  /** Reads the file again at a change. */
  readonly load: (file: string) => Config
  /** Run jobs and serve nobody. */
  readonly only?: 'jobs'
}

export type RunGateway = (options: RunOptions) => Promise<RunningGateway>

const load = (file: string): Config => {
  const config = loadConfig(file)
  return fillEmbedded(config, readEmbedded(config.dataDir))
}

export function addServeCommand(program: Command, contextOf: MakeContext, run: RunGateway): void {
  program
    .command('serve')
    .description('Serve the tenants of the configured shards, until SIGTERM.')
    .addHelpText(
      'after',
      '\nExample:\n  NODE_ENV=production HOST=0.0.0.0 shardgate serve -c /etc/shardgate/shards.config.json',
    )
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command)
      const config = configOf(context)
      const gateway = await run({ config, load })
      // In production the log says so; here it is silent as long as all is well.
      if (config.mode === 'development') {
        const url = `http://localhost:${gateway.port}/graphql`
        context.terminal.err(`Serving ${url}, admin on port ${gateway.adminPort}. Ctrl-C stops it.\n`)
      }
      await gateway.stopped
    })
}

export function addStartCommand(program: Command, contextOf: MakeContext, run: RunGateway): void {
  program
    .command('start')
    .description(
      'Everything on this machine, with nothing to fill in: shards, example, gateway. For development.',
    )
    .addOption(new Option('--scale <n>', 'multiply the rows of the example').argParser(scaleOf).default(1))
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate start\n  PORT=5000 SHARDGATE_DATA=./other shardgate start --scale 10',
    )
    .action(async (options: { scale: number }, command: Command) => {
      const context = contextOf(command)
      const config = loadConfig(context.options.config)
      await requireFreePorts(config)
      const started = await start({ config, progress: terminalProgress(), scale: options.scale })
      try {
        const gateway = await run({ config: started.config, load })
        await printWelcome(context, started, gateway)
        await gateway.stopped
      } finally {
        await started.stop()
      }
    })
}

/** Before minutes of work, not after them. The gateway asks again when it listens. */
async function requireFreePorts(config: Config): Promise<void> {
  const wanted = { PORT: config.port, ADMIN_PORT: config.adminPort }
  for (const [name, port] of Object.entries(wanted)) {
    if (port === 0 || (await isFree(port))) continue
    fail('SETUP_FAILED', `Port ${port} is taken by another program. Choose another: ${name}=${port + 10}`)
  }
}

function scaleOf(text: string): number {
  const scale = Number(text)
  if (scale > 0 && scale <= 1_000) return scale
  return fail('USAGE', `--scale wants a number above 0, up to 1000; "${text}" came.`)
}

const TOKEN_TTL_S = 30 * 24 * 3_600

async function printWelcome(
  context: CommandContext,
  started: Started,
  gateway: RunningGateway,
): Promise<void> {
  const base = `http://localhost:${gateway.port}`
  const curls = await Promise.all(started.demo.map((tenant) => curlOf(started.config, tenant, base)))
  const places = {
    GraphQL: `${base}/graphql`,
    GraphiQL: `${base}/graphql (in a browser)`,
    Admin: `http://localhost:${gateway.adminPort} (/livez /readyz /metrics)`,
    Data: started.home,
  }
  context.print({ ...places, tenants: curls }, () => welcomeText(places, curls))
}

interface Curl {
  readonly tenant: string
  readonly shard: string
  readonly isolation: Isolation
  readonly curl: string
}

async function curlOf(
  config: Config,
  { id, shard, isolation }: ExampleTenant & { shard: string },
  base: string,
): Promise<Curl> {
  const { token } = await signToken(config.tokens, {
    tenant: tenantId(id),
    roles: ['admin'],
    subject: 'shardgate-start',
    ttlS: TOKEN_TTL_S,
  })
  const query = '{"query":"{ tickets(first: 3) { totalCount nodes { subject author { name } } } }"}'
  const curl = `curl -s -w '\\n' ${base}/graphql -H 'content-type: application/json' -H 'authorization: Bearer ${token}' -d '${query}'`
  return { tenant: id, shard, isolation, curl }
}

const KEPT: Readonly<Record<Isolation, string>> = {
  shared: 'the shared tables',
  schema: 'its own schema',
  database: 'its own database',
}

function welcomeText(places: Record<string, string>, curls: readonly Curl[]): string {
  const width = Math.max(...Object.keys(places).map((name) => name.length))
  const lines = Object.entries(places).map(([name, place]) => `  ${name.padEnd(width)}  ${place}`)
  const calls = curls.flatMap(({ tenant, shard, isolation, curl }) => {
    return ['', `  # ${tenant}, in ${KEPT[isolation]} on ${shard}`, `  ${curl}`]
  })
  return ['', ...lines, ...calls, '', '  Ctrl-C stops everything; the data stay.', ''].join('\n')
}
