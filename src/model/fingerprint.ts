/** The fingerprint of a model, by which shards are compared. */

import { createHash } from 'node:crypto'
import type { Model } from './types.ts'

/**
 * SHA-256, in hex, of a model as canonical JSON: keys sorted, no spaces, absent keys left out. Checks, triggers and what
 * policies look at are not in it: they change no API, and while a migration adds one its shards may differ.
 */
export function fingerprintOf({ tables, ...types }: Omit<Model, 'fingerprint'>): string {
  const compared = { ...types, tables: tables.map(({ checks, reaches, depends, ...table }) => table) }
  return createHash('sha256').update(canonical(compared)).digest('hex')
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
