/** `shardgate tenant advise`: which isolation model suits a tenant, and why. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import { fail } from '../base/errors.ts'
import { tenantId } from '../base/ids.ts'
import { CRITERIA, sizeText, type Wishes } from '../control/advise.ts'
import { adviseFleet, adviseTenant, type TenantAdvice } from '../control/advise-tenants.ts'
import { configOf, fleetOf, type MakeContext } from './context.ts'
import { table } from './print.ts'
import { terminalProgress } from './progress.ts'

interface AdviseOptions {
  readonly all?: true
  readonly compliance?: true
  readonly customTables?: true
  readonly region?: string
  readonly growth?: number
}

/** @param tenant  the group `tenant` */
export function addAdviseCommand(tenant: Command, contextOf: MakeContext): void {
  tenant
    .command('advise')
    .argument('[id]', 'a tenant')
    .description('Say which isolation model suits a tenant, with figures and reasons. Changes nothing.')
    .option('--all', 'all tenants that would be better off in another model')
    .option('--compliance', 'its rules ask for data apart')
    .option('--custom-tables', 'it needs tables that others do not have')
    .option('--region <name>', 'where its data has to stay')
    .addOption(
      new Option('--growth <times>', 'how many times as large it will be in a year')
        .argParser(times)
        .conflicts('all'),
    )
    .addHelpText(
      'after',
      `
Lasting answers belong into the settings of the tenant:
  {"hosting": {"compliance": true, "customTables": false, "region": "eu", "growth": 3}}

Examples:
  shardgate tenant advise acme
  shardgate tenant advise acme --compliance --growth 10
  shardgate tenant advise --all`,
    )
    .action(async (id: string | undefined, options: AdviseOptions, command: Command) => {
      const context = contextOf(command)
      if ((id === undefined) === (options.all === undefined)) {
        fail('USAGE', `Wanted one tenant or --all; ${id === undefined ? 'neither' : 'both'} came.`)
      }
      const wanted = id === undefined ? undefined : tenantId(id)
      const fleet = fleetOf(configOf(context))
      if (wanted !== undefined) {
        context.print(await adviseTenant(fleet, wanted, wishesOf(options)), adviceText)
        return
      }
      const progress = terminalProgress()
      const move = progress.moving('measuring')
      const found = await adviseFleet(fleet, wishesOf(options), (done, total) => move('tenants', done, total))
      progress.still()
      context.print(found, listText)
    })
}

function times(text: string): number {
  const value = Number(text)
  if (/^\d{1,4}(\.\d{1,3})?$/.test(text) && value > 0) return value
  throw new InvalidArgumentError('Wanted a number above 0, such as 3 or 1.5.')
}

function wishesOf({ compliance, customTables, region, growth }: AdviseOptions): Partial<Wishes> {
  return {
    ...(compliance && { compliance }),
    ...(customTables && { customTables }),
    ...(region !== undefined && { region }),
    ...(growth !== undefined && { growth }),
  }
}

/** Tables in the text; JSON has all of them. */
const TABLES = 5

function adviceText({ facts, advice, scores, reasons, tables }: TenantAdvice, colour: boolean): string {
  const matrix = table(
    scores,
    [
      { title: 'model', cell: ({ model }) => model },
      ...CRITERIA.map((criterion) => ({
        title: criterion,
        cell: ({ points }: (typeof scores)[number]) => points[criterion],
      })),
      { title: 'total', cell: ({ total }) => total },
      { title: '', cell: ({ unfit, model }) => unfit ?? (model === advice ? '<- advice' : '') },
    ],
    colour,
  )
  const largest = table(
    tables.slice(0, TABLES),
    [
      { title: 'table', cell: (size) => size.table },
      { title: 'rows', cell: ({ rows }) => rows },
      { title: 'size', cell: ({ bytes }) => sizeText(bytes) },
    ],
    colour,
  )
  const head = `${facts.tenant}: ${advice}${advice === facts.isolation ? ', as it is' : `; now ${facts.isolation}`}`
  return `${[head, matrix, ...(tables.length > 0 ? [largest] : []), reasons.join('\n')].join('\n\n').replaceAll(/\n{3,}/g, '\n\n')}\n`
}

function listText(found: readonly TenantAdvice[], colour: boolean): string {
  if (found.length === 0) return 'Every tenant is in the model that suits it.\n'
  return table(
    found,
    [
      { title: 'tenant', cell: ({ facts }) => facts.tenant },
      { title: 'shard', cell: ({ facts }) => facts.shard },
      { title: 'plan', cell: ({ facts }) => facts.plan },
      { title: 'rows', cell: ({ facts }) => facts.rows },
      { title: 'size', cell: ({ facts }) => sizeText(facts.bytes) },
      { title: 'now', cell: ({ facts }) => facts.isolation },
      { title: 'advice', cell: ({ advice }) => advice },
      { title: 'because', cell: becauseOf },
    ],
    colour,
  )
}

/** What rules out the present model, or how the totals differ. */
function becauseOf({ facts, advice, scores }: TenantAdvice): string {
  const of = (model: string) => scores.find((score) => score.model === model)!
  const [now, then] = [of(facts.isolation), of(advice)]
  return now.unfit ?? `${then.total} points instead of ${now.total}`
}
