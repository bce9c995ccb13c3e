/** `shardgate tenant register`: tenants whose rows are in the databases already. */

import { type Command, Option } from 'commander'
import type { Config } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import { tenantId } from '../base/ids.ts'
import { type Discovery, discover, type FoundTenant, registerFound } from '../control/discover.ts'
import { createTenant } from '../control/lifecycle.ts'
import type { ShardAccess } from '../control/reach.ts'
import { asAdmin } from './admin.ts'
import { type CommandContext, configOf, fleetOf, type MakeContext } from './context.ts'
import { table } from './print.ts'
import { terminalProgress } from './progress.ts'

interface RegisterOptions {
  readonly discover?: true
  readonly shard?: string
  readonly dryRun?: true
  readonly yes?: true
  readonly adminUser?: string
  readonly adminPassword?: string
}

export function addRegisterCommand(tenant: Command, contextOf: MakeContext): void {
  tenant
    .command('register')
    .argument('[id]', 'a tenant whose rows are on --shard')
    .description(
      'Register tenants that have rows already, each on the shard that holds them. Safe to repeat.',
    )
    .option('--discover', 'find them: every value of tenancy.column in the served schemas')
    .option('--shard <key>', 'the shard of <id>; with --discover, those on this one alone')
    .option('--dry-run', 'with --discover: say what would be registered, and change nothing')
    .option('-y, --yes', 'with --discover: do not ask')
    .addOption(
      new Option('--admin-user <name>', 'role to read with: a superuser, or one with BYPASSRLS').env(
        'SHARDGATE_ADMIN_USER',
      ),
    )
    .addOption(
      new Option('--admin-password <password>', 'its password; better in the environment').env(
        'SHARDGATE_ADMIN_PASSWORD',
      ),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate tenant register --discover --dry-run\n  SHARDGATE_ADMIN_PASSWORD=… shardgate tenant register --discover --yes --admin-user postgres\n  shardgate tenant register acme --shard shard-b',
    )
    .action((id: string | undefined, options: RegisterOptions, command: Command) => {
      const context = contextOf(command)
      return id === undefined ? registerAll(context, options) : registerOne(context, id, options)
    })
}

async function registerOne(context: CommandContext, id: string, options: RegisterOptions): Promise<void> {
  const { shard } = options
  if (options.discover) fail('USAGE', `Either --discover or one id; both came: "${id}".`)
  if (shard === undefined) return fail('USAGE', `Wanted the shard that holds ${id}: --shard <key>.`)
  const { tenant, created } = await createTenant(fleetOf(configOf(context)), { id: tenantId(id), shard })
  context.print({ ...tenant, created }, () =>
    created ? `${id} is registered on ${shard}.\n` : `${id} was registered on ${shard} already.\n`,
  )
}

async function registerAll(context: CommandContext, options: RegisterOptions): Promise<void> {
  if (!options.discover) fail('USAGE', 'Wanted --discover, or an id and its --shard.')
  const config = configOf(context)
  const shards = readersOf(config, options)
  const progress = terminalProgress()
  const all = await progress.step('Tenants of the tables', (report) =>
    discover({ directoryUrl: config.directory.url, tenancy: config.tenancy, shards, report }),
  )
  const found = options.shard === undefined ? all : onOneShard(all, options.shard)
  const agreed = await mayRegister(context, found, options)
  const result = agreed
    ? await progress.step('Registration', (report) => registerFound(fleetOf(config), found, report))
    : found
  context.print(result, discoveryText)
  requireWhole(result, agreed, options)
}

/**
 * The shards to read, each with the role that was named, or with its owner. All of them, also for the tenants
 * of one: whether another holds rows of the same tenant is seen there alone.
 */
function readersOf(config: Config, options: RegisterOptions): ShardAccess[] {
  const all = fleetOf(config).shards.map(({ key, url }) => ({ key, url: asAdmin(url, options) }))
  const { shard } = options
  if (shard === undefined || all.some(({ key }) => key === shard)) return all
  return fail('SHARD_UNKNOWN', `There is no shard "${shard}" in the configuration.`)
}

function onOneShard({ tenants, nulls, tables }: Discovery, key: string): Discovery {
  return {
    tenants: tenants.filter(({ shards }) => shards.includes(key)),
    nulls: nulls.filter(({ shard }) => shard === key),
    tables,
  }
}

async function mayRegister(
  context: CommandContext,
  found: Discovery,
  options: RegisterOptions,
): Promise<boolean> {
  const fresh = found.tenants.filter(({ outcome }) => outcome === 'new').length
  if (options.dryRun || fresh === 0) return false
  if (options.yes) return true
  const { terminal } = context
  if (!terminal.ask) return false
  terminal.err(discoveryText(found, false))
  return terminal.ask(`Register ${fresh} tenants?`)
}

function requireWhole(result: Discovery, agreed: boolean, options: RegisterOptions): void {
  const waiting = result.tenants.filter(({ outcome }) => outcome === 'new').length
  if (waiting > 0 && !agreed && !options.dryRun) {
    fail('USAGE', `Nothing was registered. The same with --yes registers the ${waiting} new tenants.`)
  }
  const left = result.tenants.filter(isLeft).length
  if (left === 0) return
  fail('SETUP_FAILED', `${left} of the values in the tables were left out; the list says why.`)
}

const isLeft = ({ outcome }: FoundTenant): boolean => outcome === 'conflict' || outcome === 'refused'

function discoveryText({ tenants, nulls, tables }: Discovery, colour: boolean): string {
  const shown = tenants.filter(({ outcome }) => outcome !== 'known')
  const list = table(
    shown,
    [
      { title: 'tenant', cell: ({ id }) => (id === '' ? '(empty)' : id) },
      { title: 'shard', cell: ({ shards }) => shards.join(', ') },
      { title: 'result', cell: ({ outcome }) => outcome },
      { title: 'rows', cell: ({ rows }) => rows ?? '' },
      { title: 'why', cell: ({ reason }) => reason ?? '' },
    ],
    colour,
  )
  const lines = nulls.map(
    (one) => `${one.rows} rows of ${one.table} on ${one.shard} have no tenant: nobody will see them.\n`,
  )
  const known = tenants.length - shown.length
  const summary = `${tables} tables read, ${tenants.length} tenants found, ${known} of them registered before.\n`
  return [...(shown.length > 0 ? [list, '\n'] : []), ...lines, summary].join('')
}
