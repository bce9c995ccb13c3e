/** Removes a folder of embedded servers, with the data that it may point to elsewhere. */

import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

export function removeEmbedded(dir: string): void {
  const pointer = join(dir, 'location.json')
  if (existsSync(pointer)) {
    const { home } = JSON.parse(readFileSync(pointer, 'utf8'))
    for (const path of [home, `${home}.left-over`]) rmSync(path, { recursive: true, force: true })
  }
  rmSync(dir, { recursive: true, force: true })
}
