/**
 * Headers that must not come twice. Node keeps the first of two and drops the other, and a proxy in front may look at
 * the other one; its `headersDistinct` tells, and makes lists of all headers for that.
 */

import type { IncomingMessage } from 'node:http'

/** @param name  in small letters */
export function headerValues({ rawHeaders }: IncomingMessage, name: string): string[] {
  const values: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const found = rawHeaders[i]!
    if (found.length === name.length && found.toLowerCase() === name) values.push(rawHeaders[i + 1]!)
  }
  return values
}
