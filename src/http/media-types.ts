/**
 * Which media type an answer has, by what the client accepts.
 *
 * Yoga decides it for the resolver lane, and the compiled lane says beforehand what Yoga would: the first range
 * of the header that fits one of the two types of GraphQL over HTTP. Where another kind of answer might come
 * (a stream, none at all) it says nothing.
 */

import { LRUCache } from 'lru-cache'

export const RESPONSE_TYPE = 'application/graphql-response+json'

/**
 * The Accept header as Yoga wants it. Streams of events and of parts are taken out of what the client accepts:
 * there is nothing to stream yet, and as an envelope around one answer they only confuse.
 */
export function acceptWithoutStreams(accept = '*/*'): string {
  const ranges = accept.split(',').filter((range) => /^\s*(\*|application)\//i.test(range))
  return ranges.join(',') || 'none/none'
}

/** Clients have a handful between them. A longer text is another lane's. */
const REMEMBERED_MAX = 500
const CHARACTERS_MAX = 200

const remembered = new LRUCache<string, { readonly type: string | undefined }>({ max: REMEMBERED_MAX })

/** The Content-Type of an answer without errors; undefined where it takes Yoga to tell. */
export function answerType(accept = '*/*'): string | undefined {
  const known = remembered.get(accept)
  if (known) return known.type
  if (accept.length > CHARACTERS_MAX) return undefined
  const type = typeFor(acceptWithoutStreams(accept))
  remembered.set(accept, { type })
  return type
}

function typeFor(accept: string): string | undefined {
  for (const text of accept.replace(/\s/g, '').toLowerCase().split(',')) {
    const [range = '', ...parameters] = text.split(';')
    const charset = parameters.find((parameter) => parameter.includes('charset='))
    if (charset !== undefined && charset !== 'charset=utf-8') continue
    const type = ['application/json', RESPONSE_TYPE].find((one) => isWithin(one, range))
    if (type) return `${type}; charset=utf-8`
  }
  return undefined
}

function isWithin(type: string, range: string): boolean {
  const [ours, theirs] = [type.split('/'), range.split('/')]
  return [0, 1].every((i) => theirs[i] === '*' || theirs[i] === ours[i])
}
