/**
 * The keys that an issuer serves over HTTP, kept while the issuer cannot be reached.
 *
 * jose's own remote set counts its cooldown from the last success, so that a dead endpoint gets a fetch
 * for every token, and refuses valid tokens ten minutes after the last success. Here the cooldown counts
 * every try, one fetch serves all who wait, and an old set serves on until it is a day old: losing the
 * endpoint must not lock every tenant out, and a withdrawn key is rare.
 *
 *     no set ──fetched──▶ fresh ──refreshMs──▶ old (serves on, fetched behind) ──staleMs──▶ no set
 */

import { LRUCache } from 'lru-cache'
import { fail } from '../base/errors.ts'
import type { Emit } from '../base/events.ts'
import type { Clock } from '../base/time.ts'
import { type PublicKey, readKeySet, selectKeys } from './key-set.ts'
import type { Keys } from './keys.ts'

export interface RemoteKeysTimes {
  /** Milliseconds after which the set is fetched again behind the requests. */
  readonly refreshMs: number
  /** Milliseconds between the begins of two fetches, whatever became of the first. */
  readonly cooldownMs: number
  /** Milliseconds that a key id which the issuer does not publish is remembered. */
  readonly absentMs: number
  /** Milliseconds that a set serves without a successful fetch. */
  readonly staleMs: number
  /** Milliseconds for one fetch, body included. */
  readonly timeoutMs: number
}

export const REMOTE_KEYS_TIMES: RemoteKeysTimes = Object.freeze({
  refreshMs: 300_000,
  cooldownMs: 10_000,
  absentMs: 30_000,
  staleMs: 86_400_000,
  timeoutMs: 5_000,
})

/** Bytes of a key set; large issuers publish 20 kB. */
export const KEY_SET_BYTES_MAX = 262_144

/** Key ids remembered as absent: a storm of random ones pushes out its own. */
const ABSENT_MAX = 1_000

export interface RemoteKeysOptions {
  /** For events. */
  readonly issuer: string
  readonly url: string
  readonly clock: Clock
  readonly emit: Emit
  readonly fetch: typeof globalThis.fetch
  readonly times?: RemoteKeysTimes
}

/** Keys fetched from `url`. Nothing is fetched before the first token asks. */
export function remoteKeys(options: RemoteKeysOptions): Keys {
  const { clock, times = REMOTE_KEYS_TIMES } = options
  const absent = new LRUCache<string, number>({ max: ABSENT_MAX }) // key id → elapsed() until which it holds
  let held: HeldSet | undefined
  let triedAt = Number.NEGATIVE_INFINITY
  let failed = false
  let flight: Promise<boolean> | undefined

  const age = (): number => (held ? clock.elapsed() - held.at : Number.POSITIVE_INFINITY)
  const inUse = (): HeldSet | undefined => (age() < times.staleMs ? held : undefined)

  const fetchOnce = async (): Promise<void> => {
    triedAt = clock.elapsed()
    try {
      const next = await download(options, times.timeoutMs)
      const changed = next.text !== held?.text
      held = { ...next, at: clock.elapsed(), generation: (held?.generation ?? 0) + (changed ? 1 : 0) }
      failed = false
      options.emit({ kind: 'keys.refreshed', issuer: options.issuer, keys: next.keys.length })
    } catch (error) {
      failed = true
      options.emit({ kind: 'keys.failed', issuer: options.issuer, reason: reasonOf(error) })
    }
  }

  /** True when a fetch was made or joined, false when the cooldown forbids one. Never rejects. */
  const refresh = (): Promise<boolean> => {
    if (flight) return flight
    if (clock.elapsed() - triedAt < times.cooldownMs) return Promise.resolve(false)
    flight = fetchOnce().then(() => {
      flight = undefined
      return true
    })
    return flight
  }

  const unavailable = (): never =>
    fail('AUTH_UNAVAILABLE', 'The keys of the token issuer cannot be read now, so no token can be checked.')

  const findAgain = async (alg: string, kid: string | undefined) => {
    const name = `${alg} ${kid ?? ''}`
    if ((absent.get(name) ?? 0) > clock.elapsed()) return []
    const fetched = await refresh()
    const found = selectKeys(inUse()?.keys ?? unavailable(), alg, kid)
    if (found.length > 0) return found
    // The key may be new and the endpoint is down: nobody can tell, so this is not the token's fault.
    if (failed) unavailable()
    if (fetched) absent.set(name, clock.elapsed() + times.absentMs)
    return []
  }

  return {
    generation() {
      if (age() >= times.refreshMs) void refresh()
      return inUse()?.generation
    },
    async find(alg, kid) {
      if (!inUse()) await refresh()
      else if (age() >= times.refreshMs) void refresh()
      const found = selectKeys(inUse()?.keys ?? unavailable(), alg, kid)
      return found.length > 0 ? found : findAgain(alg, kid)
    },
  }
}

interface HeldSet {
  readonly text: string
  readonly keys: readonly PublicKey[]
  readonly at: number
  readonly generation: number
}

async function download({ url, fetch }: RemoteKeysOptions, timeoutMs: number) {
  // A redirect could lead into the private network, and the configuration names the address anyway.
  const response = await fetch(url, {
    redirect: 'manual',
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(timeoutMs),
  })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`it answered ${response.status}`)
  }
  const text = await readBounded(response.body ?? [])
  return { text, keys: readKeySet(text) }
}

/** Reads no further than the limit; leaving the loop cancels the stream and closes the socket. */
async function readBounded(body: AsyncIterable<Uint8Array> | readonly Uint8Array[]): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    if (size > KEY_SET_BYTES_MAX) throw new Error(`more than ${KEY_SET_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
