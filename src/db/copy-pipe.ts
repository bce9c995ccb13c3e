/**
 * Rows out of one connection straight into another: what `COPY … TO STDOUT` answers is what `COPY … FROM STDIN` takes,
 * message for message, so that the bytes are passed on as they came and nothing looks into them.
 *
 * Each side gets all of its statements in one message and nobody waits for an answer in between: ten small tables take
 * one round trip on each side, where one by one they took some thirty. Text by text the same works for large tables, with
 * the pace of whoever is slower: reading stops while the other side has more than it has taken.
 */

import type { Socket } from 'node:net'
import type pg from 'pg'
import type { Client } from './client.ts'
import { type SQL, sql } from './sql.ts'

/** Statements of each side, sent as they stand; the COPYs among them are as many on both, in the same order. */
export interface PipeScript {
  readonly read: readonly SQL[]
  readonly write: readonly SQL[]
}

export interface PipeOptions {
  readonly signal?: AbortSignal
  /** Told after each piece; more is read once what it gives has come true. @param rows  that came with the piece */
  readonly pace?: (bytes: number, rows: number) => Promise<void> | undefined
}

/** Rows by COPY, in the order of the script. */
export interface Piped {
  readonly read: readonly number[]
  readonly written: readonly number[]
  readonly bytes: number
}

/** Run both scripts to their end. A rejection ends both connections, as far as they were not done. */
export function pipeCopies(
  from: Client,
  to: Client,
  { read, write }: PipeScript,
  { signal, pace }: PipeOptions = {},
): Promise<Piped> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const stop = (): void => failed(signal?.reason)
    const failed = (error: unknown): void => {
      signal?.removeEventListener('abort', stop)
      reader.giveUp()
      writer.giveUp()
      reject(error)
    }
    const done = (): void => {
      if (!reader.isDone || !writer.isDone) return
      signal?.removeEventListener('abort', stop)
      resolve({ read: reader.counts, written: writer.counts, bytes: reader.bytes })
    }
    const writer = new Writer(textOf(write), () => from.submit(reader), { done, failed })
    const reader = new Reader(textOf(read), writer, pace, { done, failed })
    signal?.addEventListener('abort', stop)
    to.submit(writer)
  })
}

interface Ends {
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

/** What both sides do as pg's client sees them. */
class Script implements pg.Submittable {
  readonly counts: number[] = []
  isDone = false
  protected connection: pg.Connection | undefined
  readonly #text: string
  readonly #ends: Ends

  constructor(text: string, ends: Ends) {
    this.#text = text
    this.#ends = ends
  }

  submit(connection: pg.Connection): void {
    this.connection = connection
    connection.query(this.#text)
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    const rows = /^COPY (\d+)/.exec(text)?.[1]
    if (rows !== undefined) this.counts.push(Number(rows))
  }

  handleReadyForQuery(): void {
    this.isDone = true
    this.#ends.done()
  }

  handleError(error: Error): void {
    this.#ends.failed(error)
  }

  /**
   * End the connection: rows may be on their way that pg has no use for, or half of one may have been written, after
   * which nothing else would be understood. The server undoes what it had begun.
   */
  giveUp(): void {
    if (!this.isDone) this.connection?.stream.destroy()
  }

  // Of statements beside the COPYs.
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleEmptyQuery(): void {}
  handleCopyInResponse(): void {}
}

class Writer extends Script {
  readonly #begun: () => void

  constructor(text: string, begun: () => void, ends: Ends) {
    super(text, ends)
    this.#begun = begun
  }

  override submit(connection: pg.Connection): void {
    super.submit(connection)
    this.#begun()
  }

  /** Whether it has more than the other end has taken. */
  get isFull(): boolean {
    return (this.connection?.stream as Socket | undefined)?.writableNeedDrain ?? false
  }

  write(bytes: Buffer): void {
    this.connection?.stream.write(bytes)
  }

  onDrain(work: () => void): void {
    this.connection?.stream.once('drain', work)
  }
}

const HEAD = 5
const COPY_DATA = 0x64
const COPY_DONE = 0x63

/** Sends the messages of COPY to the writer and leaves all others to pg. */
class Reader extends Script {
  bytes = 0
  readonly #writer: Writer
  readonly #pace: PipeOptions['pace']
  #stream: Socket | undefined
  #toPg: ((bytes: Buffer) => void) | undefined
  readonly #listener = (bytes: Buffer): void => this.#take(bytes)
  /** Begin of a message whose length has not come yet. */
  #begun: Buffer | undefined
  /** Bytes of the present message that have not come yet, and whose they are. */
  #left = 0
  #isRows = false

  constructor(text: string, writer: Writer, pace: PipeOptions['pace'], ends: Ends) {
    super(text, ends)
    this.#writer = writer
    this.#pace = pace
  }

  override submit(connection: pg.Connection): void {
    this.#stream = connection.stream as Socket
    const [own] = this.#stream.listeners('data')
    this.#toPg = own as (bytes: Buffer) => void
    this.#stream.off('data', this.#toPg)
    this.#stream.on('data', this.#listener)
    super.submit(connection)
  }

  override handleReadyForQuery(): void {
    this.#release()
    super.handleReadyForQuery()
  }

  /** Give the connection back to pg. */
  #release(): void {
    const [stream, toPg] = [this.#stream, this.#toPg]
    this.#stream = undefined
    if (!stream || !toPg) return
    stream.off('data', this.#listener)
    stream.on('data', toPg)
    stream.resume()
  }

  #take(piece: Buffer): void {
    const chunk = this.#begun ? Buffer.concat([this.#begun, piece]) : piece
    this.#begun = undefined
    const before = this.bytes
    let [start, at, rows] = [0, 0, 0]
    while (at < chunk.length) {
      if (this.#left === 0) {
        if (chunk.length - at < HEAD) {
          this.#begun = chunk.subarray(at)
          break
        }
        const code = chunk[at]
        const isRows = code === COPY_DATA || code === COPY_DONE
        if (isRows !== this.#isRows) {
          this.#pass(chunk.subarray(start, at))
          this.#isRows = isRows
          start = at
        }
        if (code === COPY_DATA) rows++
        this.#left = 1 + chunk.readUInt32BE(at + 1)
      }
      const step = Math.min(this.#left, chunk.length - at)
      this.#left -= step
      at += step
    }
    this.#pass(chunk.subarray(start, at))
    this.#hold(this.bytes - before, rows)
  }

  #pass(bytes: Buffer): void {
    if (bytes.length === 0) return
    if (this.#isRows) {
      this.bytes += bytes.length
      this.#writer.write(bytes)
    } else this.#toPg?.(bytes)
  }

  /** Read on when the writer has room and the pace allows it. */
  #hold(bytes: number, rows: number): void {
    if (bytes === 0) return
    const paced = this.#pace?.(bytes, rows)
    const isFull = this.#writer.isFull
    if (!this.#stream || (!paced && !isFull)) return
    this.#stream.pause()
    const drained = isFull ? new Promise<void>((resolve) => this.#writer.onDrain(resolve)) : undefined
    Promise.all([paced, drained]).then(
      () => this.#stream?.resume(),
      (error: unknown) => this.handleError(error as Error),
    )
  }
}

// COPY is no statement that could be prepared: it has no parameters, and neither have those that go with it.
function textOf(statements: readonly SQL[]): string {
  const { text, values } = sql.compile(sql.join([...statements], '; '))
  if (values.length > 0) throw new Error('COPY takes no parameters.')
  return text
}
