/** The fingerprint of a model, by which shards are compared. */

import { createHash } from 'node:crypto'

/** SHA-256, in hex, of `value` as canonical JSON: keys sorted, no spaces, absent keys left out. */
export function fingerprintOf(value: object): string {
  return createHash('sha256').update(canonical(value)).digest('hex')
}

function canonical(value: object): string {
  return JSON.stringify(value, (_, item: unknown) => (isRecord(item) ? withSortedKeys(item) : item))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function withSortedKeys(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}
