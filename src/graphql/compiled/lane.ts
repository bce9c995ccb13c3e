/**
 * The compiled lane: documents to operations that are ready to run, remembered within bounds.
 *
 * What is remembered hangs on the document alone, never on a tenant, a role or a variable; those are looked at anew
 * with each request.
 */

import { type DocumentNode, getOperationAST, type OperationDefinitionNode, validate } from 'graphql'
import { LRUCache } from 'lru-cache'
import { Keeping } from '../cache/keeping.ts'
import { compiledOperation } from './operation.ts'
import type { Lane, LaneOperation, LaneParts } from './types.ts'

// A document of 1,000 characters takes some 50 kB with its plans: 100 MB at the most.
const DOCUMENTS_MAX = 2_000
const DOCUMENTS_CHARS_MAX = 2_000_000
/** Of texts that are not taken, so that a flood of them pushes out none that is. */
const REFUSED_MAX = 500
const REFUSED_CHARS_MAX = 500_000

type Operations = Map<OperationDefinitionNode, LaneOperation | null>

interface Known {
  readonly document: DocumentNode
  readonly operations: Operations
}

export function createLane(parts: LaneParts): Lane {
  const documents = textCache<Known>(DOCUMENTS_MAX, DOCUMENTS_CHARS_MAX)
  const refused = textCache<true>(REFUSED_MAX, REFUSED_CHARS_MAX)
  let madeFor: unknown[] = []
  let keeping: Keeping | undefined

  /** Whatever was decided under other limits or for another schema is decided again. */
  function forgetOldOnes(): void {
    const { cache, tables, limits } = parts
    const now = [limits(), parts.permissions(), cache?.settings]
    if (now.every((part, i) => part === madeFor[i])) return
    madeFor = now
    keeping = cache?.isOn ? new Keeping(cache, tables, limits()) : undefined
    documents.clear()
    refused.clear()
  }

  function learn(text: string): Known | undefined {
    if (refused.get(text)) return undefined
    const document = documentOf(text, parts)
    if (!document) {
      refused.set(text, true)
      return undefined
    }
    const known = { document, operations: new Map() }
    documents.set(text, known)
    return known
  }

  return {
    find(text, operationName) {
      forgetOldOnes()
      const known = documents.get(text) ?? learn(text)
      if (!known) return null
      const node = getOperationAST(known.document, operationName)
      if (!node) return null
      const found = known.operations.get(node)
      if (found !== undefined) return found
      const fresh = compiledOperation({ ...parts, keeping }, known.document, node, operationName)
      known.operations.set(node, fresh)
      return fresh
    },
  }
}

/** Null for a document that the resolver lane will refuse, and say why. */
function documentOf(text: string, { parse, permissions }: LaneParts): DocumentNode | null {
  try {
    const document = parse(text)
    const errors = validate(permissions().schema, document, undefined, {
      maxErrors: 1,
      hideSuggestions: true,
    })
    return errors.length === 0 ? document : null
  } catch {
    return null
  }
}

function textCache<T extends object | true>(max: number, maxSize: number): LRUCache<string, T> {
  return new LRUCache<string, T>({ max, maxSize, sizeCalculation: (_, text) => text.length + 1 })
}
