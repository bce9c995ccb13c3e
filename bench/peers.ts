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

/** What was installed, a line for the report; none when no peer takes part. */
export function peerVersions(names: readonly ServerName[]): string[] {
  const files = names.map((name) => SERVERS[name].file).filter((file) => file.startsWith('peers/'))
  if (files.length === 0) return []
  const packages = ['postgraphile', 'mercurius', 'fastify', 'graphql-yoga', '@pothos/core', 'graphql', 'pg']
  return [packages.map((name) => `${name} ${versionOf(name)}`).join(', ')]
}

function versionOf(name: string): string {
  return JSON.parse(readFileSync(join(FOLDER, 'node_modules', name, 'package.json'), 'utf8')).version
}
