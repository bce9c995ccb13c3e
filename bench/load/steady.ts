/**
 * Requests at a steady rate, whatever the answers do: one that should have been sent while others were waiting counts
 * from when it should have been sent. Goes on until its input ends, then prints one line of JSON: of each answer when
 * its request was due, in milliseconds since 1970, and how many milliseconds it took.
 *
 *     node steady.ts port rate connections file
 */

import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'

const [port = 0, rate = 0, connections = 0] = process.argv.slice(2, 5).map(Number)
const requests = readRequests(readFileSync(process.argv[5] ?? ''))
const agent = new Agent({ keepAlive: true, maxSockets: connections })
const answers: [due: number, ms: number][] = []
const errors: string[] = []
let isOver = false
process.stdin.on('data', () => {})
process.stdin.on('end', () => {
  isOver = true
})

interface Request {
  readonly authorization: string
  readonly body: string
}

/** Of the HTTP requests in a file, what differs between them. */
function readRequests(bytes: Buffer): Request[] {
  const found: Request[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at)
    const text = bytes.toString('utf8', at + 4, at + 4 + length)
    const authorization = /^authorization: *(.*)\r$/im.exec(text)?.[1] ?? ''
    found.push({ authorization, body: text.slice(text.indexOf('\r\n\r\n') + 4) })
    at += 4 + length
  }
  return found
}

function ask({ authorization, body }: Request, due: number): Promise<void> {
  const length = Buffer.byteLength(body)
  const headers = { 'content-type': 'application/json', authorization, 'content-length': length }
  return new Promise((resolve) => {
    const failed = (text: string): void => {
      errors.push(text.slice(0, 400))
      resolve()
    }
    const sent = request({ port, host: '127.0.0.1', path: '/graphql', method: 'POST', agent, headers })
    sent.on('error', (error) => failed(error.message))
    sent.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      response.on('end', () => {
        answers.push([performance.timeOrigin + due, performance.now() - due])
        if (response.statusCode !== 200 || text.includes('"errors":')) return failed(text)
        resolve()
      })
    })
    sent.end(body)
  })
}

const began = performance.now()
const open = new Set<Promise<void>>()
for (let n = 0; !isOver; n++) {
  const due = began + (n * 1_000) / rate
  const early = due - performance.now()
  if (early > 0) await new Promise((resolve) => setTimeout(resolve, early))
  const answer = ask(requests[n % requests.length]!, due)
  open.add(answer)
  answer.then(() => open.delete(answer))
}
await Promise.all(open)
agent.destroy()
console.log(JSON.stringify({ answers, errors }))
