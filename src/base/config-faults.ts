/**
 * A fault of the configuration as a sentence: its key, what was wanted and what came.
 *
 *     shards.shard-a.weight: wanted a number; "2" came
 *
 * The text goes to terminals and logs, so a value that may hold a secret is told by its kind and length.
 */

import { z } from 'zod'
import { nearest } from './nearest.ts'

type Issue = z.core.$ZodIssue

/** A key as people write it: `tokens[0].secrets[1]`. */
export const keyOf = (path: readonly PropertyKey[]): string =>
  path.map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i ? '.' : ''}${String(part)}`)).join('')

/**
 * A sentence for each fault; a number that is too big for two reasons has one.
 *
 * @param filled  the whole configuration that the issues were found in
 */
export function faultsOf(issues: readonly Issue[], filled: unknown): string[] {
  const first = new Map(issues.toReversed().map((issue) => [`${issue.code} ${keyOf(issue.path)}`, issue]))
  return issues.filter((issue) => [...first.values()].includes(issue)).map((issue) => faultOf(issue, filled))
}

function faultOf(issue: Issue, filled: unknown): string {
  const came = issue.path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown>)?.[part], filled)
  const key = keyOf(issue.path) || '(the file)'
  // For a name the value behind it is no news, and may be a whole object with secrets in it.
  if (issue.code === 'unrecognized_keys' || issue.code === 'invalid_key') return `${key}: ${issue.message}`
  return `${key}: ${issue.message}; ${cameAs(came, issue.path)}`
}

// A value under these keys may be a secret; so may one that was put a level too high or too low.
const SECRET_KEY = /url|secret|password/i
const SECRET_TEXT = /:\/\/|@/

function cameAs(came: unknown, path: readonly PropertyKey[]): string {
  if (came === undefined) return 'nothing came'
  if (Array.isArray(came)) return came.length === 0 ? 'an empty list came' : 'a list came'
  if (typeof came === 'object' && came !== null) return 'an object came'
  if (typeof came !== 'string') return `${came} came`
  const secret = SECRET_TEXT.test(came) || path.some((part) => SECRET_KEY.test(String(part)))
  return secret ? `a text of ${came.length} characters came` : `${JSON.stringify(came.slice(0, 60))} came`
}

const NAMES: Readonly<Record<string, string>> = Object.freeze({
  object: 'an object',
  record: 'an object',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
})

/** What was wanted, for issues whose schema does not say it in words of its own. */
export function wantedOf(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return `wanted ${NAMES[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `wanted one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`
    case 'too_small':
      return `wanted ${atLeast(issue.origin, issue.minimum)}`
    case 'too_big':
      return `wanted ${issue.maximum}${issue.origin === 'string' ? ' characters' : ''} at most`
    case 'unrecognized_keys':
      return issue.keys.map((key) => strangeKey(key, keysOf(issue.inst))).join('; ')
    case 'invalid_key':
      return issue.issues[0]?.message
    case 'invalid_format':
      return issue.format === 'url' ? 'wanted an address that begins with http:// or https://' : undefined
    default:
      return undefined
  }
}

const keysOf = (schema: unknown): string[] => (schema instanceof z.ZodObject ? Object.keys(schema.shape) : [])

function strangeKey(key: string, known: readonly string[]): string {
  const meant = nearest(key.slice(0, 60), known)
  return `${JSON.stringify(key.slice(0, 60))} is no key here${meant ? `, did you mean "${meant}"?` : ''}`
}

function atLeast(origin: string, minimum: number | bigint): string {
  if (origin === 'string') return 'a text that is not empty'
  return origin === 'array' ? 'at least one' : `${minimum} or more`
}
