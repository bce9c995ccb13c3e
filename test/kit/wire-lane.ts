/** One direction of one proxied connection: messages in, decided one after the other, bytes out in order. */

import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { sleep } from '../../src/base/time.ts'
import type { Answer, BatchTracker } from './wire-answers.ts'
import type { Direction, Framer, Message } from './wire-messages.ts'

/** What becomes of a message: 'cut-inside' sends half of it first; bytes are sent in its place. */
export type Verdict = 'pass' | 'drop' | 'cut' | 'cut-inside' | Buffer

/** What the proxy has been told to do, asked again at each message. */
export interface Traffic {
  delayMs(): number
  sliced(): boolean
  deaf(): boolean
  gathering(): boolean
  decide(message: Message): Verdict | Promise<Verdict>
  answer(answer: Answer): Buffer | Promise<Buffer>
  /** How many of `length` bytes may pass before the connection is to be cut; Infinity for all. */
  allowance(direction: Direction, length: number): number
}

export interface LaneOptions {
  readonly direction: Direction
  readonly from: Socket
  readonly to: Socket
  readonly framer: Framer
  readonly tracker: BatchTracker
  readonly traffic: Traffic
  /** End both ends of the connection, once what was written before has left. */
  readonly cut: () => void
}

const QUEUE_BYTES_MAX = 1024 * 1024

type Item = { readonly message: Message; readonly due: number } | 'end'

/** Start to carry bytes from one socket to the other. */
export function carry(options: LaneOptions): void {
  const { from, to, framer, traffic, direction } = options
  const queue: Item[] = []
  const out: Buffer[] = []
  let waiting = 0
  let pumping = false

  from.on('data', (chunk: Buffer) => {
    if (traffic.deaf()) return
    const due = performance.now() + traffic.delayMs()
    for (const message of framer.push(chunk)) {
      queue.push({ message, due })
      waiting += message.bytes.length
    }
    if (waiting > QUEUE_BYTES_MAX) from.pause()
    void pump()
  })
  from.on('end', () => {
    queue.push('end')
    void pump()
  })

  async function pump(): Promise<void> {
    if (pumping) return
    pumping = true
    for (let item = queue.shift(); item && to.writable; item = queue.shift()) {
      if (item === 'end') await finish()
      else await handle(item)
      if (queue.length === 0) await flush()
    }
    pumping = false
    from.resume()
  }

  async function finish(): Promise<void> {
    await flush()
    if (!traffic.deaf()) to.end()
  }

  async function handle({ message, due }: Exclude<Item, 'end'>): Promise<void> {
    waiting -= message.bytes.length
    if (due > performance.now()) {
      await flush()
      await sleep(due - performance.now())
    }
    const decided = traffic.decide(message)
    if (decided instanceof Promise) await flush()
    const verdict = await decided
    if (verdict === 'drop') return
    if (verdict === 'cut' || verdict === 'cut-inside') return cutAt(message, verdict)
    await pass(verdict === 'pass' ? message : { ...message, bytes: verdict })
  }

  async function cutAt(message: Message, verdict: 'cut' | 'cut-inside'): Promise<void> {
    if (verdict === 'cut-inside') out.push(message.bytes.subarray(0, Math.ceil(message.bytes.length / 2)))
    await flush()
    options.cut()
  }

  async function pass(message: Message): Promise<void> {
    if (direction === 'to-server') {
      options.tracker.asked(message)
      out.push(message.bytes)
      return
    }
    const answered = options.tracker.answered(message, traffic.gathering())
    if (answered === 'pass') out.push(message.bytes)
    else if (answered !== 'kept') {
      await flush()
      out.push(await traffic.answer(answered))
    }
  }

  async function flush(): Promise<void> {
    if (out.length === 0 || !to.writable) return
    const bytes = Buffer.concat(out.splice(0))
    if (traffic.deaf()) return
    const allowed = traffic.allowance(direction, bytes.length)
    await write(allowed < bytes.length ? bytes.subarray(0, allowed) : bytes)
    if (allowed !== Number.POSITIVE_INFINITY) options.cut()
  }

  async function write(bytes: Buffer): Promise<void> {
    const slices = traffic.sliced() ? Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)) : [bytes]
    for (const slice of slices) {
      if (!to.writable || slice.length === 0) return
      if (!to.write(slice)) await drained(to)
      if (slices.length > 1) await nextTurn()
    }
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done)
      resolve()
    }
    socket.on('drain', done).on('close', done)
  })
}
