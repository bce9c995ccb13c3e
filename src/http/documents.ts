/**
 * Persisted documents: the text of a document by its hash or its id. One stage of the intake, so that both lanes see
 * the same text.
 *
 *     {"documentId": "sha256:…"}                         a trusted document, or one that is registered
 *     {"extensions": {"persistedQuery": {sha256Hash}}}   the same; PERSISTED_QUERY_NOT_FOUND asks for the text
 *     … and "query"                                      runs, and is registered by its hash once it has run
 *
 * Only what has run is kept: it is within the limits, valid and allowed to who sent it, so that rubbish costs no room.
 * Hashes are compared digit for digit; capitals are another hash. With `trustedOnly` a text is answered where a
 * manifest has it, letter for letter, and in development too: what is tried there is what production will do.
 */

import type { Config } from '../base/config.ts'
import { fail, GatewayError } from '../base/errors.ts'
import { registeredDocuments } from '../graphql/documents/registered.ts'
import { NO_TRUSTED_DOCUMENTS, sha256Of, type TrustedDocuments } from '../graphql/documents/trusted.ts'
import { badRequest } from './answer.ts'
import type { Exchange, Parameters } from './exchange.ts'

export interface PersistedDocuments {
  /**
   * The parameters, with the text of the document that they name.
   *
   * @throws PERSISTED_QUERY_NOT_FOUND, PERSISTED_QUERY_NOT_SUPPORTED, PERSISTED_QUERY_NOT_IN_LIST, BAD_REQUEST,
   *         BAD_USER_INPUT
   */
  resolve(exchange: Exchange, parameters: Parameters): Parameters
  /** The exchange is answered: what it wanted to register is, if it has run. */
  keep(exchange: Exchange): void
}

export interface PersistedDocumentsOptions {
  readonly config: () => Pick<Config, 'documents'>
  /** Default is none. */
  readonly trusted?: () => TrustedDocuments
}

export function persistedDocuments({
  config,
  trusted = () => NO_TRUSTED_DOCUMENTS,
}: PersistedDocumentsOptions): PersistedDocuments {
  const registered = registeredDocuments()

  function find(id: string): string | undefined {
    const found = trusted().find(id)
    const { apq, trustedOnly } = config().documents
    if (found !== undefined || !apq || trustedOnly) return found
    return registered.find(id.startsWith(PREFIX) ? id.slice(PREFIX.length) : id)
  }

  function textOf(hash: string): string {
    const { apq, trustedOnly } = config().documents
    const found = find(hash)
    if (found !== undefined) return found
    if (trustedOnly) return fail('PERSISTED_QUERY_NOT_IN_LIST', 'No trusted document has this hash.')
    // Clients know both by these very words; urql looks at nothing else.
    if (!apq) return fail('PERSISTED_QUERY_NOT_SUPPORTED', 'PersistedQueryNotSupported')
    return fail('PERSISTED_QUERY_NOT_FOUND', 'PersistedQueryNotFound')
  }

  function checkListed(text: unknown): void {
    if (!config().documents.trustedOnly || (typeof text === 'string' && trusted().has(text))) return
    fail('PERSISTED_QUERY_NOT_IN_LIST', 'Only trusted documents are answered here, and this is none.')
  }

  /** A text that came with its hash. */
  function register(exchange: Exchange, hash: string, text: string): void {
    // Who is known is not hashed again.
    if (find(hash) === text) return
    if (sha256Of(text) !== hash) throw mismatch()
    const { apq, trustedOnly } = config().documents
    if (apq && !trustedOnly) exchange.unregistered = { hash, text }
  }

  function byHash(exchange: Exchange, parameters: Parameters): Parameters {
    const { query = null } = parameters
    const hash = hashOf(parameters.extensions)
    if (hash !== undefined && query === null) return { ...parameters, query: textOf(hash) }
    if (query !== null) checkListed(query)
    // What is no text is refused further on.
    if (hash !== undefined && typeof query === 'string') register(exchange, hash, query)
    return parameters
  }

  return {
    resolve(exchange, parameters) {
      if (!('documentId' in parameters)) return byHash(exchange, parameters)
      const { documentId = null, ...others } = parameters
      if (documentId === null) return byHash(exchange, others)
      if (hashOf(others.extensions) !== undefined || (others.query ?? null) !== null) throw severalNames()
      return { ...others, query: find(idOf(documentId)) ?? notListed() }
    },

    keep({ unregistered, lane, identity }) {
      if (unregistered && lane && identity)
        registered.keep(unregistered.hash, unregistered.text, identity.tenant)
    },
  }
}

const PREFIX = 'sha256:'

/** The hash of APQ's extension, of which more keys may come (urql says "miss"). */
function hashOf(extensions: unknown): string | undefined {
  const asked = isObject(extensions) ? extensions.persistedQuery : undefined
  if (asked === undefined || asked === null) return undefined
  if (!isObject(asked)) throw badRequest('"extensions.persistedQuery" is not an object.')
  if (asked.version !== 1) throw badRequest('Wanted "version": 1 in "extensions.persistedQuery".')
  const { sha256Hash } = asked
  if (typeof sha256Hash !== 'string')
    throw badRequest('Wanted a text as "sha256Hash" in "extensions.persistedQuery".')
  return sha256Hash
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function idOf(documentId: unknown): string {
  if (typeof documentId === 'string') return documentId
  throw badRequest('"documentId" is not a string.')
}

function notListed(): never {
  return fail('PERSISTED_QUERY_NOT_IN_LIST', 'No document has this id.')
}

function severalNames(): GatewayError {
  return badRequest(
    '"documentId" stands in place of "query" and of "extensions.persistedQuery"; send one of them.',
  )
}

function mismatch(): GatewayError {
  const hint = 'Write the SHA-256 of the UTF-8 of "query" in small hexadecimal digits.'
  return new GatewayError('BAD_USER_INPUT', 'The "sha256Hash" is not that of the "query".', {}, { hint })
}
