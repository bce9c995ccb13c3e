/** `shardgate doctor`: what is wrong, why it matters, and what to type. */

import type { Command } from 'commander'
import { fail } from '../base/errors.ts'
import { diagnose } from '../control/doctor.ts'
import { configOf, type MakeContext, ownerUrlOf } from './context.ts'
import { findingsText } from './doctor-text.ts'

export function addDoctorCommand(program: Command, contextOf: MakeContext): void {
  program
    .command('doctor')
    .description(
      'Examine the directory and every shard. Changes nothing; exit status 3 when anything is unsafe.',
    )
    .option('--full', 'tell every finding with its SQL, also when there are many')
    .option('--strict', 'exit status 3 also when there is only something to consider')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate doctor\n  shardgate doctor --strict -o json | jq \'.[] | select(.severity == "unsafe")\'',
    )
    .action(async (options: { readonly full?: true; readonly strict?: true }, command: Command) => {
      const context = contextOf(command)
      const config = configOf(context)
      const findings = await diagnose({
        directoryUrl: config.directory.url,
        buckets: config.router.buckets,
        tenancy: config.tenancy,
        shards: Object.entries(config.shards).map(([key, shard]) => ({
          key,
          appUrl: shard.url,
          ownerUrl: ownerUrlOf(key, shard),
        })),
      })
      context.print(findings, (found, colour) => findingsText(found, { full: options.full ?? false, colour }))
      const unsafe = findings.filter(({ severity }) => severity === 'unsafe').length
      const advice = findings.filter(({ severity }) => severity === 'advice').length
      if (unsafe === 0 && !(options.strict && advice > 0)) return
      const hint = findings.some(({ adopt }) => adopt)
        ? 'Let "shardgate adopt" write a migration; mend what it leaves, with the SQL that stands below it.'
        : 'Mend what is named above: with the SQL that stands below it, where there is some.'
      fail('SHARD_UNSAFE', `${unsafe} unsafe, ${advice} to consider.`, {}, { hint })
    })
}
