/** One client with one connection, which asks one thing after another. */

import { Agent, request } from 'node:http'
import type { Question } from './load.ts'

export interface Client {
  /** @returns milliseconds from the request to the whole answer; throws when that is an error */
  ask(question: Question): Promise<number>
  end(): void
}

export function openClient(port: number): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return { ask: (question) => ask(port, agent, question), end: () => agent.destroy() }
}

function ask(port: number, agent: Agent, { token, body }: Question): Promise<number> {
  const headers = {
    'content-type': 'application/json',
    authorization: `Bearer ${token}`,
    'content-length': Buffer.byteLength(body),
  }
  const started = performance.now()
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', path: '/graphql', method: 'POST', agent, headers })
    sent.on('error', reject).on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      response.on('end', () => {
        const ms = performance.now() - started
        if (response.statusCode === 200 && !text.includes('"errors":')) resolve(ms)
        else reject(new Error(`An answer is an error: ${text.slice(0, 500)}`))
      })
    })
    sent.end(body)
  })
}
