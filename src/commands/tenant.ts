/** `shardgate tenant`: create, register, list and show tenants. */

import { type Command, Option } from 'commander'
import { fail } from '../base/errors.ts'
import { tenantId } from '../base/ids.ts'
import { createTenant } from '../control/lifecycle.ts'
import { onDirectory } from '../control/reach.ts'
import { findTenant, listTenants, subdomain, type TenantRecord } from '../directory/tenants.ts'
import { configOf, fleetOf, type MakeContext } from './context.ts'
import { wholeNumber } from './parse.ts'
import { record, table } from './print.ts'
import { addRegisterCommand } from './register.ts'

interface CreateOptions {
  readonly name?: string
  readonly subdomain?: string
  readonly plan?: string
  readonly shard?: string
}

export function addTenantCommands(program: Command, contextOf: MakeContext): void {
  const tenant = program.command('tenant').description('Create, register, list and show tenants.')

  tenant
    .command('create')
    .argument('<id>', '1 to 40 characters of a-z, 0-9 and "-"')
    .description('Create a tenant. Safe to repeat: it finishes what was begun and changes nothing else.')
    .option('--name <name>', 'name for people (default: the id)')
    .option('--subdomain <label>', 'host label under http.baseDomain (default: the id)')
    .option('--plan <plan>', 'plan (default: standard)')
    .option('--shard <key>', 'put it on this shard (default: where router.strategy says)')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate tenant create acme\n  shardgate tenant create acme --name "Acme Inc." --shard shard-b',
    )
    .action(async (id: string, options: CreateOptions, command: Command) => {
      const context = contextOf(command)
      const wanted = newTenant(id, options)
      const result = await createTenant(fleetOf(configOf(context)), wanted)
      context.print({ ...result.tenant, created: result.created }, recordText)
    })

  addRegisterCommand(tenant, contextOf)

  tenant
    .command('list')
    .description('List tenants by id.')
    .addOption(
      new Option('--limit <number>', 'tenants at most').default(1_000).argParser(wholeNumber(1, 100_000)),
    )
    .option('--after <id>', 'begin after this id')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate tenant list\n  shardgate tenant list -o json | jq -r .[].id',
    )
    .action(async (options: { limit: number; after?: string }, command: Command) => {
      const context = contextOf(command)
      const { directory } = configOf(context)
      const tenants = await onDirectory(directory.url, (db) => listTenants(db, options.limit, options.after))
      context.print(tenants, listText)
      if (tenants.length === options.limit) {
        context.terminal.err(`There may be more: shardgate tenant list --after ${tenants.at(-1)?.id}\n`)
      }
    })

  tenant
    .command('show')
    .argument('<id>', 'a tenant')
    .description('Show a tenant and where it is.')
    .addHelpText('after', '\nExamples:\n  shardgate tenant show acme')
    .action(async (id: string, _options: unknown, command: Command) => {
      const context = contextOf(command)
      const wanted = tenantId(id)
      const { directory } = configOf(context)
      const found = await onDirectory(directory.url, (db) => findTenant(db, wanted))
      context.print(found ?? unknownTenant(id), recordText)
    })
}

/** @throws TENANT_UNKNOWN */
export function unknownTenant(id: string): never {
  return fail('TENANT_UNKNOWN', `There is no tenant "${id}". See "shardgate tenant list".`, { tenant: id })
}

// Everything that can be seen to be wrong is seen here, before a connection is opened.
function newTenant(id: string, options: CreateOptions) {
  const { name, plan } = options
  if (name !== undefined) requireText('--name', name, 200)
  if (plan !== undefined) requireText('--plan', plan, 40)
  if (options.subdomain !== undefined) subdomain(options.subdomain)
  return { id: tenantId(id), ...options }
}

function requireText(option: string, value: string, max: number): void {
  if (value.trim() !== '' && value.length <= max && !/\p{Cc}/u.test(value)) return
  fail(
    'USAGE',
    `${option}: wanted 1 to ${max} visible characters; ${JSON.stringify(value.slice(0, 60))} came.`,
  )
}

type Shown = TenantRecord & { created?: boolean }

function recordText(tenant: Shown, colour: boolean): string {
  const { created, placedBy, createdAt, ...fields } = tenant
  const note = created === undefined ? '' : created ? 'Created.\n' : 'It was there already, just so.\n'
  return `${note}${record({ ...fields, 'placed by': placedBy, 'created at': createdAt }, colour)}`
}

function listText(tenants: readonly TenantRecord[], colour: boolean): string {
  if (tenants.length === 0) return 'There are no tenants. Create one: shardgate tenant create acme\n'
  return table(
    tenants,
    [
      { title: 'id', cell: (tenant) => tenant.id },
      { title: 'name', cell: (tenant) => tenant.name },
      { title: 'subdomain', cell: (tenant) => tenant.subdomain },
      { title: 'plan', cell: (tenant) => tenant.plan },
      { title: 'state', cell: (tenant) => tenant.state },
      { title: 'shard', cell: (tenant) => tenant.shard },
      { title: 'placed by', cell: (tenant) => tenant.placedBy },
      { title: 'epoch', cell: (tenant) => tenant.epoch },
    ],
    colour,
  )
}
