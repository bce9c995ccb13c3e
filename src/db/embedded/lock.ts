/** One Shardgate at a time on a data folder: a lock file that a dead process cannot hold. */

import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../../base/errors.ts'
import { birthOf, isAlive } from './processes.ts'

interface Holder {
  readonly pid: number
  /** See `birthOf`: tells the holder from a later process with its number. */
  readonly birth: string
}

/**
 * Take the lock of `dir`; the function that comes back gives it up.
 *
 * @throws SETUP_FAILED  a living process holds it
 */
export function takeLock(dir: string): () => void {
  const path = join(dir, 'lock')
  const mine = join(dir, `lock.${process.pid}`)
  writeFileSync(mine, JSON.stringify({ pid: process.pid, birth: birthOf(process.pid) } satisfies Holder))
  try {
    // A link appears with its content or not at all, so nobody reads a lock that is half written.
    if (tryLink(mine, path)) return () => rmSync(path, { force: true })
    refuseLiving(dir, path)
    setAside(path, `${mine}.stale`)
    if (tryLink(mine, path)) return () => rmSync(path, { force: true })
    refuseLiving(dir, path)
    return fail('SETUP_FAILED', `The data in ${dir} are being opened by several at once. Run this again.`)
  } finally {
    rmSync(mine, { force: true })
  }
}

function tryLink(from: string, path: string): boolean {
  try {
    linkSync(from, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function refuseLiving(dir: string, path: string): void {
  const holder = readHolder(path)
  if (!holder || !isAlive(holder.pid) || birthOf(holder.pid) !== holder.birth) return
  fail(
    'SETUP_FAILED',
    `Another Shardgate (process ${holder.pid}) is using the data in ${dir}. ` +
      'Stop that one first, or name another folder: SHARDGATE_DATA=./other npm start',
    { pid: holder.pid },
  )
}

// Two that find the same dead lock must not both remove it, or the second removes the first one's
// new lock. A rename has one winner; a winner that moved a living lock puts it back.
function setAside(path: string, aside: string): void {
  try {
    renameSync(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return
  }
  const holder = readHolder(aside)
  if (holder && isAlive(holder.pid) && birthOf(holder.pid) === holder.birth) tryLink(aside, path)
  rmSync(aside, { force: true })
}

function readHolder(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined // Gone, or torn by a full disk: held by nobody.
  }
}
