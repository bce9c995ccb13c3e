/**
 * JSON objects in which no member comes twice.
 *
 * `JSON.parse` keeps the last of two equal members, other parsers the first: a proxy that read
 * `{"tenant_id":"a","tenant_id":"b"}` otherwise than we do would let a token say two things. RFC 7519
 * (section 4) allows a verifier to refuse such a token, and this one does, at any depth.
 */

export type JsonObject = Readonly<Record<string, unknown>>

/** Thrown for a member that comes twice; its message names nothing of the text. */
export class DuplicateMember extends SyntaxError {}

/**
 * @returns the object that `text` holds
 * @throws SyntaxError      not JSON, or not an object
 * @throws DuplicateMember  a member comes twice in one object, spelled with escapes or without
 */
export function parseObject(text: string): JsonObject {
  const value: unknown = JSON.parse(text)
  if (!isJsonObject(value)) throw new SyntaxError('wanted a JSON object')
  requireDistinctMembers(text)
  return value
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// A string, with the colon that makes it a member's name; or the begin or end of an object. Only valid
// JSON comes here, so nothing between two matches can be mistaken for one.
const TOKEN = /"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?|[{}]/g

function requireDistinctMembers(text: string): void {
  const open: Set<string>[] = []
  for (const [token, raw, colon] of text.matchAll(TOKEN)) {
    if (token === '{') open.push(new Set())
    else if (token === '}') open.pop()
    else if (colon !== undefined) addMember(open.at(-1)!, raw!)
  }
}

function addMember(members: Set<string>, raw: string): void {
  const name: string = raw.includes('\\') ? JSON.parse(`"${raw}"`) : raw
  if (members.has(name)) throw new DuplicateMember('a member comes twice')
  members.add(name)
}
