/** The probe: raw bytes and headers as they come, and a client that hangs up. */

import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openProbe } from './probe.ts'

const probe = openProbe()
let server: Server
let url: string
const held: ServerResponse[] = []

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === '/hold') held.push(response)
    else if (request.url === '/drop') request.socket.destroy()
    else response.writeHead(418, { 'X-Odd': 'Yes' }).end(Buffer.from([0xff, 0, 0x41]))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  probe.close()
  server.close()
})

it('gives status, headers and bytes as they came', async () => {
  const reply = await probe.send({ url, body: {}, token: 't' })
  expect(reply?.status).toBe(418)
  expect(reply?.headers).toContain('X-Odd: Yes')
  expect(reply?.body).toEqual(Buffer.from([0xff, 0, 0x41]))
})

it('hangs up, and then has no reply', async () => {
  expect(await probe.send({ url: `${url}/hold`, body: {}, hangUpAfterMs: 5 })).toBeUndefined()
})

it('does not take it for its own doing when the other side hangs up', async () => {
  await expect(probe.send({ url: `${url}/drop`, body: {}, hangUpAfterMs: 10_000 })).rejects.toThrow(
    /hang up|RESET/,
  )
})
