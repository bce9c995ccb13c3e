/**
 * Data folders: made under another name and renamed at the end, so that one which exists is whole.
 *
 * `initdb` takes about half a second and a copy of its result less than a tenth of that, so one
 * folder is initialised and the others are copies. They share Postgres's system identifier, which
 * matters to physical replication alone.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../../base/errors.ts'
import { giveAllTo, giveTo, makeFolder, spawnAs } from './account.ts'
import type { Binaries } from './binaries.ts'
import { dataFolder, type Home, type Report } from './home.ts'

// With our number in it: an `initdb` that outlived a killed run must not write into ours.
const UNFINISHED = 'new-'
const unfinished = (home: Home, name: string): string =>
  dataFolder(home, `${UNFINISHED}${process.pid}-${name}`)

// The builtin locale gives UTF-8 and one sort order on every machine. With none named, a system
// without a locale would make SQL_ASCII clusters.
const INITDB = [
  '--username=postgres',
  '--auth=scram-sha-256',
  '--encoding=UTF8',
  '--locale=C',
  '--locale-provider=builtin',
  '--builtin-locale=C.UTF-8',
  '--no-sync',
  '--no-instructions',
]

/**
 * See that each name has a data folder.
 *
 * @param durable  whether what is made here must survive a power cut
 * @throws SETUP_FAILED  a folder that is there is not whole or of another version; `initdb` failed
 */
export async function makeClusters(
  home: Home,
  binaries: Binaries,
  names: readonly string[],
  password: string,
  durable: boolean,
  report: Report,
): Promise<void> {
  const folder = dataFolder(home)
  makeFolder(folder)
  giveTo(home.account, folder)
  removeUnfinished(folder, report)
  const missing = names.filter((name) => !existsSync(dataFolder(home, name)))
  for (const name of names) if (!missing.includes(name)) checkWhole(home, name, binaries)
  const [first, ...others] = missing.map((name) => unfinished(home, name))
  if (first === undefined) return
  report(`Making ${missing.length} Postgres ${binaries.major} server${missing.length > 1 ? 's' : ''}.`)
  await initialise(home, binaries, first, password)
  for (const other of others) copyCluster(home, first, other)
  if (durable) await Promise.all([first, ...others].map((path) => sync(home, binaries, path)))
  for (const name of missing) renameSync(unfinished(home, name), dataFolder(home, name))
}

function removeUnfinished(folder: string, report: Report): void {
  const names = readdirSync(folder).filter((name) => name.startsWith(UNFINISHED))
  for (const name of names) rmSync(join(folder, name), { recursive: true, force: true, maxRetries: 10 })
  if (names.length > 0) report('An earlier start was cut short; its unfinished data are made anew.')
}

// The servers of one folder fit each other alone (one holds the directory of all), so the way out is to
// make all of them anew: one made anew among old ones would be refused as a stranger.
function checkWhole(home: Home, name: string, binaries: Binaries): void {
  const path = dataFolder(home, name)
  const all = dataFolder(home)
  const version = join(path, 'PG_VERSION')
  if (!existsSync(version) || !existsSync(join(path, 'global', 'pg_control'))) {
    fail('SETUP_FAILED', `The data in ${path} are not whole. Begin anew with all servers: rm -r ${all}`)
  }
  const major = readFileSync(version, 'utf8').trim()
  if (major !== binaries.major) {
    fail(
      'SETUP_FAILED',
      `The data in ${path} were made by Postgres ${major}, and the installed one is ${binaries.major}. ` +
        `Install the older package again, or begin anew with all servers: rm -r ${all}`,
    )
  }
}

async function initialise(home: Home, binaries: Binaries, path: string, password: string): Promise<void> {
  // A file of its own, since the server's account may not read the one that keeps the password.
  const passwordFile = unfinished(home, 'password')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  giveTo(home.account, passwordFile)
  try {
    await run(home, binaries.initdb, [...INITDB, `--pwfile=${passwordFile}`, '-D', path])
  } finally {
    rmSync(passwordFile, { force: true })
  }
}

function copyCluster(home: Home, from: string, to: string): void {
  cpSync(from, to, { recursive: true, verbatimSymlinks: true })
  giveAllTo(home.account, to)
}

function sync(home: Home, binaries: Binaries, path: string): Promise<void> {
  return run(home, binaries.initdb, ['--sync-only', '-D', path])
}

async function run(home: Home, command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, {
    ...spawnAs(home.account),
    cwd: '/',
    env: { LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  }
  const [status] = await once(child, 'close')
  if (status === 0) return
  const lines = said.trim().split('\n').slice(-20).join('\n  ')
  fail('SETUP_FAILED', `Postgres could not make its data in ${home.path}. It said:\n  ${lines}`)
}
