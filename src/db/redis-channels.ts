/**
 * Channels of Redis, heard by a connection of their own, and the gaps in what is heard.
 *
 * Redis keeps no message: whoever is not connected has missed it, and nobody tells him. So each moment after which that
 * may be so is told as a gap. A publisher who could not publish says so later, in a second channel beside the first.
 */

import type { Redis as Client } from 'ioredis'
import { KeptConnection } from './redis-connection.ts'
import { within } from './within.ts'

/**
 * Milliseconds between two signs of life, and for one: a connection that was cut without a word would be deaf until
 * TCP gives up, which is a quarter of an hour.
 */
const PULSE_MS = 1_000

/** The channel beside `channel` in which gaps are told. */
export const gapsOf = (channel: string): string => `${channel}:gaps`

interface Listener {
  readonly onMessage: (text: string) => void
  readonly onGap: () => void
}

export class Channels {
  readonly #url: string
  readonly #listeners = new Map<string, Set<Listener>>()
  /** Those that Redis has been asked for on the connection of now. */
  readonly #asked = new Set<string>()
  /** Made when somebody listens. */
  #kept: KeptConnection | undefined
  #pulse: NodeJS.Timeout | undefined

  constructor(url: string) {
    this.#url = url
  }

  /** @returns what ends it */
  hear(channel: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(channel) ?? new Set()
    this.#listeners.set(channel, listeners.add(listener))
    this.#kept ??= this.#open()
    void this.#ask()
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#leave(channel)
    }
  }

  end(): void {
    clearInterval(this.#pulse)
    this.#kept?.end()
    this.#listeners.clear()
  }

  #open(): KeptConnection {
    this.#pulse = setInterval(() => void this.#prove((client) => client.ping()), PULSE_MS).unref()
    return new KeptConnection({
      url: this.#url,
      name: 'shardgate-channels',
      check: (client) => client.ping(),
      checkMs: PULSE_MS,
      onUp: (client) => {
        client.on('message', (channel: string, text: string) => this.#tell(channel, text))
        void this.#ask()
      },
      onDown: () => {
        this.#asked.clear()
        this.#tellGap(this.#listeners.keys())
      },
    })
  }

  /** Ask Redis for the channels that it does not send us yet. What came before it does is missed. */
  async #ask(): Promise<void> {
    const missing = [...this.#listeners.keys()].filter((channel) => !this.#asked.has(channel))
    if (missing.length === 0 || !this.#kept?.client) return
    for (const channel of missing) this.#asked.add(channel)
    const isHeard = await this.#prove((client) =>
      client.subscribe(...missing.flatMap((name) => [name, gapsOf(name)])),
    )
    if (isHeard) this.#tellGap(missing)
  }

  #leave(channel: string): void {
    this.#listeners.delete(channel)
    if (this.#asked.delete(channel)) {
      void this.#prove((client) => client.unsubscribe(channel, gapsOf(channel)))
    }
  }

  /** What is not answered in time ends the connection. */
  async #prove(work: (client: Client) => Promise<unknown>): Promise<boolean> {
    const client = this.#kept?.client
    if (!client) return false
    try {
      await within(work(client), PULSE_MS)
      return true
    } catch {
      this.#kept?.drop(client, 'a channel does not answer')
      return false
    }
  }

  #tell(channel: string, text: string): void {
    const listeners = this.#listeners.get(channel)
    if (listeners) for (const { onMessage } of listeners) guarded(() => onMessage(text))
    else this.#tellGap([...this.#listeners.keys()].filter((heard) => gapsOf(heard) === channel))
  }

  #tellGap(channels: Iterable<string>): void {
    for (const channel of channels) {
      for (const { onGap } of this.#listeners.get(channel) ?? []) guarded(onGap)
    }
  }
}

/** A listener that throws would end the process: it is called from a socket. */
function guarded(tell: () => void): void {
  try {
    tell()
  } catch {
    // Nothing to be done for it, and the others must hear.
  }
}
