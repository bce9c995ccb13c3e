/** `shardgate usage`: what tenants use, out of the ledger of the directory. */

import { type Command, Option } from 'commander'
import { fail } from '../base/errors.ts'
import { tenantId } from '../base/ids.ts'
import { systemClock } from '../base/time.ts'
import { type Fleet, onDirectory } from '../control/reach.ts'
import { type MeasuredShard, measureBySchedule, measureStorage } from '../control/usage/storage.ts'
import { findTenant } from '../directory/tenants.ts'
import {
  type Between,
  FORMS,
  GRAINS,
  type Grain,
  type Span,
  spanBetween,
} from '../directory/usage-periods.ts'
import {
  type ExportedUsage,
  exportUsage,
  type Figures,
  readStorage,
  readUsage,
  topUsage,
} from '../directory/usage-reports.ts'
import { type CommandContext, configOf, fleetOf, type MakeContext } from './context.ts'
import { wholeNumber } from './parse.ts'
import { terminalProgress } from './progress.ts'
import { stoppable } from './stopping.ts'
import { CSV_HEAD, csvLine, measuredText, topText, usageText } from './usage-text.ts'

export function addUsageCommands(program: Command, contextOf: MakeContext): void {
  const usage = program.command('usage').description('What tenants use. All times are in UTC.')
  addShow(usage, contextOf)
  addTop(usage, contextOf)
  addExport(usage, contextOf)
  addMeasure(usage, contextOf)
}

const between = (command: Command): Command =>
  command
    .option('--from <time>', `from then on: ${FORMS} (default: the beginning of the month)`)
    .option('--to <time>', 'up to its end (default: now)')

const byOption = (fallback: Grain): Option =>
  new Option('--by <period>', 'length of a period').choices(GRAINS).default(fallback)

/** @throws USAGE  one of them is no time, or they are the wrong way round */
function spanOfOptions(options: Between): Span {
  const span = spanBetween(options, systemClock.now())
  return typeof span === 'string' ? fail('USAGE', `--from, --to: ${span}`) : span
}

interface ShowOptions extends Between {
  readonly by: Grain
}

function addShow(usage: Command, contextOf: MakeContext): void {
  between(usage.command('show').argument('<tenant>', 'its id').description('What one tenant has used.'))
    .addOption(byOption('day'))
    .addHelpText(
      'after',
      `
Examples:
  shardgate usage show acme
  shardgate usage show acme --from 2026-01 --by month
  shardgate usage show acme --from 2026-10-31 --to 2026-10-31 --by hour -o json`,
    )
    .action(async (id: string, { by, ...options }: ShowOptions, command: Command) => {
      const context = contextOf(command)
      const [tenant, span] = [tenantId(id), spanOfOptions(options)]
      const shown = await onDirectory(configOf(context).directory.url, async (directory) => {
        if (!(await findTenant(directory, tenant))) {
          const hint = 'See "shardgate tenant list".'
          fail('TENANT_UNKNOWN', `There is no tenant "${tenant}".`, { tenant }, { hint })
        }
        const used = await readUsage(directory, tenant, { span, by })
        return { ...used, storage: await readStorage(directory, tenant) }
      })
      context.print(shown, usageText)
    })
}

/** Words of `--by`, and what they rank by. */
const RANKS: Readonly<Record<string, keyof Figures>> = {
  cost: 'cost',
  requests: 'requests',
  operations: 'operations',
  errors: 'errors',
  database: 'databaseMs',
  rows: 'rows',
  in: 'bytesIn',
  out: 'bytesOut',
  hits: 'cacheHits',
  users: 'activeUsers',
  storage: 'storageBytes',
}

interface TopOptions extends Between {
  readonly by: string
  readonly limit: number
}

function addTop(usage: Command, contextOf: MakeContext): void {
  between(usage.command('top').description('Who has used the most.'))
    .addOption(
      new Option('--by <figure>', 'what is compared').choices(Object.keys(RANKS)).default('database'),
    )
    .addOption(new Option('--limit <number>', 'tenants').default(10).argParser(wholeNumber(1, 10_000)))
    .addHelpText(
      'after',
      `
Days that are known by month alone count where their whole month is asked for.

Examples:
  shardgate usage top
  shardgate usage top --by cost --from 2026-10-31T22
  shardgate usage top --by storage --from 2026-01 --limit 50 -o json`,
    )
    .action(async ({ by, limit, ...options }: TopOptions, command: Command) => {
      const context = contextOf(command)
      const span = spanOfOptions(options)
      const question = { span, by: RANKS[by] ?? 'databaseMs', limit }
      const { url } = configOf(context).directory
      const found = await onDirectory(url, (directory) => topUsage(directory, question))
      context.print(found, (tenants, colour) => topText(tenants, span, colour))
    })
}

interface ExportOptions extends ShowOptions {
  readonly csv?: true
}

function addExport(usage: Command, contextOf: MakeContext): void {
  between(
    usage
      .command('export')
      .description('What all tenants have used, a line for each and each period, with exact figures.'),
  )
    .addOption(byOption('month'))
    .option('--csv', 'as CSV, which it is unless --output says json')
    .addHelpText(
      'after',
      `
Examples:
  shardgate usage export --csv > october.csv
  shardgate usage export --csv --from 2026-10 --to 2026-10
  shardgate usage export --from 2026-10-01 --by day -o json`,
    )
    .action(async ({ by, csv, ...options }: ExportOptions, command: Command) => {
      const context = contextOf(command)
      const question = { span: spanOfOptions(options), by }
      const asJson = context.options.output === 'json' && !csv
      await onDirectory(configOf(context).directory.url, async (directory) => {
        const all: ExportedUsage[] = []
        if (!asJson) context.terminal.out(CSV_HEAD)
        for await (const page of exportUsage(directory, question)) {
          if (asJson) all.push(...page)
          else context.terminal.out(page.map(csvLine).join(''))
        }
        if (asJson) context.print(all, () => '')
      })
    })
}

function addMeasure(usage: Command, contextOf: MakeContext): void {
  usage
    .command('measure')
    .description(
      'Measure what tenants hold on the shards, and write it into the ledger: now, or by a schedule.',
    )
    .option('--schedule <cron>', 'as a job whenever this is due, in UTC, until SIGTERM')
    .addHelpText(
      'after',
      `
Once a day, at a quiet hour, is enough. Of several processes with a schedule, one measures each time.

Examples:
  shardgate usage measure
  shardgate usage measure --schedule '17 3 * * *'`,
    )
    .action(async ({ schedule }: { schedule?: string }, command: Command) => {
      const context = contextOf(command)
      const fleet = fleetOf(configOf(context))
      if (schedule === undefined) return measureNow(fleet, context)
      const told = (shards: readonly MeasuredShard[]): void => context.print(shards, measuredText)
      const ending = (): void => context.terminal.err('Ending when what is under way has ended.\n')
      await stoppable(ending, (stop) => measureBySchedule(fleet, { cron: schedule, told, stop }))
    })
}

async function measureNow(fleet: Fleet, context: CommandContext): Promise<void> {
  const progress = terminalProgress()
  const move = progress.moving('measuring')
  const told = (done: number, total: number): void => move('tenants', done, total)
  const shards = await measureStorage(fleet, told).finally(progress.still)
  context.print(shards, measuredText)
  const away = shards.filter(({ error }) => error !== undefined).map(({ shard }) => shard)
  if (away.length > 0) fail('SHARD_UNAVAILABLE', `Not all could be measured: ${away.join(', ')}.`)
}
