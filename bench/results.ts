/** Where results are kept: a file for people and one for programs. Runs of a part do not overwrite those of the whole. */

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
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
