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
import { configurationPage } from './configuration-page.ts'
import { errorsPage } from './errors-page.ts'

/** Path from the top of the repository → text. */
export function printedPages(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/errors.md', errorsPage()],
    ['docs/configuration.md', configurationPage()],
    ['docs/shards.config.schema.json', schemaText()],
  ])
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
