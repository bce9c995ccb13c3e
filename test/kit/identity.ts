/** What tests of identity share: a checked issuer configuration, and an authenticator with its events. */

import { configFile } from '../../src/base/config-schema.ts'
import type { Event } from '../../src/base/events.ts'
import {
  type Authenticator,
  type AuthenticatorOptions,
  authenticator,
} from '../../src/tenant/authenticate.ts'
import { type ManualClock, manualClock } from './clock.ts'
import { hmac, type Json, seal } from './tokens.ts'

export const SECRET = 'a-secret-that-is-long-enough-for-a-test'

/** Issuers as the configuration file would give them, defaults filled in. */
export function issuersOf(...entries: Json[]) {
  const plain = { issuer: 'https://issuer.test', audience: 'shardgate' }
  return configFile.shape.tokens.parse(entries.map((entry) => ({ ...plain, ...entry })))
}

export const hs256 = { algorithms: ['HS256'], secrets: [SECRET] }

export interface Gate extends Authenticator {
  readonly clock: ManualClock
  readonly events: Event[]
  /** The reason for which `token` is refused, or the identity. */
  judge(token: string): Promise<unknown>
}

export function gateOf(
  issuer: Json | readonly Json[],
  options: Partial<AuthenticatorOptions> = {},
  clock = manualClock(),
): Gate {
  const events: Event[] = []
  const emit = (event: Event) => events.push(event)
  const made = authenticator({ issuers: issuersOf(...[issuer].flat()), clock, emit, ...options })
  const judge = (token: string) =>
    made.authenticate(`Bearer ${token}`).catch((error: { code: string; details: Json }) => {
      return error.details?.reason ?? error.code ?? error
    })
  return { ...made, clock, events, judge }
}

/** Claims that pass, at the time of `clock`, for ten minutes. */
export function claimsAt(clock: ManualClock, more: Json = {}): Json {
  const now = Math.floor(clock.now() / 1000)
  return {
    iss: 'https://issuer.test',
    aud: 'shardgate',
    sub: 'u1',
    iat: now,
    exp: now + 600,
    tenant_id: 'acme',
    ...more,
  }
}

export function hs256Token(clock: ManualClock, more: Json = {}, header: Json = {}, secret = SECRET): string {
  return seal({ alg: 'HS256', ...header }, claimsAt(clock, more), hmac('HS256', secret))
}
