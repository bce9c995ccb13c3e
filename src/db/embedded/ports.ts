/** Ports on 127.0.0.1: chosen once, written down, chosen again only when somebody else took one. */

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fail } from '../../base/errors.ts'
import type { Home, Report } from './home.ts'

// Below the ports that Linux (from 32768) and macOS (from 49152) hand out to outgoing connections:
// one of those would be taken sooner or later by a mere client.
const LOWEST = 15_432
const SPAN = 10_000
const TRIES = 200

/**
 * A free port for each name: the one it had, or another, of which `report` is told.
 *
 * @throws SETUP_FAILED  no free port was found
 */
export async function choosePorts(
  home: Home,
  names: readonly string[],
  report: Report,
): Promise<Map<string, number>> {
  const known = readPorts(home)
  const ports = new Map(known)
  for (const name of names) {
    const before = known.get(name)
    if (before !== undefined && (await isFree(before))) continue
    const port = await freePort(new Set(ports.values()))
    ports.set(name, port)
    if (before !== undefined) {
      report(`Port ${before} of "${name}" is taken by another program; from now on it is ${port}.`)
    }
  }
  writePorts(home, ports)
  return ports
}

async function freePort(taken: ReadonlySet<number>): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * SPAN)
    if (!taken.has(port) && (await isFree(port))) return port
  }
  const last = LOWEST + SPAN - 1
  return fail('SETUP_FAILED', `No free port was found on 127.0.0.1 between ${LOWEST} and ${last}.`)
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}

function portsFile(home: Home): string {
  return join(home.path, 'ports.json')
}

function readPorts(home: Home): Map<string, number> {
  const path = portsFile(home)
  if (!existsSync(path)) return new Map()
  try {
    return new Map(Object.entries(JSON.parse(readFileSync(path, 'utf8'))))
  } catch {
    return new Map() // Torn by a full disk; nothing is lost but the numbers.
  }
}

function writePorts(home: Home, ports: ReadonlyMap<string, number>): void {
  const path = portsFile(home)
  writeFileSync(`${path}.new`, `${JSON.stringify(Object.fromEntries(ports), null, 2)}\n`)
  renameSync(`${path}.new`, path)
}
