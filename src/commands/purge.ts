/** `shardgate tenant purge|receipt|revived`: erasing a tenant, the proof of it, and what backups bring back. */

import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { fail } from '../base/errors.ts'
import { type TenantId, tenantId } from '../base/ids.ts'
import { type PurgePreview, type PurgeResult, previewPurge, purgeTenant } from '../control/life/purge.ts'
import { hashOf, listReceipts, type Receipt, type Seal, sealOf } from '../control/life/receipts.ts'
import { findRevived, purgeAgain, type Revived } from '../control/life/revived.ts'
import { onDirectory } from '../control/reach.ts'
import { configOf, fleetOf, type MakeContext } from './context.ts'
import { record, table } from './print.ts'
import { requireText } from './tenant.ts'
import { watched } from './watched.ts'

interface PurgeOptions {
  readonly name?: string
  readonly force?: true
  readonly reason?: string
  readonly dryRun?: true
  readonly revived?: true
}

/** @param tenant  the group `tenant` of the command line */
export function addPurgeCommands(tenant: Command, contextOf: MakeContext): void {
  addPurge(tenant, contextOf)
  addReceipt(tenant, contextOf)
  addRevived(tenant, contextOf)
}

function addPurge(tenant: Command, contextOf: MakeContext): void {
  tenant
    .command('purge')
    .argument('<id>', 'a tenant in quarantine')
    .description('Erase a tenant for good, from its shard and the directory, and write a receipt.')
    .option('--name <name>', 'the name of the tenant, typed once more')
    .option('--dry-run', 'count what would be removed, and remove nothing')
    .option('--force', 'before its quarantine has ended')
    .option('--reason <text>', 'why; stands in the receipt')
    .addOption(
      new Option('--revived', 'remove what a restored backup has brought back of it').conflicts([
        'name',
        'force',
        'dryRun',
      ]),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate tenant purge acme --dry-run\n  shardgate tenant purge acme --name "Acme Inc."\n' +
        '  shardgate tenant purge acme --name "Acme Inc." --force --reason "erasure asked for by the customer"\n' +
        '  shardgate tenant purge acme --revived',
    )
    .action(async (id: string, options: PurgeOptions, command: Command) => {
      const context = contextOf(command)
      const wanted = tenantId(id)
      const { name, reason, force = false } = options
      if (reason !== undefined) requireText('--reason', reason, 500)
      const fleet = fleetOf(configOf(context))
      const title = `purge ${wanted}`
      if (options.dryRun) return context.print(await previewPurge(fleet, wanted), previewText)
      if (options.revived) {
        const again = await watched(title, (report) => purgeAgain(fleet, wanted, reason, report))
        return context.print(again, purgeText)
      }
      const request = { name: name ?? nameMissing(wanted), force, ...(reason !== undefined && { reason }) }
      const purged = await watched(title, (report) => purgeTenant(fleet, wanted, request, report))
      context.print(purged, purgeText)
    })
}

function nameMissing(tenant: TenantId): never {
  const hint = `Nothing was changed. First see what would go: shardgate tenant purge ${tenant} --dry-run`
  return fail(
    'USAGE',
    'tenant purge: wanted --name "…", the name of the tenant typed once more.',
    {},
    { hint },
  )
}

function previewText(preview: PurgePreview, colour: boolean): string {
  const { tenant, shard, isolation, namespace, state, purgeAfter, tables, rows, steps } = preview
  const head = record(
    { tenant, state, shard, isolation, namespace, 'may be purged from': purgeAfter },
    colour,
  )
  const counts = table(
    tables,
    [
      { title: 'table', cell: (counted) => counted.table },
      { title: 'rows', cell: (counted) => counted.rows },
    ],
    colour,
  )
  const list = steps.map((step, i) => `  ${i + 1}. ${step}`).join('\n')
  return `${head}\n${counts}\n${rows} rows in all. A purge would\n${list}\nNothing was changed.\n`
}

function purgeText({ tenant, rows, receipt, sha256 }: PurgeResult, colour: boolean): string {
  const proof = record({ receipt, sha256 }, colour)
  return `${tenant} is erased: ${rows} rows, its place on the shard, and all that the directory knew of it.\n${proof}Keep the receipt: shardgate tenant receipt ${tenant} > receipt.json\n`
}

function addReceipt(tenant: Command, contextOf: MakeContext): void {
  tenant
    .command('receipt')
    .argument('<id>', 'a tenant that was purged')
    .description(
      'Print the receipt of a purge as it was written, or check a copy of it against the audit log.',
    )
    .option('--check <file>', 'a copy of the receipt')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate tenant receipt acme > receipt.json\n  sha256sum receipt.json\n' +
        '  shardgate tenant receipt acme --check receipt.json',
    )
    .action(async (id: string, { check }: { check?: string }, command: Command) => {
      const context = contextOf(command)
      const wanted = tenantId(id)
      const { url } = configOf(context).directory
      if (check !== undefined) {
        const body = readCopy(check)
        const seal = await onDirectory(url, (directory) => sealOf(directory, hashOf(body)))
        return context.print(checked(seal, wanted, check), checkText)
      }
      const [latest] = await onDirectory(url, (directory) => listReceipts(directory, wanted))
      context.print(latest ?? noReceipt(wanted), ({ body }: Receipt) => body)
    })
}

function readCopy(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    return fail('USAGE', `--check: the file ${JSON.stringify(file)} cannot be read.`, {}, { cause })
  }
}

function noReceipt(tenant: TenantId): never {
  const hint = 'See "shardgate tenant list" and "shardgate audit show".'
  return fail('TENANT_UNKNOWN', `There is no receipt of a purge of ${tenant}.`, { tenant }, { hint })
}

function checked(seal: Seal | null, tenant: TenantId, file: string): Seal {
  if (seal?.tenant === tenant) return seal
  const hint = 'Compare it with "shardgate tenant receipt", and see "shardgate audit verify".'
  return fail(
    'REFUSED',
    `The audit log has no receipt of ${tenant} that reads as ${file} does.`,
    {},
    { hint },
  )
}

function checkText({ no, at, operator, tenant }: Seal): string {
  return `The receipt of ${tenant} is as it was written: entry ${no} of the audit log, ${at}, by ${operator}.\n`
}

function addRevived(tenant: Command, contextOf: MakeContext): void {
  tenant
    .command('revived')
    .description('Look for tenants that were purged and that a restored backup has brought back.')
    .addHelpText('after', '\nExamples:\n  shardgate tenant revived')
    .action(async (_options: unknown, command: Command) => {
      const context = contextOf(command)
      context.print(await findRevived(fleetOf(configOf(context))), revivedText)
    })
}

function revivedText(revived: readonly Revived[], colour: boolean): string {
  if (revived.length === 0) return 'No tenant that was purged has come back.\n'
  const lines = table(
    revived,
    [
      { title: 'tenant', cell: ({ tenant }) => tenant },
      { title: 'where', cell: ({ where }) => where },
      { title: 'what is there', cell: ({ what }) => what },
    ],
    colour,
  )
  return `${lines}\nNone of them is served. To remove one again: shardgate tenant purge <id> --revived\n`
}
