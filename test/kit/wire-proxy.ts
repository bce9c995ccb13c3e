/**
 * A TCP proxy in front of a Postgres server, in the test's own process, that can do to a connection what
 * networks and dying servers do: delay, slice, swallow, refuse, cut at any byte or at any message, and
 * mix up answers.
 *
 *     const proxy = await wireProxy(server.port)
 *     const lost = proxy.on(commandComplete('COMMIT'), 'cut', { times: 1 })
 *     … a write through proxy.url(url): the server has committed, and the client never hears of it …
 *     await lost.hit
 *
 * Cancel requests pass as they come. Encrypted connections pass too, but nothing in them can be matched.
 */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import {
  type Answerer,
  type AnswerMatch,
  batchTracker,
  crosser,
  replayer,
  swapper,
  type Trick,
} from './wire-answers.ts'
import { carry, type Traffic } from './wire-lane.ts'
import { conversation, type Direction, type Message } from './wire-messages.ts'
import { type Action, byteLimits, type MessageMatch, type Rule, ruleSet } from './wire-rules.ts'

export interface WireProxy {
  /** On 127.0.0.1. */
  readonly port: number
  readonly counts: Readonly<Counts>
  /** SQL of the latest Query and Parse messages, at most 10,000. */
  readonly statements: readonly string[]
  /** SQL of the latest Query and Bind messages, at most 10,000: each run of a prepared statement. */
  readonly executed: readonly string[]
  /** The same connection string, by way of this proxy. */
  url(url: string): string
  /** Carry plainly from now on, without tricks; what the black hole made deaf stays so until it is cut. */
  pass(): void
  /** Each message arrives `ms` milliseconds later and up to `jitterMs` more, in each direction, in order. */
  delay(ms: number, jitterMs?: number): void
  /** One byte a write. */
  slice(): void
  /** Accept, and swallow every byte either way without a sign: a half-open connection. */
  blackhole(): void
  /** Refuse new connections; open ones go on. */
  refuse(): Promise<void>
  /** Listen again, on the same port. */
  restore(): Promise<void>
  /** Cut every open connection now, by a reset or by an orderly end of the stream. */
  cut(how?: Cut): void
  /** Cut the connection that carries the `bytes`-th byte from now, right after it. Resolves when it has. */
  cutAfterBytes(bytes: number, direction: Direction): Promise<void>
  /** Do `action` to messages that match, `times` times at most (always by default). */
  on(match: MessageMatch, action: Action, options?: { times?: number }): Rule
  /**
   * Give the next matching answers of two connections to each other. The first waits until the second is
   * there. Resolves when both are on their way.
   */
  swapAnswers(first?: AnswerMatch, second?: AnswerMatch): Promise<void>
  /**
   * Give the next matching answers of two batches in flight on one connection to each other. Resolves when both are on
   * their way.
   */
  crossAnswers(first?: AnswerMatch, second?: AnswerMatch): Promise<void>
  /** Answer the next batch that `onto` matches with the bytes of an earlier one that `record` matched. */
  replayAnswer(record: AnswerMatch, onto: AnswerMatch): Promise<void>
  /** Cut everything and free the port. */
  close(): Promise<void>
}

export type Cut = 'reset' | 'end'

interface Counts {
  /** Accepted since the start. */
  connections: number
  open: number
  cancels: number
  /** Connections that the proxy ended by itself. */
  cuts: number
  /** Messages that arrived from the client, and from the server. */
  toServer: number
  toClient: number
}

/** One connection and its twin to the server; there is none when it was opened into the black hole. */
interface Link {
  readonly client: Socket
  readonly server: Socket | undefined
  /** Bytes were lost: from here on both ends wait for ever. */
  deaf: boolean
  /** Resolves when both ends are closed. */
  readonly gone: Promise<unknown>
}

type Mode =
  | { readonly kind: 'pass' | 'slice' | 'blackhole' }
  | { readonly kind: 'delay'; ms: number; jitterMs: number }

/** For `on`: the server's report that a command is done. @param tag  'COMMIT', 'INSERT 0 1', … */
export function commandComplete(tag: string): MessageMatch {
  return ({ type, text }) => type === 'CommandComplete' && text === tag
}

/** Proxy to the Postgres server at this port of 127.0.0.1. */
export async function wireProxy(targetPort: number): Promise<WireProxy> {
  const counts: Counts = { connections: 0, open: 0, cancels: 0, cuts: 0, toServer: 0, toClient: 0 }
  const sql = sqlRecord()
  const links = new Set<Link>()
  const rules = ruleSet()
  const limits = byteLimits()
  const answerers = new Set<Answerer>()
  let mode: Mode = { kind: 'pass' }

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    counts.connections++
    counts.open++
    const to = { port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }
    const link = openLink(client, mode.kind === 'blackhole' ? undefined : connect(to))
    links.add(link)
    void link.gone.then(() => {
      counts.open--
      links.delete(link)
    })
    if (link.server) join(link, link.server, counts.connections)
  })

  function join(link: Link, target: Socket, number: number): void {
    const framers = conversation(number)
    const common = { tracker: batchTracker(), traffic: trafficOf(link), cut: () => cutLink(link, 'end') }
    carry({ ...common, direction: 'to-server', from: link.client, to: target, framer: framers.toServer })
    carry({ ...common, direction: 'to-client', from: target, to: link.client, framer: framers.toClient })
  }

  function trafficOf(link: Link): Traffic {
    return {
      delayMs: () => (mode.kind === 'delay' ? mode.ms + Math.random() * mode.jitterMs : 0),
      sliced: () => mode.kind === 'slice',
      deaf: () => (link.deaf ||= mode.kind === 'blackhole'),
      gathering: () => answerers.size > 0,
      decide(message) {
        note(message)
        return rules.decide(message)
      },
      answer(answer) {
        for (const answerer of answerers) {
          const bytes = answerer(answer)
          if (bytes) return bytes
        }
        return answer.bytes
      },
      allowance: limits.allowance,
    }
  }

  function note(message: Message): void {
    counts[message.direction === 'to-server' ? 'toServer' : 'toClient']++
    if (message.type === 'CancelRequest') counts.cancels++
    if (message.direction === 'to-server') sql.note(message)
  }

  function cutLink(link: Link, how: Cut): void {
    counts.cuts++
    destroy(link, how)
  }

  async function play({ answerer, done }: Trick): Promise<void> {
    answerers.add(answerer)
    await done
    answerers.delete(answerer)
  }

  await listen(0)
  const { port } = server.address() as AddressInfo

  async function listen(at: number): Promise<void> {
    server.listen(at, '127.0.0.1')
    await once(server, 'listening')
  }

  // Not awaited to its end: `close` of a server also waits for the connections that are open.
  async function refuse(): Promise<void> {
    if (server.listening) server.close()
  }

  return {
    port,
    counts,
    statements: sql.statements,
    executed: sql.executed,
    url: (url) => Object.assign(new URL(url), { host: `127.0.0.1:${port}` }).href,
    pass: () => {
      mode = { kind: 'pass' }
      answerers.clear()
    },
    delay: (ms, jitterMs = 0) => {
      mode = { kind: 'delay', ms, jitterMs }
    },
    slice: () => {
      mode = { kind: 'slice' }
    },
    blackhole: () => {
      mode = { kind: 'blackhole' }
    },
    refuse,
    restore: () => listen(port),
    cut: (how = 'reset') => {
      for (const link of links) cutLink(link, how)
    },
    cutAfterBytes: limits.add,
    on: (match, action, { times = Number.POSITIVE_INFINITY } = {}) => rules.add(match, action, times),
    swapAnswers: (first = () => true, second = first) => play(swapper(first, second)),
    crossAnswers: (first = () => true, second = first) => play(crosser(first, second)),
    replayAnswer: (record, onto) => play(replayer(record, onto)),
    async close() {
      await refuse()
      rules.clear()
      for (const link of links) destroy(link, 'reset')
      await Promise.all(Array.from(links, (link) => link.gone))
    },
  }
}

// An end that goes takes the other with it, unless the link is deaf: then nobody is told.
function openLink(client: Socket, server: Socket | undefined): Link {
  const sockets = server ? [client, server] : [client]
  const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
  const link: Link = { client, server, deaf: server === undefined, gone: Promise.all(closed) }
  for (const socket of sockets) {
    socket.on('error', () => link.deaf || destroy(link, 'reset'))
    socket.on('close', () => link.deaf || destroy(link, 'end'))
  }
  if (!server) client.resume()
  return link
}

function destroy({ client, server }: Link, how: Cut): void {
  for (const socket of [client, server]) if (socket) closeSocket(socket, how)
}

// A reset is refused while an orderly end is on its way, and the socket then never closes (libuv's
// uv_tcp_close_reset gives EINVAL, Node 26). By itself `resetAndDestroy` waits for what is still to be
// written, for ever if nobody reads it.
function closeSocket(socket: Socket, how: Cut): void {
  if (how === 'end') {
    socket.destroySoon()
    return
  }
  if (!socket.writableEnded) socket.resetAndDestroy()
  socket.destroy()
}

const KEPT = 10_000

function sqlRecord() {
  const statements: string[] = []
  const executed: string[] = []
  const keep = (list: string[], text: string): void => {
    list.push(text)
    if (list.length > KEPT) list.splice(0, KEPT / 10)
  }
  return {
    statements,
    executed,
    note({ type, text }: Message): void {
      if (text === undefined) return
      if (type === 'Query' || type === 'Parse') keep(statements, text)
      if (type === 'Query' || type === 'Bind') keep(executed, text)
    },
  }
}
