/**
 * A connection to Redis that is kept: made, checked, thrown away on any doubt, and made anew a moment later.
 *
 *     made ─▶ checked ─▶ up ─▶ in doubt: destroyed ─▶ (a moment) ─▶ made …
 *
 * Each one is a client of its own that never reconnects, so that neither a parser nor a queue of a connection that
 * broke is there when the next one answers. (ioredis can reconnect by itself: it sends again what it does not know to be
 * done, and has given replies to other commands than they belong to after a cut in the middle of MULTI.) It is a breaker
 * as well: while no connection has passed the check, nobody waits for one, and the check is the trial.
 */

import { Redis as Client } from 'ioredis'
import { reasonOf } from './redis-faults.ts'
import { within } from './within.ts'

/** Milliseconds between two tries, less up to half of it, so that gateways do not come all at once. */
const RETRY_MS = 500
/** Milliseconds for a connection to be made, with TLS and log-in: a server that accepts and is silent costs no more. */
const CONNECT_MS = 2_000

export interface KeptOptions {
  readonly url: string
  /** Seen in CLIENT LIST. */
  readonly name: string
  /** Whether a new connection may be used: resolves, or rejects with the reason. */
  readonly check: (client: Client) => Promise<unknown>
  /** Milliseconds for the check. */
  readonly checkMs: number
  readonly onUp: (client: Client) => void
  /** Once for each outage, and where the first try has failed. */
  readonly onDown: (reason: string) => void
}

export class KeptConnection {
  readonly #options: KeptOptions
  /** Being made, or in use. */
  #client: Client | undefined
  #state: 'starting' | 'up' | 'down' = 'starting'
  /** The next thing to happen by itself: the end of a try, or the next try. */
  #timer: NodeJS.Timeout | undefined

  constructor(options: KeptOptions) {
    this.#options = options
    this.#open()
  }

  /** The connection, once it has passed the check. */
  get client(): Client | undefined {
    return this.#state === 'up' ? this.#client : undefined
  }

  /** Destroy `client` and make another; nothing happens where that is done already. */
  drop(client: Client, reason: string): void {
    if (client !== this.#client) return
    destroy(client)
    this.#client = undefined
    this.#next(() => this.#open(), RETRY_MS * (1 - Math.random() / 2))
    if (this.#state === 'down') return
    this.#state = 'down'
    this.#options.onDown(reason)
  }

  /** Close it for good; nobody is told. */
  end(): void {
    clearTimeout(this.#timer)
    this.#state = 'down'
    if (this.#client) destroy(this.#client)
    this.#client = undefined
  }

  #open(): void {
    const { url, name } = this.#options
    const client = new Client(url, { ...OPTIONS, connectionName: name })
    this.#client = client
    // Also a log-in or a database that was refused, after which ioredis would go on with those that there are.
    client.on('error', (error) => this.drop(client, reasonOf(error)))
    client.on('end', () => this.drop(client, 'the connection was closed'))
    client.on('ready', () => void this.#check(client))
    this.#next(() => this.drop(client, `no connection within ${CONNECT_MS} ms`), CONNECT_MS)
  }

  async #check(client: Client): Promise<void> {
    try {
      await within(this.#options.check(client), this.#options.checkMs)
    } catch (error) {
      return this.drop(client, reasonOf(error))
    }
    if (client !== this.#client) return
    clearTimeout(this.#timer)
    this.#state = 'up'
    this.#options.onUp(client)
  }

  #next(work: () => void, ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(work, ms).unref()
  }
}

const OPTIONS = Object.freeze({
  // RESP3 has nothing that is needed here, and costs a greeting that proxies and older servers refuse.
  protocol: 2,
  retryStrategy: () => null,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  autoResubscribe: false,
  // Our own check says more than INFO does, and while Redis is loading it says so at once.
  enableReadyCheck: false,
  disableClientInfo: true,
  connectTimeout: CONNECT_MS,
})

/** At once: an orderly end would wait for a server that may be stopped or cut off. */
function destroy(client: Client): void {
  client.disconnect()
  client.stream?.destroy()
}
