/** A TCP proxy that knows nothing of what it carries, and cuts, slices or swallows it. (For Postgres: wire-proxy.ts.) */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface CuttingProxy {
  readonly port: number
  /** Connections that were cut. */
  readonly cuts: number
  /** Cut each connection after that many bytes of answers, asked for each one anew; undefined: not at all. */
  cutAfter(bytes: () => number | undefined): void
  /** Cut all that are open now. */
  cut(): void
  /** Hand answers on in pieces of that many bytes. */
  slice(bytes: number): void
  /** Swallow all bytes either way from now on, without a sign, as a network that drops them. */
  blackhole(on: boolean): void
  close(): Promise<void>
}

/** Proxy to this port of 127.0.0.1. */
export async function cuttingProxy(target: number): Promise<CuttingProxy> {
  const open = new Set<Socket>()
  let cuts = 0
  let allowance: () => number | undefined = () => undefined
  let piece = Number.POSITIVE_INFINITY
  let isDeaf = false

  const server = createServer({ noDelay: true }, (client) => {
    const far = connect({ port: target, host: '127.0.0.1', noDelay: true })
    const end = (): void => {
      for (const socket of [client, far]) socket.destroy()
      open.delete(client)
    }
    for (const socket of [client, far]) socket.on('error', end).on('close', end)
    open.add(client)
    let left = allowance() ?? Number.POSITIVE_INFINITY
    client.on('data', (bytes) => void (isDeaf || far.write(bytes)))
    far.on('data', (bytes: Buffer) => {
      if (isDeaf) return
      const passed = bytes.subarray(0, left)
      for (let at = 0; at < passed.length; at += piece) client.write(passed.subarray(at, at + piece))
      left -= bytes.length
      if (left >= 0) return
      cuts++
      client.end(end) // What was passed arrives before the end does.
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')

  const cut = (): void => {
    for (const client of open) client.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    get cuts() {
      return cuts
    },
    cutAfter: (bytes) => {
      allowance = bytes
    },
    cut,
    slice: (bytes) => {
      piece = bytes
    },
    blackhole: (on) => {
      isDeaf = on
    },
    async close() {
      server.close()
      cut()
      await once(server, 'close')
    },
  }
}
