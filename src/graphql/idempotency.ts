/**
 * Idempotency keys: an operation that comes twice with one key is done once, and answers the same both times.
 *
 *     claim the key ─▶ run ─▶ keep the answer ─▶ COMMIT      the first time
 *     claim the key: done ─▶ the kept answer ─▶ ROLLBACK     every other time
 *
 * Claim and answer are in the operation's own transaction: what is rolled back leaves no key behind, and what is
 * kept has its answer, also when nobody was there to receive it. A key is the tenant's: another tenant's is
 * another key.
 */

import { createHash } from 'node:crypto'
import { type ExecutionArgs, type ExecutionResult, print } from 'graphql'
import { fail } from '../base/errors.ts'
import { sqlState } from '../db/connection.ts'
import { inert, sql } from '../db/sql.ts'
import type { GatewayContext, RequestScope } from './context.ts'

/** Bytes of an answer that is kept: as many as a request may have by default. */
const ANSWER_BYTES_MAX = 262_144
/** 1 to 255 printable characters of ASCII. */
const FORM = /^[\x20-\x7e]{1,255}$/
/** The table or the function is not there: the shard was set up by an older release. */
const MISSING = ['42P01', '42883', '3F000']

/** A key that this operation has claimed. */
export interface Claim {
  readonly key: string
  /** Keep the answer under the key. @throws QUERY_TOO_COMPLEX  it is too large to be kept */
  keep(result: ExecutionResult): Promise<void>
}

/**
 * Claim the key of the operation, if it has one. Call in its transaction.
 *
 * @returns  the claim, or the answer that was given under this key before
 * @throws BAD_USER_INPUT          the key has another form
 * @throws IDEMPOTENCY_KEY_REUSED  it was given with another operation
 * @throws CONFLICT                it went away at this moment
 */
export async function claimKey(args: ExecutionArgs): Promise<Claim | ExecutionResult | undefined> {
  const { scope } = args.contextValue as GatewayContext
  const key = scope.idempotencyKey
  if (key === undefined) return undefined
  if (!FORM.test(key)) {
    fail('BAD_USER_INPUT', 'The header Idempotency-Key wants 1 to 255 printable ASCII characters, once.')
  }
  const { tenant } = scope.identity
  const statement = inert(sql`
    select state, answer
    from shardgate.claim_key(${sql.value(tenant)}, ${sql.value(key)}, ${sql.value(hashOf(args, scope))})`)
  const [rows = []] = await scope.run([statement]).catch(explainMissing)
  const [state, answer] = rows[0] ?? []
  if (state === 'claimed') return { key, keep: (result) => keepAnswer(scope, key, result) }
  if (state === 'done') return { data: JSON.parse(answer ?? 'null') }
  if (state === 'gone') fail('CONFLICT', 'The Idempotency-Key has just run out.')
  return fail(
    'IDEMPOTENCY_KEY_REUSED',
    'The Idempotency-Key belongs to another operation: the document, the variables or the caller differ.',
  )
}

export function isClaim(value: Claim | ExecutionResult | undefined): value is Claim {
  return value !== undefined && 'keep' in value
}

async function keepAnswer(scope: RequestScope, key: string, { data }: ExecutionResult): Promise<void> {
  const answer = JSON.stringify(data)
  const bytes = Buffer.byteLength(answer)
  if (bytes > ANSWER_BYTES_MAX) {
    const sentence = `The answer has ${bytes} bytes, and ${ANSWER_BYTES_MAX} can be kept for an Idempotency-Key; nothing was changed. Select less.`
    fail('QUERY_TOO_COMPLEX', sentence, { limit: 'keptAnswerBytes', allowed: ANSWER_BYTES_MAX })
  }
  await scope.run([
    inert(sql`
      update shardgate.idempotency set answer = ${sql.value(answer)}
      where tenant_id = ${sql.value(scope.identity.tenant)} and key = ${sql.value(key)}`),
  ])
}

/** What makes it the same operation: what is asked, and by whom with which rights. */
function hashOf(
  { document, operationName, variableValues }: ExecutionArgs,
  { identity }: RequestScope,
): string {
  const { issuer, subject, roles } = identity
  const parts = [
    print(document),
    operationName ?? null,
    variableValues ?? {},
    issuer,
    subject,
    [...roles].sort(),
  ]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

function explainMissing(error: unknown): never {
  if (!MISSING.includes(sqlState(error) ?? '')) throw error
  const sentence = 'The shard keeps no idempotency keys yet; the operator has to run "shardgate setup".'
  return fail('SETUP_FAILED', sentence, {}, { cause: error })
}
