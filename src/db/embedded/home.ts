/**
 * Where the data lie: in the folder that was asked for, or, where the server's account may not enter
 * that one (a checkout under root's home), in a system folder that it points to.
 *
 *     <dir>/lock  <dir>/location.json
 *     <home>/superuser-password  ports.json  data/<name>/  log/<name>.log
 */

import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fail } from '../../base/errors.ts'
import { type Account, makeFolder, mayEnter, ownerOf, serverAccount } from './account.ts'

export type Report = (sentence: string) => void

export interface Home {
  readonly path: string
  /** Undefined when the servers run as ourselves. */
  readonly account: Account | undefined
}

export const dataFolder = (home: Home, name = ''): string => join(home.path, 'data', name)
export const logFile = (home: Home, name: string): string => join(home.path, 'log', `${name}.log`)

/** Find or make the home of `dir`, which must exist and be locked. Throws SETUP_FAILED. */
export function openHome(dir: string, report: Report): Home {
  const account = accountFor(dir)
  if (!account || mayEnter(account, dir)) return { path: dir, account }
  const path = pointedHome(dir, report) ?? newHome(dir, account, report)
  report(`The data are in ${path}, because the account "${account.name}" may not enter ${dir}.`)
  return { path, account: accountFor(path) }
}

/** Data stay with the account that made them; where there are none yet, ours decides. */
function accountFor(home: string): Account | undefined {
  const data = join(home, 'data')
  const uid = process.getuid?.()
  if (uid === undefined || !existsSync(data)) return serverAccount()
  const owner = ownerOf(data)
  if (uid === 0) return owner ?? serverAccount()
  if (owner?.uid === uid) return undefined
  return fail(
    'SETUP_FAILED',
    `The data in ${home} belong to another account (${owner?.name ?? 'root'}). Start as that one, ` +
      `or remove them to begin anew: sudo rm -r ${home}`,
  )
}

function pointedHome(dir: string, report: Report): string | undefined {
  const pointer = join(dir, 'location.json')
  if (!existsSync(pointer)) return undefined
  const { home } = JSON.parse(readFileSync(pointer, 'utf8'))
  if (existsSync(home)) return home
  report(`The data in ${home} are gone, so everything is made anew.`)
  return undefined
}

function newHome(dir: string, account: Account, report: Report): string {
  const path = join(systemFolder(account), createHash('sha256').update(dir).digest('hex').slice(0, 16))
  if (existsSync(path)) setAside(path, report)
  makeFolder(path)
  writeFileSync(join(dir, 'location.json'), `${JSON.stringify({ home: path })}\n`)
  return path
}

// Data that nothing points to any more: their folder was deleted to begin anew. Nobody is asked, so
// nothing is destroyed; only the latest left-over is kept.
function setAside(path: string, report: Report): void {
  const aside = `${path}.left-over`
  rmSync(aside, { recursive: true, force: true })
  renameSync(path, aside)
  report(`Older data of a folder that was deleted are kept in ${aside}; remove them when you like.`)
}

/** A folder of ours that `account` may enter. Throws SETUP_FAILED. */
export function systemFolder(account: Account | undefined): string {
  const tried = ['/var/lib/shardgate', '/var/tmp/shardgate', join(tmpdir(), 'shardgate')]
  return (
    tried.find((path) => isOurs(path, account)) ??
    fail(
      'SETUP_FAILED',
      `None of ${tried.join(', ')} can be used for the data. Run this as an ordinary user.`,
    )
  )
}

// Anyone may make a folder in /var/tmp, and whoever owns it decides what is in it.
function isOurs(path: string, account: Account | undefined): boolean {
  try {
    makeFolder(path)
    return statSync(path).uid === process.getuid?.() && mayEnter(account, path)
  } catch {
    return false
  }
}

/**
 * The superuser's password, the same on every server of this home, made at first use.
 *
 * @throws SETUP_FAILED  there are data, but the password they were made with has been deleted
 */
export function superuserPassword(home: Home): string {
  const path = join(home.path, 'superuser-password')
  if (existsSync(path)) return readFileSync(path, 'utf8').trim()
  if (existsSync(dataFolder(home))) {
    fail('SETUP_FAILED', `${path} has been deleted. Put it back, or begin anew: rm -r ${dataFolder(home)}`)
  }
  const password = randomBytes(24).toString('hex')
  writeFileSync(path, `${password}\n`, { mode: 0o600 })
  return password
}
