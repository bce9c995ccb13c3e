/** Ids and cursors on the wire: a JSON list as base64url, which says "hold me as I am". */

export function encodeOpaque(list: readonly unknown[]): string {
  return Buffer.from(JSON.stringify(list)).toString('base64url')
}

/** The list behind `text`; an empty one when it is longer than `max` characters or is nothing of ours. */
export function decodeOpaque(text: string, max: number): unknown[] {
  if (text.length > max) return []
  try {
    const list: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    return Array.isArray(list) ? list : []
  } catch {
    return []
  }
}
