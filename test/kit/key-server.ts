/** An issuer's key endpoint over real HTTP that answers what a test tells it to, and counts. */

import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface KeyServer {
  readonly url: string
  /** Requests that have come, to any path. */
  readonly requests: string[]
  /** Answer with this set from now on. */
  serve(keys: readonly unknown[]): void
  /** Answer anyhow from now on. */
  answer(listener: RequestListener): void
  /** Break every connection without an answer from now on. */
  down(): void
  close(): Promise<void>
}

export async function keyServer(keys: readonly unknown[] = []): Promise<KeyServer> {
  const requests: string[] = []
  let listener: RequestListener = jwks(keys)
  const server = createServer((request, response) => {
    requests.push(request.url ?? '')
    listener(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    requests,
    serve: (next) => {
      listener = jwks(next)
    },
    answer: (next) => {
      listener = next
    },
    down: () => {
      listener = (request) => request.socket.destroy()
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function jwks(keys: readonly unknown[]): RequestListener {
  return (_, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ keys }))
  }
}
