/** The contract of http/shutdown.ts: nobody who was let in is thrown out, nobody waits for ever. */

import { once } from 'node:events'
import { Agent, createServer, request as httpRequest, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { Event } from '../../src/base/events.ts'
import { createShutdown, type Shutdown } from '../../src/http/shutdown.ts'
import { type Edge, startEdge } from '../kit/edge.ts'

let edge: Edge
let admin: Server
let events: Event[]
let order: string[]
const agent = new Agent({ keepAlive: true, maxSockets: 1 })

async function begin(times: { drainMs: number; stopMs: number }, close = async () => {}): Promise<Shutdown> {
  edge = await startEdge()
  admin = createServer((_, response) => response.end('probe'))
  admin.listen(0, '127.0.0.1')
  await once(admin, 'listening')
  events = []
  order = []
  return createShutdown({
    http: edge,
    admin,
    times: () => times,
    emit: (event) => {
      events.push(event)
      order.push(event.kind)
    },
    close: async () => {
      order.push('close')
      await close()
    },
  })
}

afterEach(() => {
  agent.destroy()
  edge.server.closeAllConnections()
  admin.closeAllConnections()
})

/** A keep-alive request on the one socket of `agent`. */
async function ask(query: string): Promise<{ status: number | undefined; connection: string | undefined }> {
  const authorization = `Bearer ${await edge.token()}`
  return new Promise((resolve, reject) => {
    const headers = { authorization, 'content-type': 'application/json' }
    const sent = httpRequest(
      { agent, port: edge.port, path: '/graphql', method: 'POST', headers },
      (response) => {
        response.resume()
        response.on('end', () =>
          resolve({ status: response.statusCode, connection: response.headers.connection }),
        )
      },
    )
    sent.on('error', reject)
    sent.end(JSON.stringify({ query }))
  })
}

describe('fault 57: a signal to stop, under load', () => {
  it('keeps serving while balancers notice, and ends each connection after its answer', async () => {
    const { stop, draining } = await begin({ drainMs: 60_000, stopMs: 60_000 })
    expect((await ask('{ hello }')).connection).toBe('keep-alive')
    const stopped = stop('SIGTERM')
    expect(draining()).toBe(true)
    for (let i = 0; i < 5; i += 1)
      expect(await ask('{ hello }')).toEqual({ status: 200, connection: 'close' })
    expect(order).toEqual(['gateway.draining'])
    await stop('SIGTERM')
    await stopped
  })

  it('lets a request that is under way have its answer, and closes the pools after it', async () => {
    let answered: unknown
    const { stop } = await begin({ drainMs: 1, stopMs: 60_000 }, async () => {
      answered = edge.events.find(({ kind }) => kind === 'request.done')
    })
    edge.setLimits({ requestMs: 300 })
    const asked = ask('{ never }')
    await once(edge.server, 'request')
    await stop('SIGTERM')
    expect(await asked).toMatchObject({ status: 504, connection: 'close' })
    expect(answered).toMatchObject({ status: 504 })
    expect(order).toEqual(['gateway.draining', 'close', 'gateway.stopped'])
  })

  it('does not wait for idle connections', async () => {
    const { stop } = await begin({ drainMs: 1, stopMs: 60_000 })
    await ask('{ hello }')
    const idle = connect(edge.port, '127.0.0.1')
    idle.on('error', () => {})
    await once(idle, 'connect')
    idle.destroy()
    await stop('SIGTERM')
    expect(order.at(-1)).toBe('gateway.stopped')
  })

  it('takes no new connection at the end', async () => {
    const { stop } = await begin({ drainMs: 1, stopMs: 1 })
    await stop('SIGTERM')
    await expect(ask('{ hello }')).rejects.toThrow('ECONNREFUSED')
    expect(admin.listening).toBe(false)
  })

  it('keeps the probes until all else is closed', async () => {
    const port = (): number => (admin.address() as AddressInfo).port
    let seen = ''
    const { stop } = await begin({ drainMs: 1, stopMs: 1 }, async () => {
      seen = await (await fetch(`http://127.0.0.1:${port()}/`)).text()
    })
    await stop('SIGTERM')
    expect(seen).toBe('probe')
  })

  it('gives up on a request that does not end', async () => {
    const { stop } = await begin({ drainMs: 1, stopMs: 20 })
    const asked = ask('{ never }')
    await once(edge.server, 'request')
    await Promise.all([expect(asked).rejects.toThrow(), stop('SIGTERM')])
    expect(order).toEqual(['gateway.draining', 'close', 'gateway.stopped'])
  })
})

describe('fault 58: a second signal', () => {
  it('ends the waiting, and everything is still closed once and in order', async () => {
    const { stop } = await begin({ drainMs: 600_000, stopMs: 600_000 })
    const asked = ask('{ never }')
    await once(edge.server, 'request')
    const first = stop('SIGTERM')
    const second = stop('SIGTERM')
    const third = stop('SIGINT')
    await Promise.all([first, second, third, expect(asked).rejects.toThrow()])
    expect(order).toEqual(['gateway.draining', 'close', 'gateway.stopped'])
  })

  it('a fault while closing is told, after the rest is closed', async () => {
    const { stop } = await begin({ drainMs: 1, stopMs: 1 }, () => Promise.reject(new Error('pool')))
    await expect(stop('SIGTERM')).rejects.toThrow('pool')
    expect(admin.listening).toBe(false)
    expect(order.at(-1)).toBe('gateway.stopped')
  })
})
