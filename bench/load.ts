/** Load on a server: who asks what, as HTTP requests in a file, and the program that sends them. */

import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { tenantId } from '../src/base/ids.ts'
import { systemClock } from '../src/base/time.ts'
import { issueToken } from '../src/tenant/issue.ts'
import { ISSUER, SECRET } from './database.ts'
import {
  type Dialect,
  DOCUMENTS,
  MIX,
  OPERATIONS,
  type OperationName,
  type Place,
  scattered,
  variablesOf,
} from './operations.ts'

const TOKEN_TTL_S = 24 * 3_600

/** What one slice of load has found. */
export interface LoadResult {
  readonly requests: number
  readonly errors: number
  readonly seconds: number
  /** Microseconds from the request to its whole answer. */
  readonly p50: number
  readonly p99: number
  /** Microseconds of CPU that the load itself has used. */
  readonly cpu: number
  /** Begin of the first answer that was an error. */
  readonly excerpt: string
}

export interface LoadOptions {
  readonly port: number
  readonly file: string
  readonly connections: number
  readonly seconds: number
  /** Number of the request to begin with. */
  readonly first: number
  /** Requests per second, at most; left out, each connection sends the next one at once. */
  readonly rate?: number
}

/** @throws when there is no answer, or when an answer is an error */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { port, file, connections, seconds, first, rate } = options
  const [program = '', ...before] = loadProgram()
  const args = [...before, port, connections, seconds * 1_000, file, first, ...(rate ? [rate] : [])].map(
    String,
  )
  const { stdout } = await promisify(execFile)(program, args)
  const result = JSON.parse(stdout) as LoadResult
  if (result.errors === 0) return result
  throw new Error(`${result.errors} of ${result.requests} answers are errors; the first: ${result.excerpt}`)
}

/** The compiled program, or Node's where there is no compiler. */
export function loadProgram(): string[] {
  const source = join(import.meta.dirname, 'load/load.c')
  const folder = join(tmpdir(), 'shardgate-bench')
  const compiled = join(folder, 'load')
  mkdirSync(folder, { recursive: true })
  if (existsSync(compiled) && statSync(compiled).mtimeMs > statSync(source).mtimeMs) return [compiled]
  try {
    execFileSync('cc', ['-O2', '-o', compiled, source], { stdio: 'pipe' })
    return [compiled]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return [process.execPath, join(import.meta.dirname, 'load/load-node.ts')]
  }
}

/** A tenant's token, good for a day. */
export function tokenOf(tenant: string): Promise<string> {
  return issueToken({
    secret: SECRET,
    issuer: ISSUER,
    audience: ISSUER,
    tenant: tenantId(tenant),
    roles: ['member'],
    subject: 'bench',
    ttlS: TOKEN_TTL_S,
    clock: systemClock,
  })
}

/** A tenant, where it stands, and its token. */
export interface Caller extends Place {
  readonly token: string
}

/** @param groups  tenants by the shard that they are on: ids of rows follow from the place in the group */
export async function callersOf(groups: readonly (readonly Place['tenant'][])[]): Promise<Caller[]> {
  const places = groups.flatMap((tenants) =>
    tenants.map((tenant, index) => ({ tenant, index, of: tenants.length })),
  )
  return Promise.all(places.map(async (place) => ({ ...place, token: await tokenOf(place.tenant.id) })))
}

export type LoadName = OperationName | 'Q7'

/** Requests in one file: more than most slices send, so that ids hardly come again within one. */
const REQUESTS = 8_000
/** Tenants rotate out of step with ids. */
const TENANT_TURN = 1_000_000

/** Write `count` requests of an operation to `file`: tenants in turn, far from each other. */
export function writeRequests(
  file: string,
  name: LoadName,
  callers: readonly Caller[],
  dialect: Dialect,
  count = REQUESTS,
): void {
  writeQuestions(
    file,
    Array.from({ length: count }, (_, turn) =>
      bodyOf(name, callers[scattered(turn + TENANT_TURN) % callers.length]!, turn, dialect),
    ),
  )
}

/** Write HTTP requests to `file`, each with its length before it. */
export function writeQuestions(file: string, questions: readonly Question[]): void {
  const parts: Buffer[] = []
  for (const question of questions) {
    const request = httpRequest(question)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(request.length)
    parts.push(length, request)
  }
  writeFileSync(file, Buffer.concat(parts))
}

export interface Question {
  readonly token: string
  readonly body: string
}

/** What a caller asks on one turn. */
export function bodyOf(name: LoadName, caller: Caller, turn: number, dialect: Dialect): Question {
  const operation = name === 'Q7' ? mixed(turn) : name
  const variables = variablesOf(operation, caller, turn, dialect)
  return { token: caller.token, body: JSON.stringify({ query: DOCUMENTS[dialect][operation], variables }) }
}

// 37 and 100 have no common divisor: a hundred turns meet each hundredth once.
function mixed(turn: number): OperationName {
  let hundredth = (turn * 37) % 100
  for (const name of OPERATIONS) {
    hundredth -= MIX[name]
    if (hundredth < 0) return name
  }
  return 'Q1'
}

function httpRequest({ token, body }: Question): Buffer {
  const head = [
    'POST /graphql HTTP/1.1',
    'host: 127.0.0.1',
    'content-type: application/json',
    'accept: application/json',
    `authorization: Bearer ${token}`,
    `content-length: ${Buffer.byteLength(body)}`,
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}
