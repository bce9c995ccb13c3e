/** Where results are kept: a file for people and one for programs. Runs of a part do not overwrite those of the whole. */

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'

const FOLDER = join(import.meta.dirname, 'results')

/** @returns the path of the file for people */
export function keepResults(name: string, markdown: string, data: object): string {
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(join(FOLDER, `${name}.json`), `${JSON.stringify(data, null, 2)}\n`)
  const file = join(FOLDER, `${name}.md`)
  writeFileSync(file, markdown)
  return file
}

const PAGE = join(import.meta.dirname, '../docs/performance.md')

/** Put figures into their place on the page, between the two comments that name it; headings go a level down. */
export function showOnPage(name: string, markdown: string): void {
  const [begin, end] = [`<!-- figures: ${name} -->`, `<!-- end: ${name} -->`]
  const [before, rest = ''] = readFileSync(PAGE, 'utf8').split(begin)
  const [, after] = rest.split(end)
  if (after === undefined)
    throw new Error(`${PAGE} has no place for the figures "${name}": ${begin} … ${end}`)
  const figures = markdown.trim().replaceAll(/^## /gm, '### ')
  writeFileSync(PAGE, `${before}${begin}\n\n${figures}\n\n${end}${after}`)
}

/** What a reader has to know of the machine. */
export function machineLines(): string[] {
  const [cpu] = cpus()
  const gigabytes = Math.round(totalmem() / 2 ** 30)
  return [
    `${cpus().length} cores (${cpu?.model.trim()}), ${gigabytes} GiB, shared by load, servers and Postgres`,
    `Node ${process.versions.node}, Postgres 18, commit ${commit()}`,
  ]
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { cwd: FOLDER, stdio: 'pipe' })
      .toString()
      .trim()
  } catch {
    return 'unknown' // Not a checkout.
  }
}
