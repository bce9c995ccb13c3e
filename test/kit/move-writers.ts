/** The clients of moving tenants (test/fixtures/move-writers.ts), as a test commands them. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Order, Seen } from '../fixtures/move-writers.ts'

export type { Seen } from '../fixtures/move-writers.ts'

export interface MoveWriters {
  /** Resolves when the clients of a tenant write. @param first  rows get higher numbers */
  on(tenant: string, token: string, first: number): Promise<void>
  /** Resolves when every write of theirs is answered. */
  off(tenant: string): Promise<Seen>
  end(): Promise<void>
}

type Told = { readonly kind: string; readonly tenant?: string; readonly seen?: Seen; readonly error?: string }

/** @param ledger  file for what is acknowledged; @param rate  writes a second, over all tenants */
export async function startMoveWriters(
  urls: readonly string[],
  ledger: string,
  rate: number,
): Promise<MoveWriters> {
  const child = fork(fileURLToPath(new URL('../fixtures/move-writers.ts', import.meta.url)))
  child.setMaxListeners(0) // Two for each order that is under way.
  const told = (is: (message: Told) => boolean): Promise<Told> => {
    const { promise, resolve, reject } = Promise.withResolvers<Told>()
    const hear = (message: Told): void => {
      if (message.kind === 'failed') reject(new Error(message.error))
      else if (!is(message)) return
      else resolve(message)
      child.off('message', hear)
      child.off('exit', gone)
    }
    const gone = (code: number | null): void => reject(new Error(`The clients have ended with ${code}.`))
    child.on('message', hear)
    child.once('exit', gone)
    promise.catch(() => {})
    return promise
  }
  const order = (it: Order): boolean => child.send(it)
  const begun = told(({ kind }) => kind === 'begun')
  order({ kind: 'begin', urls, ledger, rate })
  await begun
  return {
    async on(tenant, token, first) {
      const heard = told((message) => message.kind === 'on' && message.tenant === tenant)
      order({ kind: 'on', tenant, token, first })
      await heard
    },
    async off(tenant) {
      const heard = told((message) => message.seen?.tenant === tenant)
      order({ kind: 'off', tenant })
      return (await heard).seen!
    },
    async end() {
      const gone = once(child, 'exit')
      order({ kind: 'end' })
      await gone
    },
  }
}
