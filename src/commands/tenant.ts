/** `shardgate tenant`: create, register, list and show tenants. */

import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { fail } from '../base/errors.ts'
import { tenantId } from '../base/ids.ts'
import { createTenant, type NewTenant } from '../control/lifecycle.ts'
import { openMoveOf } from '../control/move/store.ts'
import type { MoveRecord } from '../control/move/types.ts'
import { findRunning, reasonOf } from '../control/operations/store.ts'
import { onDirectory } from '../control/reach.ts'
import type { Queryable } from '../db/client.ts'
import { type Target, targetOf } from '../directory/targets.ts'
import {
  findTenant,
  listTenants,
  subdomain,
  type TenantFilter,
  type TenantRecord,
} from '../directory/tenants.ts'
import { ISOLATIONS, type TenantSettings } from '../directory/types.ts'
import { configOf, fleetOf, type MakeContext } from './context.ts'
import { routeText } from './move-text.ts'
import { wholeNumber } from './parse.ts'
import { record, table } from './print.ts'
import { addRegisterCommand } from './register.ts'

type CreateOptions = Omit<NewTenant, 'id' | 'settings'> & { readonly settings?: string }

const STATES = ['creating', 'active', 'read-only', 'suspended', 'offboarded', 'purging'] as const

const isolationOption = (description: string): Option =>
  new Option('--isolation <model>', description).choices(ISOLATIONS)

export function addTenantCommands(program: Command, contextOf: MakeContext): Command {
  const tenant = program.command('tenant').description('Tenants: make them, look at them, end them.')
  addCreate(tenant, contextOf)
  addRegisterCommand(tenant, contextOf)
  addList(tenant, contextOf)
  addShow(tenant, contextOf)
  return tenant
}

function addCreate(tenant: Command, contextOf: MakeContext): void {
  tenant
    .command('create')
    .argument('<id>', '1 to 40 characters of a-z, 0-9 and "-"')
    .description('Create a tenant. Safe to repeat: it finishes what was begun and changes nothing else.')
    .option('--name <name>', 'name for people (default: the id)')
    .option('--subdomain <label>', 'host label under http.baseDomain (default: the id)')
    .option('--plan <plan>', 'plan (default: standard)')
    .addOption(isolationOption('how it is kept (default: what its plan says, else shared)'))
    .option('--shard <key>', 'put it on this shard (default: where router.strategy says)')
    .option('--settings <json>', 'JSON object with "branding", "features" and more, or @file.json')
    .addHelpText(
      'after',
      `
Examples:
  shardgate tenant create acme
  shardgate tenant create acme --name "Acme Inc." --shard shard-b
  shardgate tenant create globex --isolation schema --settings '{"features":["reports"]}'
  shardgate tenant create initech --isolation database --plan business --settings @initech.json`,
    )
    .action(async (id: string, options: CreateOptions, command: Command) => {
      const context = contextOf(command)
      const wanted = newTenant(id, options)
      const report = (text: string): void => context.terminal.err(`${text}\n`)
      const result = await createTenant(fleetOf(configOf(context)), wanted, report)
      context.print({ ...result.tenant, created: result.created }, ({ created, ...made }, colour) => {
        const note = created ? 'Created.\n' : 'It was there already, just so.\n'
        return note + record(fieldsOf(made), colour)
      })
    })
}

function addList(tenant: Command, contextOf: MakeContext): void {
  tenant
    .command('list')
    .description('List tenants by id.')
    .addOption(new Option('--state <state>', 'those in this state').choices(STATES))
    .addOption(isolationOption('those that are kept so'))
    .option('--shard <key>', 'those on this shard')
    .addOption(
      new Option('--limit <number>', 'tenants at most').default(1_000).argParser(wholeNumber(1, 100_000)),
    )
    .option('--after <id>', 'begin after this id')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate tenant list --isolation schema --shard shard-a\n  shardgate tenant list -o json | jq -r .[].id',
    )
    .action(async ({ limit, ...options }: TenantFilter & { limit: number }, command: Command) => {
      const context = contextOf(command)
      const { directory, shards } = configOf(context)
      const { state, isolation, shard, after } = options
      if (shard !== undefined && !Object.hasOwn(shards, shard)) {
        fail('SHARD_UNKNOWN', `The configuration has no shard "${shard}".`, { shard })
      }
      const filter = defined({ state, isolation, shard, after: after && tenantId(after) })
      const tenants = await onDirectory(directory.url, (db) => listTenants(db, limit, filter))
      context.print(tenants, listText)
      if (tenants.length === limit) {
        context.terminal.err(`There may be more: shardgate tenant list --after ${tenants.at(-1)?.id}\n`)
      }
    })
}

// Options that were not given come as undefined, which a filter would take for a value.
function defined<T extends object>(options: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>
  }
}

/** A tenant with what the directory knows beside its row. */
interface Shown extends TenantRecord {
  /** What is known of its own tables, or of the shared ones that it is in; null when nothing is. */
  readonly target: Pick<Target, 'version' | 'error'> | null
  /** What was begun with it and is not finished. */
  readonly operation: string | null
  /** Its move that has not ended, one in its window included. */
  readonly move: Pick<MoveRecord, 'id' | 'state' | 'source' | 'target'> | null
  /** Why it is refused, as the operator said; null when it is not, or when nobody said. */
  readonly because: string | null
}

/** The operations that lead to the states in which a tenant is refused. */
const CLOSED_BY: Readonly<Record<string, string>> = {
  'read-only': 'tenant.read-only',
  suspended: 'tenant.suspend',
  offboarded: 'tenant.offboard',
}

function addShow(tenant: Command, contextOf: MakeContext): void {
  tenant
    .command('show')
    .argument('<id>', 'a tenant')
    .description('Show a tenant, where it is, and what was begun with it.')
    .addHelpText('after', '\nExamples:\n  shardgate tenant show acme')
    .action(async (id: string, _options: unknown, command: Command) => {
      const context = contextOf(command)
      const wanted = tenantId(id)
      const { directory } = configOf(context)
      const found = await onDirectory(directory.url, async (db) => {
        const tenant = await findTenant(db, wanted)
        return tenant && { ...tenant, ...(await besides(db, tenant)) }
      })
      context.print(found ?? unknownTenant(id), showText)
    })
}

async function besides(db: Queryable, tenant: TenantRecord): Promise<Omit<Shown, keyof TenantRecord>> {
  const target = await targetOf(db, tenant)
  const running = await findRunning(db, tenant.id, '')
  const open = await openMoveOf(db, tenant.id)
  const closing = CLOSED_BY[tenant.state]
  return {
    move: open && { id: open.id, state: open.state, source: open.source, target: open.target },
    because: closing === undefined ? null : await reasonOf(db, tenant.id, closing),
    target: target && { version: target.version, error: target.error },
    operation: running && `${running.id} (${running.kind})`,
  }
}

/** @throws TENANT_UNKNOWN */
export function unknownTenant(id: string): never {
  return fail('TENANT_UNKNOWN', `There is no tenant "${id}". See "shardgate tenant list".`, { tenant: id })
}

// Everything that can be seen to be wrong is seen here, before a connection is opened.
function newTenant(id: string, { settings, ...options }: CreateOptions): NewTenant {
  const { name, plan } = options
  if (name !== undefined) requireText('--name', name, 200)
  if (plan !== undefined) requireText('--plan', plan, 40)
  if (options.subdomain !== undefined) subdomain(options.subdomain)
  const wanted = { id: tenantId(id), ...options }
  return settings === undefined ? wanted : { ...wanted, settings: settingsOption(settings) }
}

/**
 * What follows `--settings`: JSON, or "@" and the name of a file of it. What it has to hold, control/ looks at.
 *
 * @throws USAGE  no such file, or no JSON
 */
export function settingsOption(text: string): TenantSettings {
  const file = text.startsWith('@') ? text.slice(1) : undefined
  try {
    return JSON.parse(file === undefined ? text : readFileSync(file, 'utf8')) as TenantSettings
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    return fail('USAGE', `--settings: wanted a JSON object or @file.json. ${reason}`, {}, { cause })
  }
}

/** @throws USAGE  `value` is empty, too long, or has characters that nobody sees */
export function requireText(option: string, value: string, max: number): void {
  if (value.trim() !== '' && value.length <= max && !/\p{Cc}/u.test(value)) return
  fail(
    'USAGE',
    `${option}: wanted 1 to ${max} visible characters; ${JSON.stringify(value.slice(0, 60))} came.`,
  )
}

function fieldsOf({ id, name, subdomain, plan, state, ...place }: TenantRecord & Partial<Shown>) {
  const {
    because = null,
    isolation,
    shard,
    namespace,
    placedBy,
    bucket,
    epoch,
    settings,
    limits,
    createdAt,
    purgeAfter,
  } = place
  return {
    id,
    name,
    subdomain,
    plan,
    state,
    ...(because !== null && { because }),
    ...(purgeAfter !== null && { 'quarantine until': purgeAfter }),
    isolation,
    shard,
    [isolation === 'database' ? 'database' : 'schema']: namespace,
    'placed by': placedBy,
    bucket,
    epoch,
    settings: JSON.stringify(settings),
    limits: JSON.stringify(limits),
    since: createdAt,
  }
}

function showText({ target, operation, move, ...tenant }: Shown, colour: boolean): string {
  const fields = { ...fieldsOf(tenant), 'tables at': target?.version ?? 'not known' }
  const failed = target?.error ? { 'last migration': target.error } : {}
  const begun = operation === null ? {} : { 'not finished': operation }
  const moving = move === null ? {} : { move: `${move.id}, ${move.state}: ${routeText(move)}` }
  return record({ ...fields, ...failed, ...moving, ...begun }, colour)
}

function listText(tenants: readonly TenantRecord[], colour: boolean): string {
  if (tenants.length === 0) return 'There are no such tenants. Create one: shardgate tenant create acme\n'
  return table(
    tenants,
    [
      { title: 'id', cell: (tenant) => tenant.id },
      { title: 'name', cell: (tenant) => tenant.name },
      { title: 'plan', cell: (tenant) => tenant.plan },
      { title: 'isolation', cell: (tenant) => tenant.isolation },
      { title: 'shard', cell: (tenant) => tenant.shard },
      { title: 'state', cell: (tenant) => tenant.state },
      { title: 'since', cell: (tenant) => tenant.createdAt },
    ],
    colour,
  )
}
