/**
 * Postgres's wire protocol, as far as a proxy needs it: where one message ends and the next begins, what
 * kind it is, and the one text in it that a test would ask for.
 *
 * After the startup packet each message is a type byte, a length of four bytes that counts itself, and a
 * body (PostgreSQL documentation, "Message Formats"). One letter means different things in the two
 * directions ('D' asks to describe, or is a row), so messages are known by their names in the manual.
 */

export type Direction = 'to-server' | 'to-client'

export interface Message {
  readonly direction: Direction
  /** As in the manual: 'Query', 'Bind', 'DataRow', 'CommandComplete', …; '?x' for a letter not known here. */
  readonly type: string
  /**
   * Query and Parse: the SQL. Bind: the SQL of the statement it binds. CommandComplete: the tag.
   * ErrorResponse and NoticeResponse: SQLSTATE, a space, the message. ReadyForQuery: I, T or E.
   * ParameterStatus: name=value. Startup: the pairs, name=value, with a space between.
   */
  readonly text?: string
  readonly bytes: Buffer
  /** Number of the connection at the proxy, from 1. */
  readonly connection: number
}

/** Cuts the bytes of one direction into messages. */
export interface Framer {
  push(chunk: Buffer): Message[]
}

/** Both directions of one connection: they share what the handshake and Parse have settled. */
export interface Conversation {
  readonly toServer: Framer
  readonly toClient: Framer
}

interface Shared {
  readonly connection: number
  readonly statements: Map<string, string>
  startup: boolean
  awaitingSsl: boolean
  /** Encrypted, or not Postgres: bytes pass as they come, as messages of the type 'Opaque'. */
  opaque: boolean
}

export function conversation(connection: number): Conversation {
  const shared: Shared = {
    connection,
    statements: new Map(),
    startup: true,
    awaitingSsl: false,
    opaque: false,
  }
  return { toServer: framer('to-server', shared), toClient: framer('to-client', shared) }
}

function framer(direction: Direction, shared: Shared): Framer {
  let rest: Buffer = Buffer.alloc(0)
  return {
    push(chunk) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const messages: Message[] = []
      for (;;) {
        const length = lengthOf(rest, direction, shared)
        if (length === 0 || rest.length < length) return messages
        messages.push(read(rest.subarray(0, length), direction, shared))
        rest = rest.subarray(length)
      }
    },
  }
}

const TLS_HANDSHAKE = 0x16

// 0 means: not enough bytes yet to tell.
function lengthOf(bytes: Buffer, direction: Direction, shared: Shared): number {
  if (bytes.length === 0) return 0
  if (bytes[0] === TLS_HANDSHAKE && direction === 'to-server' && shared.startup) shared.opaque = true
  if (shared.opaque) return bytes.length
  if (direction === 'to-client' && shared.awaitingSsl) return 1
  const at = direction === 'to-server' && shared.startup ? 0 : 1
  if (bytes.length < at + 4) return 0
  const length = bytes.readUInt32BE(at)
  if (length >= 4 && length <= 2 ** 30) return at + length
  shared.opaque = true
  return bytes.length
}

function read(bytes: Buffer, direction: Direction, shared: Shared): Message {
  const { type, text } = meaning(bytes, direction, shared)
  const message = { direction, type, bytes, connection: shared.connection }
  return text === undefined ? message : { ...message, text }
}

type Meaning = Pick<Message, 'type' | 'text'>

function meaning(bytes: Buffer, direction: Direction, shared: Shared): Meaning {
  if (shared.opaque) return { type: 'Opaque' }
  if (direction === 'to-client' && shared.awaitingSsl) return sslAnswer(bytes, shared)
  if (direction === 'to-server' && shared.startup) return opening(bytes, shared)
  const letter = String.fromCharCode(bytes[0]!)
  const type = NAMES[direction][letter] ?? `?${letter}`
  const text = textOf(type, bytes.subarray(5), shared)
  return text === undefined ? { type } : { type, text }
}

function sslAnswer(bytes: Buffer, shared: Shared): Meaning {
  shared.awaitingSsl = false
  shared.opaque = bytes[0] === 0x53 // 'S': what follows is encrypted
  return { type: 'EncryptionResponse', text: bytes.toString('latin1') }
}

const CANCEL = 80877102
const SSL = 80877103
const GSS = 80877104

function opening(bytes: Buffer, shared: Shared): Meaning {
  const code = bytes.length >= 8 ? bytes.readUInt32BE(4) : 0
  if (code === CANCEL) return { type: 'CancelRequest' }
  if (code === SSL || code === GSS) {
    shared.awaitingSsl = true
    return { type: code === SSL ? 'SSLRequest' : 'GSSENCRequest' }
  }
  shared.startup = false
  const words = bytes.toString('utf8', 8).split('\0').filter(Boolean)
  const pairs = words.flatMap((word, i) => (i % 2 === 0 ? [`${word}=${words[i + 1] ?? ''}`] : []))
  return { type: 'Startup', text: pairs.join(' ') }
}

function textOf(type: string, body: Buffer, shared: Shared): string | undefined {
  switch (type) {
    case 'Query':
    case 'CommandComplete':
      return strings(body, 1)[0]
    case 'Parse': {
      const [name, sql] = strings(body, 2) as [string, string]
      shared.statements.set(name, sql)
      return sql
    }
    case 'Bind':
      return shared.statements.get(strings(body, 2)[1] ?? '')
    case 'ErrorResponse':
    case 'NoticeResponse':
      return reportOf(body)
    case 'ReadyForQuery':
      return body.toString('latin1')
    case 'ParameterStatus':
      return strings(body, 2).join('=')
    default:
      return undefined
  }
}

function strings(body: Buffer, count: number): string[] {
  const found: string[] = []
  for (let at = 0; found.length < count; ) {
    const end = body.indexOf(0, at)
    if (end === -1) break
    found.push(body.toString('utf8', at, end))
    at = end + 1
  }
  return found
}

function reportOf(body: Buffer): string {
  const fields = body.toString('utf8').split('\0')
  const field = (letter: string) => fields.find((it) => it.startsWith(letter))?.slice(1) ?? ''
  return `${field('C')} ${field('M')}`
}

const NAMES: Readonly<Record<Direction, Readonly<Record<string, string>>>> = {
  'to-server': {
    B: 'Bind',
    C: 'Close',
    D: 'Describe',
    E: 'Execute',
    F: 'FunctionCall',
    H: 'Flush',
    P: 'Parse',
    Q: 'Query',
    S: 'Sync',
    X: 'Terminate',
    c: 'CopyDone',
    d: 'CopyData',
    f: 'CopyFail',
    p: 'Password',
  },
  'to-client': {
    '1': 'ParseComplete',
    '2': 'BindComplete',
    '3': 'CloseComplete',
    A: 'NotificationResponse',
    C: 'CommandComplete',
    D: 'DataRow',
    E: 'ErrorResponse',
    G: 'CopyInResponse',
    H: 'CopyOutResponse',
    I: 'EmptyQueryResponse',
    K: 'BackendKeyData',
    N: 'NoticeResponse',
    R: 'Authentication',
    S: 'ParameterStatus',
    T: 'RowDescription',
    V: 'FunctionCallResponse',
    W: 'CopyBothResponse',
    Z: 'ReadyForQuery',
    c: 'CopyDone',
    d: 'CopyData',
    n: 'NoData',
    s: 'PortalSuspended',
    t: 'ParameterDescription',
    v: 'NegotiateProtocolVersion',
  },
}
