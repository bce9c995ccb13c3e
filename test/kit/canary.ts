/**
 * Canaries: every text, number and uuid of a test tenant carries that tenant's own tag, so that a value
 * which turns up at another tenant is known for what it is, wherever it turns up.
 *
 *     text    'cnry7' + 12 letters and digits of the tenant + '-' + label
 *     number  10 digits of the tenant + 6 digits        (fits bigint and a JavaScript number exactly)
 *     uuid    12 hex digits of the tenant + '-4000-8000-' + 12 digits
 *
 * Tags are made of letters and digits alone, so JSON, SQL, URLs and CSV cannot change them. The scanner
 * reads raw bytes and looks through upper case, hex (how Postgres writes bytea) and base64 (how cursors
 * and node ids travel), for the tags of every tenant but the owner, those of tenants it was not told of
 * included. It cannot look through encryption or compression: ask for answers without compression.
 */

import { createHash } from 'node:crypto'

export interface Canary {
  readonly tenant: string
  /** The tag that each of the tenant's texts starts with: 17 letters and digits. */
  readonly tag: string
  /** A text that carries the tag; the same label gives the same text. */
  text(label: string | number): string
  /** A whole number of 16 digits that carries the tag; `n` from 0 to 999,999. */
  number(n: number): number
  /** A uuid that carries the tag; `n` from 0 to 999,999,999,999. */
  uuid(n: number): string
}

export interface ForeignTag {
  /** Whose value it is; 'a tenant unknown to the scanner' for a tag that no known tenant has. */
  readonly tenant: string
  /** The value as it was found, decoded where it was encoded. */
  readonly value: string
  readonly kind: 'text' | 'number' | 'uuid'
  /** What stood around it, for the failure message. */
  readonly around: string
}

export interface Scanner {
  /**
   * Look for tags that do not belong to `owner`. With null every tag is foreign: logs, metrics and the
   * answers to callers without a tenant must hold none.
   */
  scan(owner: string | null, bytes: Uint8Array | string): ForeignTag[]
  /** Foreign tags found so far. */
  readonly total: number
  /** Texts and bytes looked at so far: "0 of N" is worth as much as its N. */
  readonly texts: number
  readonly bytes: number
}

const PREFIX = 'cnry7'
const UNKNOWN = 'a tenant unknown to the scanner'

/** The canary of one tenant: the same for the same tenant in every process. */
export function canary(tenant: string): Canary {
  const digest = createHash('sha256').update(`canary ${tenant}`).digest()
  const tag = PREFIX + digest.readBigUInt64BE(0).toString(36).padStart(12, '0').slice(-12)
  // First digit 2 to 8: never a time in microseconds (1…), never above 2^53 (9.007…).
  const digits = 2_000_000_000 + Number(digest.readBigUInt64BE(8) % 7_000_000_000n)
  const hex = digest.toString('hex', 16, 22)
  return {
    tenant,
    tag,
    text: (label) => `${tag}-${label}`,
    number: (n) => digits * 1_000_000 + within(n, 1_000_000),
    uuid: (n) => `${hex.slice(0, 8)}-${hex.slice(8)}-4000-8000-${String(within(n, 1e12)).padStart(12, '0')}`,
  }
}

function within(n: number, below: number): number {
  if (Number.isInteger(n) && n >= 0 && n < below) return n
  throw new RangeError(`canary: wanted a whole number from 0 to ${below - 1}; ${n} came`)
}

/** A scanner that knows the tags of `tenants`. */
export function scanner(tenants: readonly string[]): Scanner {
  const owners = new Map(tenants.flatMap((tenant) => keysOf(tenant).map((key) => [key, tenant] as const)))
  const counts = { total: 0, texts: 0, bytes: 0 }
  return {
    scan(owner, bytes) {
      const text = typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('latin1')
      counts.texts++
      counts.bytes += bytes.length
      const found = findTags(text, owners).filter((tag) => tag.tenant !== owner)
      counts.total += found.length
      return found
    },
    get total() {
      return counts.total
    },
    get texts() {
      return counts.texts
    },
    get bytes() {
      return counts.bytes
    },
  }
}

const keysOf = (tenant: string): string[] => {
  const { tag, number, uuid } = canary(tenant)
  return [tag, String(number(0)).slice(0, 10), uuid(0).slice(0, 13)]
}

// Fixed starts instead of one alternative per tenant: the cost of a scan does not grow with the number
// of tenants, and a tag of a tenant that nobody told us of is found as well. A float of 16 digits is
// written by Postgres as 2.345678901000001e+15, hence the dot.
const TEXT = /cnry7[0-9a-z]{12}/gi
const NUMBER = /(?<![0-9.])[2-8]\.?[0-9]{14,15}(?![0-9])/g
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-4000-8000-[0-9]{12}/gi
const HEX_TEXT = /636e727937(?:[0-9a-f]{2}){12}/gi
const BASE64 = /[A-Za-z0-9+/_-]{20,}/g
const DEEPEST = 2 // a cursor in a node id in a cursor is nobody's format

function findTags(text: string, owners: ReadonlyMap<string, string>, depth = 0): ForeignTag[] {
  const found: ForeignTag[] = []
  const add = (
    kind: ForeignTag['kind'],
    value: string,
    key: string,
    index: number,
    unknown?: string,
  ): void => {
    const tenant = owners.get(key) ?? unknown
    if (tenant) found.push({ tenant, value, kind, around: text.slice(Math.max(0, index - 60), index + 90) })
  }
  for (const { 0: hit, index } of text.matchAll(TEXT)) add('text', hit, hit.toLowerCase(), index, UNKNOWN)
  for (const { 0: hit, index } of text.matchAll(NUMBER))
    add('number', hit, hit.replace('.', '').slice(0, 10), index)
  for (const { 0: hit, index } of text.matchAll(UUID)) add('uuid', hit, hit.slice(0, 13).toLowerCase(), index)
  for (const [hit] of text.matchAll(HEX_TEXT))
    found.push(...findTags(Buffer.from(hit, 'hex').toString('latin1'), owners, DEEPEST))
  if (depth < DEEPEST) {
    for (const [run] of text.matchAll(BASE64)) found.push(...findEncoded(run, owners, depth))
  }
  return found
}

// Something like "v1-" before the encoded part shifts it, so each of the four alignments is tried.
function findEncoded(run: string, owners: ReadonlyMap<string, string>, depth: number): ForeignTag[] {
  for (let shift = 0; shift < 4; shift++) {
    const decoded = Buffer.from(run.slice(shift), 'base64').toString('latin1')
    const found = findTags(decoded, owners, depth + 1)
    if (found.length > 0) return found
  }
  return []
}
