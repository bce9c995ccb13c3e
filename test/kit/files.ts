/** What a folder holds, as lines: names, sizes and hashes. */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** @param varying  files whose names match are listed without their content */
export function filesOf(folder: string, varying?: RegExp): string[] {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  return entries
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      const name = path.slice(folder.length + 1)
      if (entry.isDirectory()) return `folder ${name}`
      if (varying?.test(name)) return `file ${name}`
      return `file ${name} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`
    })
    .sort()
}
