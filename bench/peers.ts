/**
 * The packages of the peers: installed into bench/peers the first time that one of them is wanted, so that whoever
 * works on Shardgate does not fetch them.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SERVERS, type ServerName } from './servers.ts'

const FOLDER = join(import.meta.dirname, 'peers')

export function ensurePeers(names: readonly ServerName[], report: (sentence: string) => void): void {
  if (!names.some((name) => SERVERS[name].file.startsWith('peers/'))) return
  const installed = join(FOLDER, 'node_modules/.package-lock.json')
  const lock = join(FOLDER, 'package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return
  report('Installing the peers.')
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: FOLDER, stdio: ['ignore', 2, 2] })
}

/** Versions of the packages, for the report. */
export function peerVersions(packages: readonly string[]): string {
  const version = (name: string): string =>
    JSON.parse(readFileSync(join(FOLDER, 'node_modules', name, 'package.json'), 'utf8')).version
  return packages.map((name) => `${name} ${version(name)}`).join(', ')
}
