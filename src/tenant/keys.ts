/**
 * The keys of one issuer: shared secrets, a local key set, or a key set served over HTTP.
 *
 * The algorithm of a token decides which of them is asked, never the kind of key that happens to be
 * there: a secret verifies HS* alone and a public key never does, so a token signed with the text of a
 * public key finds nothing to fit.
 */

import { createSecretKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { IssuerConfig } from '../base/config.ts'
import { fail } from '../base/errors.ts'
import { type PublicKey, readKeySet, selectKeys } from './key-set.ts'

export interface Keys {
  /**
   * A number that changes with the set of keys: what an older set verified is verified again.
   * undefined while there is no set in use. Begins a refresh behind the request when the set is old.
   */
  generation(): number | undefined
  /**
   * The keys to try, best first; none when the issuer publishes no such key.
   *
   * @throws AUTH_UNAVAILABLE  the keys cannot be read now
   */
  find(alg: string, kid: string | undefined): Promise<readonly KeyObject[]>
}

/** Bytes of a shared secret: as long as the hash of HS256 (RFC 7518, 3.2). */
const SECRET_BYTES_MIN = 32

/**
 * The keys that the configuration names for an issuer.
 *
 * @param at         key of the issuer for messages: "tokens[0]"
 * @param configDir  folder from which `jwksFile` is found
 * @param remote     the keys served at `issuer.jwksUrl`
 * @throws CONFIG_INVALID  naming the key: a secret that is short, a file that cannot be used, an
 *                         algorithm for which there is no key, or keys that no algorithm uses
 */
export function issuerKeys(
  issuer: IssuerConfig,
  at: string,
  configDir: string,
  remote: Keys | undefined,
): Keys {
  requireSources(issuer, at)
  const secrets = issuer.secrets.map((secret, i) => secretKey(secret, `${at}.secrets[${i}]`))
  const file = issuer.jwksFile
  const published = file === undefined ? remote : localKeys(readFile(resolve(configDir, file), at))
  return {
    generation: () => (published ? published.generation() : 0),
    async find(alg, kid) {
      return isShared(alg) ? secrets : ((await published?.find(alg, kid)) ?? [])
    },
  }
}

/** @throws CONFIG_INVALID  `secret` is shorter than 32 bytes; the message tells its length alone */
export function secretKey(secret: string, at: string): KeyObject {
  const bytes = Buffer.from(secret)
  if (bytes.length >= SECRET_BYTES_MIN) return createSecretKey(bytes)
  return fail('CONFIG_INVALID', `${at}: wanted ${SECRET_BYTES_MIN} bytes or more; ${bytes.length} came`)
}

function requireSources(issuer: IssuerConfig, at: string): void {
  const shared = issuer.algorithms.some(isShared)
  const publicly = issuer.algorithms.some((alg) => !isShared(alg))
  const wanted = (key: string, what: string): never => fail('CONFIG_INVALID', `${at}.${key}: wanted ${what}`)
  if (issuer.jwksUrl && issuer.jwksFile) wanted('jwksFile', 'one of jwksUrl and jwksFile; both came')
  if (shared && issuer.secrets.length === 0) wanted('secrets', 'a secret for the HS algorithms; none came')
  if (!shared && issuer.secrets.length > 0)
    wanted('algorithms', 'an HS algorithm, as secrets came; none came')
  const published = issuer.jwksUrl !== undefined || issuer.jwksFile !== undefined
  if (publicly && !published) wanted('jwksUrl', 'public keys for the algorithms that are not HS; none came')
  if (!publicly && published) wanted('algorithms', 'one that public keys can verify; HS alone came')
}

function isShared(alg: string): boolean {
  return alg.startsWith('HS')
}

function localKeys(set: readonly PublicKey[]): Keys {
  return { generation: () => 0, find: async (alg, kid) => selectKeys(set, alg, kid) }
}

function readFile(path: string, at: string): readonly PublicKey[] {
  try {
    return readKeySet(readFileSync(path, 'utf8'))
  } catch (cause) {
    const reason = (cause as Error).message
    return fail(
      'CONFIG_INVALID',
      `${at}.jwksFile: wanted a JSON Web Key Set at ${path}; ${reason}`,
      {},
      { cause },
    )
  }
}
