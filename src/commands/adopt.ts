/** `shardgate adopt`: a migration that makes existing tables safe to serve, while they are used. */

import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Config } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import { systemClock } from '../base/time.ts'
import { type AdoptionDraft, draftAdoption } from '../control/adopt-survey.ts'
import { type CommandContext, configOf, type MakeContext, ownerUrlOf } from './context.ts'
import { visible } from './print.ts'

const APP_ROLE = 'shardgate_app'

export function addAdoptCommand(program: Command, contextOf: MakeContext): void {
  program
    .command('adopt')
    .description(
      'Write a migration that mends what "doctor" finds in the tables of all shards, made to run while they are ' +
        'used. Changes no database.',
    )
    .option('-f, --file <path>', 'write to this new file, or into this folder; default is to print it')
    .addHelpText(
      'after',
      '\nExamples:\n  shardgate adopt\n  shardgate adopt -f ./migrations\n  shardgate setup --migrations ./migrations',
    )
    .action(async (options: { readonly file?: string }, command: Command) => {
      const context = contextOf(command)
      const draft = await draftOf(configOf(context))
      const file = draft.text !== undefined && options.file ? write(options.file, draft.text) : undefined
      tell(context, draft, file)
    })
}

function draftOf({ shards, tenancy }: Config): Promise<AdoptionDraft> {
  const access = Object.entries(shards).map(([key, shard]) => ({ key, url: ownerUrlOf(key, shard) }))
  return draftAdoption(access, { ...tenancy, appRole: APP_ROLE })
}

/** @throws USAGE  the file is there already, or cannot be written */
function write(path: string, text: string): string {
  const file = isFolder(path) ? join(path, `${versionNow()}_adopt.sql`) : path
  try {
    writeFileSync(file, text, { flag: 'wx' })
    return file
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST'
    const why = exists ? 'it is there already, and is not overwritten' : (cause as Error).message
    return fail('USAGE', `${file} was not written: ${why}.`, {}, { cause })
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** The fourteen digits that a migration's name begins with. */
function versionNow(): string {
  return new Date(systemClock.now()).toISOString().replace(/\D/g, '').slice(0, 14)
}

function tell({ terminal, options, print }: CommandContext, draft: AdoptionDraft, file?: string): void {
  if (options.output === 'json') print({ ...draft, ...(file !== undefined && { file }) }, () => '')
  else if (draft.text !== undefined && file === undefined) terminal.out(draft.text)
  const remarks = [
    ...(draft.text === undefined ? ['There is nothing that a migration could mend.'] : []),
    ...(file === undefined
      ? []
      : [`Wrote ${file}. Read it, then run "shardgate setup --migrations <folder>".`]),
    ...draft.orphaned.map((table) => `${table} holds rows without a tenant: see the head of the migration.`),
    ...(draft.byHand > 0 ? [`${draft.byHand} findings take a person: "shardgate doctor" names them.`] : []),
  ]
  for (const remark of remarks) terminal.err(`${visible(remark)}\n`)
}
