/**
 * Why a token is refused, in general terms: one sentence a reason.
 *
 * A sentence never repeats anything of the token. What came is in the hands of whoever sent it; in a
 * log or in an answer that somebody else reads it would be a credential.
 */

import { fail } from '../base/errors.ts'

const SENTENCES = Object.freeze({
  missing: 'A token was wanted; no Authorization header came.',
  scheme: 'The Authorization header is not the word "Bearer" and one token.',
  size: 'The token is larger than 8192 bytes.',
  malformed: 'The token is malformed: wanted three parts of canonical base64url that hold JSON.',
  duplicate: 'The token is malformed: it names one member twice.',
  issuer: 'The token comes from an issuer that is not configured here.',
  algorithm: 'The token is signed with an algorithm that its issuer may not use.',
  extension: 'The token demands an extension that is not understood here.',
  type: 'The token is of another type than this endpoint takes.',
  key: 'The token names a key that its issuer does not publish.',
  signature: 'The signature of the token is wrong.',
  audience: 'The token is meant for another audience.',
  expired: 'The token has expired.',
  early: 'The token is not valid yet.',
  age: 'The token was issued too long ago.',
  claims: 'The token lacks a claim that is required, or holds one of the wrong type.',
  tenant: 'The token names no tenant: the claim is missing or is not a tenant id.',
})

export type Refusal = keyof typeof SENTENCES

/** Throw UNAUTHENTICATED; `details.reason` is the key of the sentence, for clients and tests. */
export function refuse(reason: Refusal): never {
  return fail('UNAUTHENTICATED', SENTENCES[reason], { reason })
}
