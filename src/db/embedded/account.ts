/**
 * The operating system account that Postgres runs as.
 *
 * Postgres refuses to run as root, so when we are root the servers run as `postgres`, else as
 * `nobody`: no account is ever created. All that such an account reads and writes has to lie where
 * it may enter, which a folder under root's own home does not.
 */

import { spawnSync } from 'node:child_process'
import { chmodSync, lchownSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fail } from '../../base/errors.ts'

export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

const WANTED = ['postgres', 'nobody']

/**
 * The account to switch to, or undefined when we are not root and need none.
 *
 * @param uid     our own user id; undefined on Windows
 * @param passwd  text of the system's list of accounts
 * @throws SETUP_FAILED  we are root and neither `postgres` nor `nobody` exists
 */
export function serverAccount(
  uid: number | undefined = process.getuid?.(),
  passwd: string = uid === 0 ? readFileSync('/etc/passwd', 'utf8') : '',
): Account | undefined {
  if (uid !== 0) return undefined
  const accounts = passwd.split('\n').map(parseLine)
  const found = WANTED.map((name) => accounts.find((account) => account.name === name && account.uid > 0))
  return (
    found.find((account) => account !== undefined) ??
    fail(
      'SETUP_FAILED',
      'Postgres refuses to run as root, and this system has no account "postgres" or "nobody" to run it as. ' +
        'Run this as an ordinary user, or type: useradd --system postgres',
    )
  )
}

function parseLine(line: string): Account {
  const [name = '', , uid = '', gid = ''] = line.split(':')
  return { name, uid: Number(uid), gid: Number(gid) }
}

/** The account that already owns `path`, where it is not root: data stay with whoever made them. */
export function ownerOf(path: string): Account | undefined {
  const { uid, gid } = statSync(path)
  return uid === 0 ? undefined : { name: `uid ${uid}`, uid, gid }
}

/** What `spawn` needs to run a program as `account`. */
export function spawnAs(account: Account | undefined): { uid?: number; gid?: number } {
  return account ? { uid: account.uid, gid: account.gid } : {}
}

/**
 * Whether `account` may enter the folder or run the program `path`. A shell run as that account
 * answers, because mode bits alone do not know of access lists and mount options.
 */
export function mayEnter(account: Account | undefined, path: string): boolean {
  if (!account) return true
  const answer = spawnSync('/bin/sh', ['-c', 'test -x "$0" && test -r "$0"', path], {
    ...spawnAs(account),
    cwd: '/',
    env: {},
  })
  return answer.status === 0
}

/** Make `path` and its parents; those made here can be entered by others, whatever the umask says. */
export function makeFolder(path: string): void {
  const first = mkdirSync(path, { recursive: true })
  if (first === undefined || process.platform === 'win32') return
  for (let at = path; at.length >= first.length; at = dirname(at)) chmodSync(at, 0o755)
}

/** Give `path`, and not what is in it, to `account`; nothing to do when we run as ourselves. */
export function giveTo(account: Account | undefined, path: string): void {
  if (account) lchownSync(path, account.uid, account.gid)
}

/** As `giveTo`, with all that is in it: for what nobody else uses yet. */
export function giveAllTo(account: Account | undefined, path: string): void {
  if (!account) return
  const below = readdirSync(path, { recursive: true, encoding: 'utf8' })
  for (const entry of ['', ...below]) giveTo(account, join(path, entry))
}
