/** `shardgate doctor`: what is wrong, why it matters, and what to type. */

import type { Command } from 'commander'
import { fail } from '../base/errors.ts'
import { type Diagnosis, diagnose } from '../control/doctor.ts'
import { configOf, type MakeContext, ownerUrlOf } from './context.ts'
import { visible } from './print.ts'

export function addDoctorCommand(program: Command, contextOf: MakeContext): void {
  program
    .command('doctor')
    .description(
      'Examine the directory and every shard. Changes nothing; exit status 3 when anything is unsafe.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate doctor\n  shardgate doctor -o json | jq \'.[] | select(.severity == "unsafe")\'',
    )
    .action(async (_options, command: Command) => {
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
      context.print(findings, findingsText)
      const unsafe = findings.filter(({ severity }) => severity === 'unsafe').length
      if (unsafe === 0) return
      const hint = 'Mend what is named above: with the SQL that stands below it, where there is some.'
      fail('SHARD_UNSAFE', `${unsafe} unsafe, ${findings.length - unsafe} to consider.`, {}, { hint })
    })
}

function findingsText(findings: readonly Diagnosis[]): string {
  if (findings.length === 0) return 'Nothing is wrong.\n'
  return `${findings.map(findingText).join('\n\n')}\n`
}

function findingText({ where, table, check, severity, reason, sql }: Diagnosis): string {
  const head = `${severity}  ${where}${table ? `  ${table}` : ''}  ${check}`
  const lines = [head, `  ${reason}`, ...(sql?.split('\n').map((line) => `    ${line}`) ?? [])]
  return lines.map(visible).join('\n')
}
