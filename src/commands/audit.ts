/** `shardgate audit`: who did what, and whether somebody has changed the log of it. */

import { type Command, Option } from 'commander'
import { fail } from '../base/errors.ts'
import { tenantId } from '../base/ids.ts'
import { onDirectory } from '../control/reach.ts'
import {
  type AuditHead,
  type AuditRecord,
  type AuditVerdict,
  auditHead,
  readAudit,
  verifyAudit,
} from '../directory/audit.ts'
import { configOf, type MakeContext } from './context.ts'
import { wholeNumber } from './parse.ts'
import { table } from './print.ts'

export function addAuditCommands(program: Command, contextOf: MakeContext): void {
  const audit = program
    .command('audit')
    .description('The log of what operators did: read it, and see whether it was changed.')

  audit
    .command('show')
    .description('Show the latest entries, and the head of the chain, which is worth keeping elsewhere.')
    .option('--tenant <id>', 'of one tenant alone')
    .addOption(
      new Option('--limit <number>', 'entries at most').default(50).argParser(wholeNumber(1, 100_000)),
    )
    .addHelpText('after', '\nExamples:\n  shardgate audit show\n  shardgate audit show --tenant acme -o json')
    .action(async ({ tenant, limit }: { tenant?: string; limit: number }, command: Command) => {
      const context = contextOf(command)
      const question = { limit, ...(tenant !== undefined && { tenant: tenantId(tenant) }) }
      const shown = await onDirectory(configOf(context).directory.url, async (directory) => ({
        entries: await readAudit(directory, question),
        head: headText(await auditHead(directory)),
      }))
      context.print(shown, showText)
    })

  audit
    .command('verify')
    .description(
      'Follow the chain from its first entry; a head that was kept shows an end that was cut or rewritten.',
    )
    .option('--head <number:hash>', 'a head that "audit show" has printed before')
    .addHelpText('after', '\nExamples:\n  shardgate audit verify\n  shardgate audit verify --head 318:9f0c…')
    .action(async ({ head }: { head?: string }, command: Command) => {
      const context = contextOf(command)
      const kept = head === undefined ? undefined : headOf(head)
      const { url } = configOf(context).directory
      const verdict = await onDirectory(url, (directory) => verifyAudit(directory, kept))
      if (verdict.kind !== 'intact') fail('REFUSED', sentenceOf(verdict), {}, { hint: NEXT })
      context.print(verdict, () => `${sentenceOf(verdict)}\n`)
    })
}

const NEXT = 'Restore the directory from a backup beside it, and compare "audit show -o json" of both.'

function headOf(text: string): AuditHead {
  const [, no, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? []
  if (no !== undefined && hash !== undefined) return { no: Number(no), hash }
  return fail(
    'USAGE',
    `--head wants <number>:<hash> as "audit show" prints it; ${JSON.stringify(text)} came.`,
  )
}

const headText = (head: AuditHead | null): string | null => (head ? `${head.no}:${head.hash}` : null)

function sentenceOf(verdict: AuditVerdict): string {
  switch (verdict.kind) {
    case 'intact':
      return `All ${verdict.entries} entries are as they were written. Head: ${headText(verdict.head) ?? 'none'}`
    case 'altered':
      return `Entry ${verdict.no} is not what it was when it was written.`
    case 'broken':
      return `The chain is broken before entry ${verdict.no}: an entry was taken out, put in or put elsewhere.`
    case 'cut':
      return `The log ends with entry ${verdict.entries}; entry ${verdict.no}, whose hash was kept, is gone.`
    case 'rewritten':
      return `Entry ${verdict.no} is not the one whose hash was kept: the log was written anew.`
  }
}

interface Shown {
  readonly entries: readonly AuditRecord[]
  readonly head: string | null
}

function showText({ entries, head }: Shown, colour: boolean): string {
  if (entries.length === 0) return 'The log is empty.\n'
  const lines = table(
    entries,
    [
      { title: 'no', cell: ({ no }) => no },
      { title: 'at', cell: ({ at }) => at },
      { title: 'operator', cell: ({ operator }) => operator },
      { title: 'action', cell: ({ action }) => action },
      { title: 'tenant', cell: ({ tenant }) => tenant },
      { title: 'details', cell: ({ details }) => JSON.stringify(details) },
    ],
    colour,
  )
  return `${lines}\nHead: ${head ?? 'none'}\n`
}
