/** The server itself: old minor versions have holes in row-level security that no policy can close. */

import type { RoleFacts } from './facts.ts'
import { type Finding, unsafe } from './finding.ts'

// CVE-2025-8713 (statistics tell of hidden rows) and CVE-2026-2005, -2006 (code execution).
const FLOORS: Readonly<Record<number, number>> = { 15: 16, 16: 12, 17: 8, 18: 2 }
const OLDEST_MAJOR = 15 // security_invoker, and set null of single columns

export function serverFindings({
  version,
  versionNumber,
}: Pick<RoleFacts, 'version' | 'versionNumber'>): Finding[] {
  const major = Math.floor(versionNumber / 10_000)
  const minor = versionNumber % 10_000
  const floor = FLOORS[major] ?? 0
  if (major >= OLDEST_MAJOR && minor >= floor) return []
  const wanted = major < OLDEST_MAJOR ? `${OLDEST_MAJOR}.${FLOORS[OLDEST_MAJOR]}` : `${major}.${floor}`
  const reason = `the server is Postgres ${version}; row-level security holds from ${wanted} on. Update the server.`
  return [unsafe('server-version', reason)]
}
