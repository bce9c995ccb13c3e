/**
 * From bytes to GraphQL parameters, or one clear refusal: never more bytes than the limit, whether a length is
 * announced or not, never more values, and nothing that is not one JSON object in UTF-8.
 */

import type { IncomingMessage } from 'node:http'
import type { LimitsConfig } from '../base/config.ts'
import { GatewayError } from '../base/errors.ts'
import { badRequest } from './answer.ts'
import type { Exchange, Parameters } from './exchange.ts'

// Filters nest a handful of levels. Coercion and SQL call themselves for each, so there is an end.
const JSON_LEVELS_MAX = 64

/** @param bodyBytesMax  for the sentence */
export function tooLarge(bodyBytesMax: number): GatewayError {
  const sentence = `The body is larger than ${bodyBytesMax} bytes.`
  return new GatewayError('PAYLOAD_TOO_LARGE', sentence, { allowed: bodyBytesMax })
}

export type BodyLimits = Pick<LimitsConfig, 'bodyBytes' | 'bodyValues'>

/**
 * Read the parameters of a request whose headers have passed.
 *
 * @throws PAYLOAD_TOO_LARGE  the body passes a limit while it is read, or holds more values than it may
 * @throws BAD_REQUEST        not JSON, not UTF-8, not one object; nested too deep; cut off
 */
export async function readParameters(exchange: Exchange, limits: BodyLimits): Promise<Parameters> {
  const { request, response, search } = exchange
  if (request.method === 'GET') return fromSearch(search, limits)
  if (request.headers.expect !== undefined) response.writeContinue()
  const body = await readBody(request, limits.bodyBytes)
  exchange.bytesIn = body.length
  return asParameters(parseJson(decode(body), 'The body', limits), 'The body')
}

/**
 * Not by `for await`: leaving such a loop early destroys the socket, and the client would see a reset in
 * place of the refusal. What comes after the limit is read and dropped, for as long as D17 gives it.
 */
function readBody(request: IncomingMessage, bodyBytesMax: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const chunks: Buffer[] = []
  let bytes = 0
  let ended = false
  // `close` also comes when all is well; an error made for it would cost more than the rest of the reading.
  const cutOff = (): void => {
    if (!ended) reject(badRequest('The body was cut off.'))
  }
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= bodyBytesMax) chunks.push(chunk)
    else {
      chunks.length = 0
      reject(tooLarge(bodyBytesMax))
    }
  })
  request.on('end', () => {
    ended = true
    resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
  })
  request.on('error', cutOff)
  request.on('close', cutOff)
  return promise
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function decode(body: Buffer): string {
  try {
    return utf8.decode(body)
  } catch {
    throw badRequest('The body is not UTF-8.')
  }
}

function parseJson(text: string, what: string, { bodyValues }: BodyLimits): unknown {
  const { levels, values } = measure(text)
  if (levels > JSON_LEVELS_MAX) {
    throw badRequest(`${what} is nested deeper than ${JSON_LEVELS_MAX} levels.`, { allowed: JSON_LEVELS_MAX })
  }
  if (values > bodyValues) {
    const details = { asked: values, allowed: bodyValues }
    throw new GatewayError(
      'PAYLOAD_TOO_LARGE',
      `${what} holds ${values} values, more than ${bodyValues}.`,
      details,
    )
  }
  try {
    return JSON.parse(text)
  } catch {
    throw badRequest(text === '' ? `${what} is empty; wanted JSON.` : `${what} is not JSON.`)
  }
}

/**
 * Levels of brackets outside strings, and the members of objects and items of lists together, an empty one counted
 * once; for text that is no JSON any numbers will do. Parsing 80,000 small objects takes seven times as long as counting
 * them. By hand, because a pattern for strings needs time by the square of an unfinished string full of quotes.
 */
function measure(text: string): { readonly levels: number; readonly values: number } {
  let [level, levels, values] = [0, 0, 0]
  let inString = false
  for (let i = 0; i < text.length; i += 1) {
    const letter = text.charCodeAt(i)
    if (inString) {
      if (letter === BACKSLASH) i += 1
      else if (letter === QUOTE) inString = false
    } else if (letter === QUOTE) inString = true
    else if (letter === COMMA) values += 1
    else if (letter === BRACKET || letter === BRACE) {
      values += 1
      level += 1
      if (level > levels) levels = level
    } else if (letter === BRACKET_END || letter === BRACE_END) level -= 1
  }
  return { levels, values }
}

const [QUOTE, BACKSLASH, COMMA, BRACKET, BRACKET_END, BRACE, BRACE_END] = Array.from('"\\,[]{}', (letter) =>
  letter.charCodeAt(0),
)

function asParameters(value: unknown, what: string): Parameters {
  if (Array.isArray(value)) throw badRequest(`${what} is a list: batches are not taken, send one operation.`)
  if (typeof value !== 'object' || value === null) throw badRequest(`${what} is not a JSON object.`)
  const { operationName } = value as { operationName?: unknown }
  if (operationName !== undefined && operationName !== null && typeof operationName !== 'string') {
    throw badRequest('"operationName" is not a string.')
  }
  return value as Parameters
}

function fromSearch(search: string, limits: BodyLimits): Parameters {
  const parameters = new URLSearchParams(search)
  const json = (name: string): Record<string, Record<string, unknown>> => {
    const text = parameters.get(name)
    if (!text) return {}
    return {
      [name]: asParameters(parseJson(text, `"${name}"`, limits), `"${name}"`) as Record<string, unknown>,
    }
  }
  const word = (name: string): Record<string, string> => {
    const text = parameters.get(name)
    return text ? { [name]: text } : {}
  }
  return {
    ...word('query'),
    ...word('documentId'),
    ...word('operationName'),
    ...json('variables'),
    ...json('extensions'),
  }
}
