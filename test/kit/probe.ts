/** A client for tests of the gateway: every byte of an answer as it came, and hanging up at will. */

import { Agent, type IncomingMessage, request } from 'node:http'

export interface Reply {
  readonly status: number
  /** Names and values as they came, a line each. */
  readonly headers: string
  readonly body: Buffer
}

export interface ProbeRequest {
  readonly url: string
  readonly token?: string
  readonly body: object | string
  readonly headers?: Readonly<Record<string, string>>
  /** Hang up after so many milliseconds; then there is no reply unless it was faster. */
  readonly hangUpAfterMs?: number
}

export interface Probe {
  /** Undefined when we hung up. @throws when the other side did */
  send(request: ProbeRequest): Promise<Reply | undefined>
  close(): void
}

/** @param sockets  connections kept open, at most */
export function openProbe(sockets = 64): Probe {
  const agent = new Agent({ keepAlive: true, maxSockets: sockets })
  return {
    send: (asked) => send(agent, asked),
    close: () => agent.destroy(),
  }
}

function send(agent: Agent, asked: ProbeRequest): Promise<Reply | undefined> {
  const { url, token, body, hangUpAfterMs } = asked
  const headers = {
    'content-type': 'application/json',
    ...(token && { authorization: `Bearer ${token}` }),
    ...asked.headers,
  }
  return new Promise((resolve, reject) => {
    let hungUp = false
    const call = request(url, { method: 'POST', agent, headers }, (answer) => {
      readReply(answer).then(finish, lose)
    })
    const timer =
      hangUpAfterMs === undefined
        ? undefined
        : setTimeout(() => {
            hungUp = true
            call.destroy()
          }, hangUpAfterMs)
    const finish = (reply: Reply): void => {
      clearTimeout(timer)
      resolve(reply)
    }
    const lose = (error: unknown): void => {
      clearTimeout(timer)
      if (hungUp) resolve(undefined)
      else reject(error)
    }
    call.on('error', lose)
    call.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
}

async function readReply(answer: IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk as Buffer)
  const { rawHeaders } = answer
  const lines = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${rawHeaders[i + 1]}`] : []))
  return { status: answer.statusCode ?? 0, headers: lines.join('\n'), body: Buffer.concat(chunks) }
}
