/** The subject of a token as a name that says nobody: for counting users, and for nothing else. */

import { hash } from 'node:crypto'
import type { Identity } from './types.ts'

// An identity is that of a token which has been seen before (authenticate.ts), so that most are hashed once.
const known = new WeakMap<Identity, string>()

/** The first 16 hexadecimal digits of the SHA-256 of the subject; undefined for a token without one. */
export function hashedSubject(identity: Identity): string | undefined {
  if (identity.subject === '') return undefined
  const found = known.get(identity)
  if (found !== undefined) return found
  const hashed = hash('sha256', identity.subject, 'hex').slice(0, 16)
  known.set(identity, hashed)
  return hashed
}
