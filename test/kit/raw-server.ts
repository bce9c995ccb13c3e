/** A server that says the same to whatever comes. */

import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

export async function rawServer(answer: string): Promise<{ port: number; close: () => Promise<void> }> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {}).on('data', () => void (answer && socket.write(answer)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async (): Promise<void> => {
    for (const socket of open) socket.destroy()
    server.close()
    await once(server, 'close')
  }
  return { port: (server.address() as AddressInfo).port, close }
}
