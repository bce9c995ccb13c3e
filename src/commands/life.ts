/**
 * `shardgate tenant`: what happens to a tenant after its creation: changed, closed and opened, put into quarantine and
 * brought back, erased for good.
 */

import { type Command, Option } from 'commander'
import { LIMIT_NAMES } from '../base/config-limits.ts'
import { tenantId } from '../base/ids.ts'
import { type SetResult, setTenant } from '../control/life/set.ts'
import { changeState, type StateChange, type StateInput, type StateResult } from '../control/life/state.ts'
import { configOf, fleetOf, type MakeContext } from './context.ts'
import { wholeNumber } from './parse.ts'
import { changesOf, type SetOptions } from './tenant-changes.ts'

/** @param tenant  the group `tenant` of the command line */
export function addLifeCommands(tenant: Command, contextOf: MakeContext): void {
  addSet(tenant, contextOf)
  for (const verb of VERBS) addStateCommand(tenant, contextOf, verb)
}

function addSet(tenant: Command, contextOf: MakeContext): void {
  tenant
    .command('set')
    .argument('<id>', 'a tenant')
    .description(
      'Change what is known of a tenant: only what is named, and gateways hear of it within a second.',
    )
    .option('--name <name>', 'name for people')
    .option('--subdomain <label>', 'host label under http.baseDomain')
    .option('--plan <plan>', 'plan; how the tenant is kept on its shard stays as it is')
    .option(
      '--settings <json>',
      'keys of settings as JSON, or @file: they replace those of the same name, null removes',
    )
    .addOption(
      new Option(
        '--feature <sign and name>',
        'a feature to switch on or off; may come several times',
      ).argParser((word, words: string[] = []) => [...words, word]),
    )
    .addOption(
      new Option(
        '--limit <name=number>',
        'a limit of its own over that of its plan; may come several times',
      ).argParser((word, words: string[] = []) => [...words, word]),
    )
    .addOption(
      new Option('--no-limit <name>', 'take a limit of its own away: that of its plan holds').argParser(
        (name, words: string[] = []) => [...words, `-${name}`],
      ),
    )
    .option(
      '--unchanged-since <time>',
      'refuse when it was changed after this time, which "tenant set" prints',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate tenant set acme --name "Acme Inc." --plan gold\n' +
        '  shardgate tenant set acme --feature +beta --feature -legacy\n' +
        '  shardgate tenant set acme --settings \'{"branding": {"colour": "#b00"}}\'\n' +
        '  shardgate tenant set acme --settings @acme.json\n' +
        '  shardgate tenant set acme --limit requestsPerMinute=6000 --limit depth=14\n' +
        '  shardgate tenant set acme --no-limit depth\n\n' +
        `Limits: ${LIMIT_NAMES.join(', ')}.\n` +
        'All users of a tenant can read its settings (currentTenant); never put a secret there.',
    )
    .action(async (id: string, options: SetOptions, command: Command) => {
      const context = contextOf(command)
      const [wanted, changes] = [tenantId(id), changesOf(options)]
      context.print(await setTenant(fleetOf(configOf(context)), wanted, changes), setText)
    })
}

function setText({ tenant, changed, changedAt }: SetResult): string {
  if (changed.length === 0) return `${tenant} is so already; nothing was changed.\n`
  return `Changed of ${tenant}: ${changed.join(', ')}.\nFor the next change: --unchanged-since "${changedAt}"\n`
}

interface Verb {
  readonly name: StateChange
  readonly description: string
  readonly note: string
}

const VERBS: readonly Verb[] = [
  {
    name: 'suspend',
    description: 'Refuse every request of a tenant, at its shard, from this moment on.',
    note: 'Requests are refused with TENANT_SUSPENDED. The way back: shardgate tenant resume',
  },
  { name: 'resume', description: 'Let a suspended or read-only tenant work again.', note: 'It works again.' },
  {
    name: 'read-only',
    description: 'Let a tenant read, and refuse its writes.',
    note: 'Writes are refused with TENANT_READ_ONLY. The way back: shardgate tenant resume',
  },
  {
    name: 'offboard',
    description: 'Put a tenant into quarantine: refused, complete, and restorable until it is purged.',
    note: 'The way back: shardgate tenant restore',
  },
  {
    name: 'restore',
    description: 'Take a tenant out of its quarantine: it is what it was before.',
    note: 'It is what it was before its quarantine.',
  },
]

function addStateCommand(tenant: Command, contextOf: MakeContext, verb: Verb): void {
  const { name, description } = verb
  const command = tenant
    .command(name)
    .argument('<id>', 'a tenant')
    .description(description)
    .option('--reason <text>', 'why, for those who look at the operation later')
    .addHelpText('after', `\nExamples:\n${examplesOf(name)}`)
  if (name === 'offboard') {
    const days = new Option('--days <number>', 'days of quarantine (default: quarantineDays)')
    command.addOption(days.argParser(wholeNumber(0, 3_650)))
  }
  command.action(async (id: string, options: StateInput, command: Command) => {
    const context = contextOf(command)
    const wanted = tenantId(id)
    const { reason, days } = options
    const input = { ...(reason !== undefined && { reason }), ...(days !== undefined && { days }) }
    const fleet = fleetOf(configOf(context))
    const result = await changeState(fleet, name, wanted, input)
    context.print(result, () => stateText(result, verb))
  })
}

function examplesOf(name: StateChange): string {
  const plain = `  shardgate tenant ${name} acme`
  if (name === 'offboard') return `${plain}\n${plain} --days 90 --reason "contract ended"`
  return name === 'restore' ? plain : `${plain} --reason "invoice 4711 is open"`
}

function stateText({ tenant, from, to, changed, purgeAfter }: StateResult, { note }: Verb): string {
  if (!changed) return `${tenant} is ${to} already; nothing was changed.\n`
  const until = purgeAfter === null ? '' : `It may be purged from ${purgeAfter} on.\n`
  const way = note.includes('shardgate') ? `${note} ${tenant}` : note
  return `${tenant} was ${from} and is ${to}.\n${until}${way}\n`
}
