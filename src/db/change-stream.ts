/**
 * The changes that a slot keeps, as they come: START_REPLICATION with pgoutput on a session of its own.
 *
 * Pulled, not pushed: what waits here is bounded, and when it is too much the socket is no longer read, so that the
 * server waits. Its signs of life are answered by a timer meanwhile, or it would take a slow reader for a dead one.
 */

import type { Duplex } from 'node:stream'
import type pg from 'pg'
import { serialize } from 'pg-protocol'
import { fail } from '../base/errors.ts'
import { sleep } from '../base/time.ts'
import { withClient } from './client.ts'
import { type Change, PgOutput } from './pgoutput.ts'
import { isInUse, lsnText, openWalsender, releaseSlot, type WalsenderOptions } from './replication.ts'

export interface StreamOptions extends WalsenderOptions {
  readonly slot: string
  readonly publication: string
  /** Transactions whose end is not behind it are left out; 0 for all that the slot has. */
  readonly from: bigint
}

/** The server has said that it has nothing more up to here. Outside of a transaction it may be acknowledged. */
export interface Idle {
  readonly kind: 'idle'
  readonly lsn: bigint
}

export interface ChangeStream {
  /** The next change, undefined when none waits. */
  take(): Change | Idle | undefined
  /** Resolves when `take` has something. @throws what has ended the stream */
  arrival(): Promise<void>
  /** How many ends of transactions wait. */
  readonly commits: number
  /** Say that everything up to `lsn` is kept on the other side: the server may forget it. */
  acknowledge(lsn: bigint): void
  /** Calls `listener` once the stream has ended otherwise than by `end`. */
  onLost(listener: (error: Error) => void): void
  end(): Promise<void>
}

/** Bytes of messages that wait before the socket is left alone; one message may be larger by itself. */
const WAITING_MAX = 8_388_608

/** Changes that were taken and are not cut off yet. */
const FORGET_AT = 5_000

/** Milliseconds between two words to the server; it gives up after 60,000 without one (wal_sender_timeout). */
const STATUS_MS = 1_000

/** Milliseconds in which whoever used the slot before has to be gone. */
const RELEASED_MS = 10_000

/**
 * @param url  of a role with REPLICATION
 * @throws TENANT_BUSY  another session uses the slot and does not end
 * @throws REFUSED      the database keeps text of unknown encoding
 * @throws              the driver's error: the slot is gone, or can no longer give what it kept
 */
export async function openStream(url: string, options: StreamOptions): Promise<ChangeStream> {
  const end = performance.now() + RELEASED_MS
  for (;;) {
    const client = await openWalsender(url, options)
    try {
      await requireEncoding(client)
      return await start(client, options)
    } catch (error) {
      client.end().catch(() => {})
      if (!isInUse(error)) throw error
      if (performance.now() > end)
        fail('TENANT_BUSY', `The session that uses the slot ${options.slot} does not end.`)
    }
    const { applicationName } = options
    await withClient(
      url,
      (ordinary) => releaseSlot(ordinary, options.slot),
      applicationName === undefined ? {} : { applicationName },
    )
    await sleep(50)
  }
}

// From all others Postgres makes UTF-8 for us. Of SQL_ASCII it knows nothing, and bytes that are none would be lost.
async function requireEncoding(client: pg.Client): Promise<void> {
  const { rows } = await client.query('show server_encoding')
  const [row] = rows as { server_encoding: string }[]
  if (row?.server_encoding !== 'SQL_ASCII') return
  fail(
    'REFUSED',
    'The database has the encoding SQL_ASCII: what its text means is not known, so it is not followed.',
  )
}

function start(client: pg.Client, { slot, publication, from }: StreamOptions): Promise<ChangeStream> {
  const names = `"${publication.replaceAll('"', '""')}"`.replaceAll("'", "''")
  const command =
    `START_REPLICATION SLOT "${slot}" LOGICAL ${lsnText(from)} ` +
    `(proto_version '1', publication_names '${names}', messages 'true')`
  return new Promise((resolve, reject) => {
    const stream = new Stream(client, command, from)
    client.connection.once('replicationStart', () => {
      stream.begin()
      resolve(stream)
    })
    stream.onLost(reject)
    client.query(stream as unknown as pg.Submittable)
  })
}

class Stream implements ChangeStream {
  readonly #client: pg.Client
  readonly #socket: Duplex
  readonly #command: string
  readonly #output = new PgOutput()
  #waiting: { readonly change: Change | Idle; readonly bytes: number }[] = []
  /** How many of `#waiting` are taken. */
  #taken = 0
  #bytes = 0
  commits = 0
  #received: bigint
  #kept: bigint
  #status: NodeJS.Timeout | undefined
  #lost: Error | undefined
  #isEnding = false
  #arrived: (() => void) | undefined
  readonly #onLost: ((error: Error) => void)[] = []

  constructor(client: pg.Client, command: string, from: bigint) {
    this.#client = client
    this.#socket = client.connection.stream
    this.#command = command
    this.#received = from
    this.#kept = from
    client.on('end', () => this.#fail(new Error('Postgres closed the session of the stream.')))
    client.on('error', (error) => this.#fail(error))
    client.connection.on('copyDone', () =>
      this.#fail(new Error('Postgres ended the stream: it is shutting down.')),
    )
  }

  begin(): void {
    this.#status = setInterval(() => this.#say(), STATUS_MS)
  }

  take(): Change | Idle | undefined {
    const first = this.#waiting[this.#taken]
    if (!first) return undefined
    this.#taken += 1
    if (this.#taken === this.#waiting.length || this.#taken > FORGET_AT) {
      this.#waiting = this.#waiting.slice(this.#taken)
      this.#taken = 0
    }
    this.#bytes -= first.bytes
    if (first.change.kind === 'commit') this.commits -= 1
    if (this.#bytes < WAITING_MAX / 2 && this.#socket.isPaused()) this.#socket.resume()
    return first.change
  }

  async arrival(): Promise<void> {
    if (this.#waiting.length === 0 && !this.#lost) {
      await new Promise<void>((resolve) => {
        this.#arrived = resolve
      })
    }
    if (this.#waiting.length === 0 && this.#lost) throw this.#lost
  }

  acknowledge(lsn: bigint): void {
    if (lsn > this.#kept) this.#kept = lsn
    if (lsn > this.#received) this.#received = lsn
  }

  onLost(listener: (error: Error) => void): void {
    if (this.#lost) listener(this.#lost)
    else this.#onLost.push(listener)
  }

  async end(): Promise<void> {
    this.#isEnding = true
    if (!this.#lost) this.#say()
    this.#fail(new Error('The stream was ended.'))
    this.#socket.resume()
    await this.#client.end()
  }

  #fail(error: Error): void {
    clearInterval(this.#status)
    if (this.#lost) return
    this.#lost = error
    this.#arrived?.()
    if (!this.#isEnding) for (const listener of this.#onLost) listener(error)
  }

  // What the driver asks of a query.

  submit(connection: { query(text: string): void }): void {
    connection.query(this.#command)
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    try {
      this.#hear(chunk)
    } catch (error) {
      this.#fail(error as Error)
      this.#socket.destroy()
    }
  }

  handleError(error: Error): void {
    this.#fail(error)
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.#fail(new Error('Postgres ended the stream.'))
  }

  #hear(chunk: Buffer): void {
    const kind = chunk.readUInt8(0)
    if (kind === WAL_DATA) {
      const lsn = chunk.readBigUInt64BE(1)
      if (lsn > this.#received) this.#received = lsn
      this.#put(this.#output.read(chunk.subarray(25)), chunk.length)
    } else if (kind === KEEPALIVE) {
      const lsn = chunk.readBigUInt64BE(1)
      if (lsn > this.#received) this.#received = lsn
      this.#put({ kind: 'idle', lsn }, 0)
      if (chunk.readUInt8(17) === 1) this.#say()
    }
  }

  #put(change: Change | Idle, bytes: number): void {
    if (change.kind === 'other') return
    // Of several in a row the last says it all.
    if (change.kind === 'idle' && this.#waiting.at(-1)?.change.kind === 'idle') {
      this.#waiting[this.#waiting.length - 1] = { change, bytes }
      return
    }
    this.#waiting.push({ change, bytes })
    this.#bytes += bytes
    if (change.kind === 'commit') this.commits += 1
    if (this.#bytes > WAITING_MAX) this.#socket.pause()
    this.#arrived?.()
    this.#arrived = undefined
  }

  /** How far we are: received, and kept on the other side. */
  #say(): void {
    if (this.#socket.destroyed || !this.#socket.writable) return
    const status = Buffer.alloc(34)
    status.writeUInt8(STATUS, 0)
    status.writeBigUInt64BE(this.#received, 1)
    status.writeBigUInt64BE(this.#kept, 9)
    status.writeBigUInt64BE(this.#kept, 17)
    status.writeBigInt64BE(BigInt(Date.now() - EPOCH_MS) * 1_000n, 25)
    this.#socket.write(serialize.copyData(status))
  }
}

const WAL_DATA = 'w'.charCodeAt(0)
const KEEPALIVE = 'k'.charCodeAt(0)
const STATUS = 'r'.charCodeAt(0)

/** Where Postgres's clock begins: 2000-01-01. */
const EPOCH_MS = 946_684_800_000
