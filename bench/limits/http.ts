/**
 * The HTTP side of a limit: bare node:http that does what no server can leave out. It verifies the token (once, then by
 * its text), reads the body, finds the operation by its text, and writes the answer.
 */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/** Variables of all operations together; each has some of them. */
export interface Variables {
  readonly id: string
  readonly first: number
  readonly comments: number
  readonly status: string
  readonly since: string
  readonly input: { readonly ticketId: string; readonly authorId: string; readonly body: string }
}

/** Gives the JSON text of the whole answer. */
export type Answer = (tenant: string, variables: Variables) => Promise<string>

/** @param answers  by the text of the document */
export function serve(port: number, secret: string, answers: ReadonlyMap<string, Answer>): void {
  const tenantOf = tokenReader(secret)
  const server = createServer((request, response) => {
    handle(request, tenantOf, answers).then(
      (text) => send(response, 200, text),
      (error: Error) => send(response, 500, JSON.stringify({ errors: [{ message: error.message }] })),
    )
  })
  server.keepAliveTimeout = 65_000
  server.listen(port, '127.0.0.1')
}

async function handle(
  request: IncomingMessage,
  tenantOf: (token: string) => string,
  answers: ReadonlyMap<string, Answer>,
): Promise<string> {
  const tenant = tenantOf(request.headers.authorization?.slice('Bearer '.length) ?? '')
  const { query, variables } = JSON.parse(await bodyOf(request)) as { query: string; variables: Variables }
  const answer = answers.get(query)
  if (!answer) throw new Error('There is no such operation.')
  return answer(tenant, variables)
}

function bodyOf(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => resolve((parts.length === 1 ? parts[0]! : Buffer.concat(parts)).toString()))
    request.on('error', reject)
  })
}

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}

function tokenReader(secret: string): (token: string) => string {
  const known = new Map<string, { tenant: string; expiresMs: number }>()
  return (token) => {
    const found = known.get(token) ?? verify(token, secret)
    if (found.expiresMs < Date.now()) throw new Error('The token has expired.')
    known.set(token, found)
    return found.tenant
  }
}

function verify(token: string, secret: string): { tenant: string; expiresMs: number } {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const expected = createHmac('sha256', secret).update(`${header}.${payload}`).digest()
  const given = Buffer.from(signature, 'base64url')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new Error('Not our token.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
  return { tenant: claims.tenant_id, expiresMs: claims.exp * 1_000 }
}
