/** `shardgate tenant export|import|clone`: a tenant's rows into a folder, out of one, and into a sandbox. */

import { type Command, Option } from 'commander'
import { tenantId } from '../base/ids.ts'
import { type ExportResult, exportTenant } from '../control/copy/export.ts'
import { type CopyOptions, type CopyResult, cloneTenant, importTenant } from '../control/copy/import.ts'
import { subdomain } from '../directory/tenants.ts'
import { ISOLATIONS, type Isolation } from '../directory/types.ts'
import { configOf, fleetOf, type MakeContext } from './context.ts'
import { record } from './print.ts'
import { watched } from './watched.ts'

interface PlaceOptions {
  readonly as?: string
  readonly shard?: string
  readonly isolation?: Isolation
  readonly subdomain?: string
  readonly plan?: string
}

/** @param tenant  the group `tenant` of the command line */
export function addCopyCommands(tenant: Command, contextOf: MakeContext): void {
  addExport(tenant, contextOf)
  addImport(tenant, contextOf)
  addClone(tenant, contextOf)
}

function addExport(tenant: Command, contextOf: MakeContext): void {
  tenant
    .command('export')
    .argument('<id>', 'a tenant, in whatever state')
    .description(
      'Write all rows of a tenant at one moment into a folder, with a manifest of counts and hashes.',
    )
    .option('--to <folder>', 'folder to make (default: one below "exports" of the configuration)')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate tenant export acme\n  shardgate tenant export acme --to /backup/acme-2026-11',
    )
    .action(async (id: string, { to }: { to?: string }, command: Command) => {
      const context = contextOf(command)
      const wanted = tenantId(id)
      const fleet = fleetOf(configOf(context))
      const result = await watched(`export ${wanted}`, (report) =>
        exportTenant(fleet, wanted, { report, ...(to !== undefined && { to }) }),
      )
      context.print(summaryOf(result), (summary, colour) => record({ ...summary }, colour))
    })
}

function summaryOf({ folder, manifest }: ExportResult) {
  const { tenant, tables, rows, hash, madeAt } = manifest
  const bytes = tables.reduce((sum, table) => sum + table.bytes, 0)
  return { tenant, folder, tables: tables.length, rows, bytes, hash, 'made at': madeAt }
}

function addImport(tenant: Command, contextOf: MakeContext): void {
  placed(
    tenant
      .command('import')
      .argument('<folder>', 'what "tenant export" has written')
      .description(
        'Make a tenant out of an export, on any shard and in any model; nobody sees it before it is verified.',
      )
      .option('--as <id>', 'id of the new tenant (default: that of the exported one)'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate tenant import exports/acme-7\n' +
        '  shardgate tenant import exports/acme-7 --as acme-eu --shard shard-b --isolation database',
    )
    .action(async (folder: string, options: PlaceOptions, command: Command) => {
      const context = contextOf(command)
      const place = placeOf(options)
      const fleet = fleetOf(configOf(context))
      const as = options.as === undefined ? {} : { as: tenantId(options.as) }
      const result = await watched(`import ${folder}`, (report) =>
        importTenant(fleet, folder, { ...place, ...as, report }),
      )
      context.print(result, resultText)
    })
}

function addClone(tenant: Command, contextOf: MakeContext): void {
  placed(
    tenant
      .command('clone')
      .argument('<id>', 'a tenant, in whatever state')
      .description(
        'Make a sandbox: another tenant with the rows, plan and settings that a tenant has at this moment.',
      )
      .requiredOption('--as <id>', 'id of the sandbox'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate tenant clone acme --as acme-sandbox\n' +
        '  shardgate tenant clone acme --as acme-sandbox --shard shard-c --isolation schema',
    )
    .action(async (id: string, options: PlaceOptions, command: Command) => {
      const context = contextOf(command)
      const [source, as, place] = [tenantId(id), tenantId(options.as), placeOf(options)]
      const fleet = fleetOf(configOf(context))
      const result = await watched(`clone ${source}`, (report) =>
        cloneTenant(fleet, source, { ...place, as, report }),
      )
      context.print(result, resultText)
    })
}

const placed = (command: Command): Command =>
  command
    .option('--shard <key>', 'put it on this shard (default: where router.strategy says)')
    .addOption(
      new Option('--isolation <model>', 'how it is kept there (default: as the rows were)').choices(
        ISOLATIONS,
      ),
    )
    .option(
      '--subdomain <label>',
      'host label under http.baseDomain (default: of the same id, else the new id)',
    )
    .option('--plan <plan>', 'plan (default: as it was)')

function placeOf(options: PlaceOptions): CopyOptions {
  const { shard, isolation, plan } = options
  return {
    ...(shard !== undefined && { shard }),
    ...(isolation !== undefined && { isolation }),
    ...(plan !== undefined && { plan }),
    ...(options.subdomain !== undefined && { subdomain: subdomain(options.subdomain) }),
  }
}

function resultText({ tenant, rows }: CopyResult, colour: boolean): string {
  const { id, name, subdomain, plan, shard, isolation, namespace, state } = tenant
  return record({ id, name, subdomain, plan, state, shard, isolation, namespace, rows }, colour)
}
