/**
 * A second verifier, written apart from src/tenant and sharing no code with it: node:crypto in place of
 * jose, a JSON reader of its own, base64url by arithmetic. Where the two differ, one of them is wrong.
 */

import { constants, createHmac, type KeyObject, timingSafeEqual, verify } from 'node:crypto'
import type { IssuerConfig } from '../../src/base/config.ts'

export interface OracleKey {
  readonly kid: string
  readonly alg: string
  readonly publicKey: KeyObject
}

export interface Verdict {
  readonly tenant: string
  readonly subject: string
  readonly roles: readonly string[]
  readonly issuer: string
}

type Members = Map<string, unknown>

/** What the token proves at `nowMs`, or null when it must be refused. */
export function oracle(
  text: string,
  issuers: readonly IssuerConfig[],
  keys: readonly OracleKey[],
  nowMs: number,
): Verdict | null {
  try {
    return judge(text, issuers, keys, Math.trunc(nowMs / 1000))
  } catch {
    return null
  }
}

function judge(text: string, issuers: readonly IssuerConfig[], keys: readonly OracleKey[], now: number) {
  need(text.length <= 8192 && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text) && !text.endsWith('\n'))
  const [first, second, third] = text.split('.') as [string, string, string]
  const header = members(first)
  const claims = members(second)
  const issuer = issuers.find((one) => one.issuer === claims.get('iss'))
  need(issuer !== undefined)
  needHeader(header, issuer)
  need(signed(`${first}.${second}`, unbase64url(third), header, issuer, keys))
  needClaims(claims, issuer, now)
  return verdict(claims, issuer)
}

function need(fact: boolean): asserts fact {
  if (!fact) throw new Error('refused')
}

function needHeader(header: Members, issuer: IssuerConfig): void {
  need((issuer.algorithms as readonly unknown[]).includes(header.get('alg')))
  need(!header.has('crit') && !header.has('b64'))
  const kid = header.get('kid')
  need(kid === undefined || (typeof kid === 'string' && kid.length <= 256))
  if (issuer.type === undefined) return
  const full = (typ: string) => (typ.includes('/') ? typ : `application/${typ}`).toLowerCase()
  const typ = header.get('typ')
  need(typeof typ === 'string' && full(typ) === full(issuer.type))
}

function needClaims(claims: Members, issuer: IssuerConfig, now: number): void {
  const time = (name: string): number | undefined => {
    const value = claims.get(name)
    need(value === undefined || (typeof value === 'number' && Math.abs(value) < Number.POSITIVE_INFINITY))
    return value
  }
  const [exp, nbf, iat, slack] = [time('exp'), time('nbf'), time('iat'), issuer.clockToleranceS]
  need(exp !== undefined && exp + slack > now)
  need(nbf === undefined || nbf - slack <= now)
  if (issuer.maxAgeS !== undefined) {
    need(iat !== undefined && now - iat <= issuer.maxAgeS + slack && iat <= now + slack)
  }
  const aud = claims.get('aud')
  need(aud === issuer.audience || (Array.isArray(aud) && aud.includes(issuer.audience)))
}

function verdict(claims: Members, issuer: IssuerConfig): Verdict {
  const named = at(claims, issuer.tenantClaim)
  const whole = typeof named === 'number' && named % 1 === 0 && 1 / named > 0 && named < 2 ** 53
  const tenant = whole ? `${named}` : named
  need(typeof tenant === 'string' && tenant.length <= 40 && !/[^a-z0-9-]/.test(tenant))
  need(tenant !== '' && !tenant.startsWith('-') && !tenant.endsWith('-'))
  const subject = claims.get('sub') ?? (claims.has('sub') ? null : '')
  need(typeof subject === 'string' && !subject.includes('\u0000') && !/\p{Cs}/u.test(subject))
  const said = at(claims, issuer.rolesClaim)
  const list: unknown[] = Array.isArray(said) ? said : String(said ?? '').split(' ')
  const known = ['viewer', 'member', 'admin', 'operator'].filter((role) => list.includes(role))
  const roles = known.length === 0 && issuer.defaultRole ? [issuer.defaultRole] : known
  return { tenant, subject, roles, issuer: issuer.issuer }
}

function at(value: unknown, path: string): unknown {
  if (!(value instanceof Map)) return undefined
  if (value.has(path)) return value.get(path)
  const steps = path.split('.')
  for (let n = steps.length - 1; n > 0; n--) {
    const name = steps.slice(0, n).join('.')
    if (value.has(name)) return at(value.get(name), steps.slice(n).join('.'))
  }
  return undefined
}

function signed(
  input: string,
  signature: Buffer,
  header: Members,
  issuer: IssuerConfig,
  keys: readonly OracleKey[],
): boolean {
  const alg = header.get('alg') as string
  const hash = `sha${alg.slice(2)}`
  if (alg.startsWith('HS')) {
    const macs = issuer.secrets.map((secret) => createHmac(hash, secret).update(input).digest())
    return macs.some((mac) => mac.length === signature.length && timingSafeEqual(mac, signature))
  }
  if (!issuer.jwksFile && !issuer.jwksUrl) return false
  const fit = keys.filter((key) => key.alg === alg && (!header.has('kid') || header.get('kid') === key.kid))
  const padding = alg.startsWith('PS') ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {}
  return fit.some(({ publicKey }) => {
    const key = { key: publicKey, dsaEncoding: 'ieee-p1363' as const, ...padding }
    return verify(alg === 'EdDSA' ? null : hash, Buffer.from(input), key, signature)
  })
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function unbase64url(part: string): Buffer {
  const out: number[] = []
  let [bits, width] = [0, 0]
  for (const letter of part) {
    bits = (bits << 6) | ALPHABET.indexOf(letter)
    width += 6
    if (width < 8) continue
    width -= 8
    out.push(bits >> width)
    bits &= (1 << width) - 1
  }
  need(bits === 0 && width < 6)
  return Buffer.from(out)
}

function members(part: string): Members {
  const bytes = unbase64url(part)
  const text = bytes.toString('utf8')
  need(Buffer.from(text).equals(bytes) && !text.startsWith('\ufeff'))
  const [value, end] = read(text, 0)
  need(value instanceof Map && text.slice(end).trim() === '' && JSON.parse(text) !== null)
  return value
}

/** Reads one JSON value; objects become Maps and refuse a second member of one name. */
function read(text: string, from: number): [unknown, number] {
  let i = skip(text, from)
  if (text[i] !== '{' && text[i] !== '[') return scalar(text, i)
  const object = new Map<string, unknown>()
  const list: unknown[] = []
  const close = text[i] === '{' ? '}' : ']'
  i = skip(text, i + 1)
  while (text[i] !== close) {
    const [head, after] = read(text, i)
    i = skip(text, after)
    if (close === ']') list.push(head)
    else {
      need(typeof head === 'string' && !object.has(head) && text[i] === ':')
      const [value, end] = read(text, i + 1)
      object.set(head, value)
      i = skip(text, end)
    }
    need(text[i] === ',' || text[i] === close)
    if (text[i] === ',') i = skip(text, i + 1)
  }
  return [close === '}' ? object : list, i + 1]
}

function skip(text: string, from: number): number {
  let i = from
  while (' \t\n\r'.includes(text[i] ?? 'x')) i++
  return i
}

function scalar(text: string, from: number): [unknown, number] {
  const found = /^(?:"(?:\\.|[^"\\])*"|[^\s,:{}[\]"]+)/.exec(text.slice(from))
  need(found !== null)
  return [JSON.parse(found[0]), from + found[0].length]
}
