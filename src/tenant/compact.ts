/**
 * A signed token in its compact form, taken apart before anything in it is believed.
 *
 * Exactly one text is accepted for one token. jose alone takes whitespace, spare bits in the last
 * base64url character and members that come twice, so one signature would fit many texts, and a cache
 * or a deny list keyed by the text could be walked around.
 */

import { hash } from 'node:crypto'
import { refuse } from './refusal.ts'
import { DuplicateMember, type JsonObject, parseObject } from './strict-json.ts'

/** Bytes of a token. Node reads 16 KiB of headers in all; identity providers stay below 4 KiB. */
export const TOKEN_BYTES_MAX = 8_192

export interface CompactToken {
  /** The token as it came. A credential: never logged, never a key of a cache. */
  readonly text: string
  readonly header: JsonObject
  readonly claims: JsonObject
}

/** SHA-256 of a token's text: names the token in caches, as exactly one text is accepted for it. */
export function digestOf(text: string): string {
  return hash('sha256', text, 'base64url')
}

const BEARER = /^bearer +(\S+)$/i

/**
 * The token of an Authorization header.
 *
 * @throws UNAUTHENTICATED  no header, another scheme, several values, or far too long a header
 */
export function bearerToken(authorization: string | undefined): string {
  if (authorization === undefined || authorization === '') return refuse('missing')
  // Before any other work, the pattern included. 16 leaves room for the scheme and its spaces.
  if (authorization.length > TOKEN_BYTES_MAX + 16) return refuse('size')
  return BEARER.exec(authorization)?.[1] ?? refuse('scheme')
}

/**
 * Take a token apart. Nothing is verified yet.
 *
 * @throws UNAUTHENTICATED  too large, not three parts, not canonical, not JSON objects, a member comes twice
 */
export function readToken(text: string): CompactToken {
  if (text.length > TOKEN_BYTES_MAX) refuse('size')
  const parts = text.split('.', 4)
  if (parts.length !== 3) refuse('malformed')
  const [header, claims] = parts.map(decode) as [Buffer, Buffer, Buffer]
  return { text, header: readObject(header), claims: readObject(claims) }
}

// Node's decoder skips what it does not know; encoding again shows whether anything was skipped.
function decode(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url')
  return part !== '' && bytes.toString('base64url') === part ? bytes : refuse('malformed')
}

// A byte order mark is kept, so that JSON.parse refuses it.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function readObject(bytes: Buffer): JsonObject {
  try {
    return parseObject(utf8.decode(bytes))
  } catch (error) {
    return refuse(error instanceof DuplicateMember ? 'duplicate' : 'malformed')
  }
}
