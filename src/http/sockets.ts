/** Answers to what never became a request: headers too large, too slow, or no HTTP at all. */

import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'

const SENTENCES: Readonly<Record<number, string>> = Object.freeze({
  400: 'This is no HTTP request.',
  408: 'The request did not arrive in time.',
  431: 'The headers are larger than 16384 bytes.',
})

/** A listener for `clientError`: one answer, then the connection ends. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  // With an answer under way another one would be read as a part of it.
  if (!socket.writable || hasAnswerUnderWay(socket)) {
    socket.destroy()
    return
  }
  const status = statusOf(error.code)
  const extensions = { code: 'BAD_REQUEST', retryable: false }
  const body = `${JSON.stringify({ errors: [{ message: SENTENCES[status], extensions }] })}\n`
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

function statusOf(code: string | undefined): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
}

// Node keeps the answer that a socket is busy with under this name, and looks there itself.
function hasAnswerUnderWay(socket: Duplex): boolean {
  const message: unknown = Reflect.get(socket, '_httpMessage')
  return typeof message === 'object' && message !== null && Reflect.get(message, '_headerSent') === true
}
