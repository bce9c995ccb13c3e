/**
 * The pages that are printed from the code: the error table, the configuration, its JSON Schema.
 *
 * They are made from the tables themselves, so that no list is kept twice. printed.test.ts refuses what
 * has drifted; this writes them again:
 *
 *     npm run docs
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configJsonSchema } from '../../src/base/config-schema.ts'
import { ERRORS } from '../../src/base/errors.ts'
import { configurationPage } from './configuration-page.ts'
import { table } from './markdown.ts'

/** Path from the top of the repository → text. */
export function printedPages(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/errors.md', errorsPage()],
    ['docs/configuration.md', configurationPage()],
    ['docs/shards.config.schema.json', schemaText()],
  ])
}

const EXITS = { 1: '1 failed', 2: '2 usage', 3: '3 refused' } as const

function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(([code, { status, retryable, exit, hint }]) => [
    `\`${code}\``,
    String(status),
    retryable ? 'yes' : '',
    EXITS[exit],
    hint,
  ])
  return `# Errors

<!-- Printed from src/base/errors.ts by "npm run docs"; do not edit. -->

Every error that Shardgate raises on purpose has one of these codes. A code keeps its meaning for ever.

Over GraphQL a code stands in \`errors[].extensions.code\`, beside \`retryable\`, \`hint\`, \`requestId\` and,
where there is more to say, \`details\`: what was wanted and what came, never row data and never a secret.
A request that is refused as a whole, before anything of it has run, also has the HTTP status below. Once
execution has begun the status is 200 and each error names the \`path\` of its field. Two rules come from
GraphQL over HTTP: a client that asks for \`application/json\` gets 200 for \`GRAPHQL_PARSE_FAILED\`,
\`GRAPHQL_VALIDATION_FAILED\` and \`BAD_USER_INPUT\`, and a client that asks for
\`application/graphql-response+json\` gets the status of the table.

A broken constraint (unique, foreign key, not null, check, exclusion) is no error of this table: it is an
answer of the mutation, the type \`ConstraintError\`, because forms need it.

*Retry* says whether the same request may succeed later without being changed. *Exit* is the exit status of
the command line when a command ends with this code; success is 0.

${table(['code', 'HTTP', 'retry', 'exit', 'what to do'], rows)}
`
}

/** As the formatter of this repository leaves it: short lists of plain values on one line. */
function schemaText(): string {
  const text = JSON.stringify(configJsonSchema(), null, 2)
  const folded = text.replaceAll(
    /^( *)(.*)\[\n\s*([^[\]{}]*?)\n\s*\](,?)$/gm,
    (whole, indent, key, items, comma) => {
      const line = `${indent}${key}[${items.replaceAll(/\n\s*/g, ' ')}]${comma}`
      return line.length <= 110 ? line : whole
    },
  )
  return `${folded}\n`
}

if (process.argv[1] === import.meta.filename) {
  for (const [path, text] of printedPages()) {
    writeFileSync(join(import.meta.dirname, '../..', path), text)
    console.log(path)
  }
}
