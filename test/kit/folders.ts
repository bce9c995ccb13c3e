/**
 * Folders of embedded servers: in memory where there is room for them, and removed with what they point to.
 *
 * A database is some 300 files. Making one takes 0.03 s of a processor in memory and 0.15 to 0.45 s on ext4, which looks
 * for inode numbers that were not freed just now; a run makes more than a thousand.
 */

import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The log of each server keeps up to 512 MB, and the largest worlds as much again. */
const ROOM_BYTES = 6 * 1024 ** 3
const MEMORY = '/dev/shm'
const OURS = /^shardgate-servers-(\d+)-/

/** A new folder for servers; Postgres may run as another account than ours, so it may be entered by all. */
export function serverFolder(): string {
  const parent = hasRoom() ? MEMORY : tmpdir()
  if (parent === MEMORY) removeLeftOvers()
  const dir = mkdtempSync(join(parent, `shardgate-servers-${process.pid}-`))
  chmodSync(dir, 0o755)
  return dir
}

export function removeEmbedded(dir: string): void {
  const pointer = join(dir, 'location.json')
  if (existsSync(pointer)) {
    const { home } = JSON.parse(readFileSync(pointer, 'utf8'))
    for (const path of [home, `${home}.left-over`]) rmSync(path, { recursive: true, force: true })
  }
  rmSync(dir, { recursive: true, force: true })
}

function hasRoom(): boolean {
  if (!existsSync(MEMORY)) return false
  const { bavail, bsize } = statfsSync(MEMORY)
  return Math.min(bavail * bsize, process.availableMemory()) > ROOM_BYTES
}

/** Of runs that were killed: what lies in memory takes it until somebody removes it. */
function removeLeftOvers(): void {
  for (const name of readdirSync(MEMORY)) {
    const pid = Number(OURS.exec(name)?.[1])
    if (pid && !existsSync(`/proc/${pid}`)) rmSync(join(MEMORY, name), { recursive: true, force: true })
  }
}
