/**
 * What goes to Postgres on one connection, gathered until the event loop has looked at everything that has arrived: one
 * write for all batches of that turn, where each message by itself would be a piece of one.
 *
 * Under load a write costs more than all that a point query does in between; 32 requests at once on 3 connections are
 * some 3 writes and not 32.
 */

export interface Sink {
  readonly destroyed: boolean
  write(bytes: Uint8Array): unknown
}

export class Outbox {
  readonly #sink: () => Sink
  #parts: Uint8Array[] = []

  constructor(sink: () => Sink) {
    this.#sink = sink
  }

  /** Whether something waits for the end of the turn: more would go with it at no cost. */
  get isWaiting(): boolean {
    return this.#parts.length > 0
  }

  /** Send `parts` at the end of this turn of the event loop, behind what was added before. */
  add(parts: readonly Uint8Array[]): void {
    if (this.#parts.length === 0) setImmediate(() => this.#flush())
    for (const part of parts) this.#parts.push(part)
  }

  #flush(): void {
    const parts = this.#parts
    this.#parts = []
    const sink = this.#sink()
    if (!sink.destroyed) sink.write(Buffer.concat(parts))
  }
}
