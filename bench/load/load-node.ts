/**
 * load.c for machines without a C compiler: the same arguments, the same line of JSON. It takes more of the cores
 * that it shares with the server, and the fastest servers look slower by it.
 */

import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'

const [port = 0, connections = 0, milliseconds = 0, file = '', first = 0, rate = 0] = process.argv
  .slice(2)
  .map((text, i) => (i === 3 ? text : Number(text))) as [number, number, number, string, number, number]

const requests = readRequests(readFileSync(file))
const times: number[] = []
let next = first
let errors = 0
let excerpt = ''
let inFlight = connections
const started = performance.now()

for (let i = 0; i < connections; i++) openConnection()

function readRequests(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at)
    found.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return found
}

function openConnection(): void {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const state = { sent: 0, answer: '' }
  const send = (): void => {
    state.answer = ''
    state.sent = performance.now()
    socket.write(requests[next++ % requests.length] ?? '')
  }
  socket.setEncoding('latin1').on('connect', send)
  socket.on('data', (part) => {
    state.answer += part
    if (!isWhole(state.answer)) return
    takeAnswer(state)
    const passed = performance.now() - started
    const early = rate > 0 ? ((next - first) * 1_000) / rate - passed : 0
    if (passed + early >= milliseconds) end(socket)
    else if (early > 0) setTimeout(send, early)
    else send()
  })
}

// In latin1 a character is a byte, so lengths can be compared.
function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n')
  if (head < 0) return false
  const length = /\r\ncontent-length: *(\d+)/i.exec(answer.slice(0, head))?.[1]
  if (length !== undefined) return answer.length - head - 4 >= Number(length)
  return answer.endsWith('\r\n0\r\n\r\n')
}

function takeAnswer({ sent, answer }: { sent: number; answer: string }): void {
  times.push((performance.now() - sent) * 1_000)
  if (answer.startsWith('200', 9) && !answer.includes('"errors":')) return
  if (errors++ === 0) excerpt = answer.slice(0, 400)
}

function end(socket: Socket): void {
  socket.destroy()
  if (--inFlight > 0) return
  const seconds = (performance.now() - started) / 1_000
  const sorted = times.toSorted((a, b) => a - b)
  const percentile = (part: number): number => Math.round(sorted[Math.floor(part * (sorted.length - 1))] ?? 0)
  const [p50, p99] = [percentile(0.5), percentile(0.99)]
  const { user, system } = process.cpuUsage()
  console.log(
    JSON.stringify({ requests: times.length, errors, seconds, p50, p99, cpu: user + system, excerpt }),
  )
}
