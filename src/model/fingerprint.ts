/** The fingerprint of a model, by which shards are compared. */

import { createHash } from 'node:crypto'
import { canonicalJson } from '../base/canonical.ts'
import type { Model } from './types.ts'

/**
 * SHA-256, in hex, of a model as canonical JSON: keys sorted, no spaces, absent keys left out. Checks, triggers and what
 * policies look at are not in it: they change no API, and while a migration adds one its shards may differ.
 */
export function fingerprintOf({ tables, ...types }: Omit<Model, 'fingerprint'>): string {
  const compared = { ...types, tables: tables.map(({ checks, reaches, depends, ...table }) => table) }
  return createHash('sha256').update(canonicalJson(compared)).digest('hex')
}

/** As the fingerprint, of everything: what is decided for one model holds for another one where these are equal. */
export function wholeFingerprintOf(model: Model): string {
  return createHash('sha256').update(canonicalJson(model)).digest('hex')
}
