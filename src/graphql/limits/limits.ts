/**
 * Limits of a document, checked when it is parsed: before validation, which is what they protect.
 *
 * graphql-js compares all fields of the same name with each other: 1,004 tokens can keep it busy for
 * a fifth of a second, long before a rule about cost would run. So the document is measured first, in
 * one walk over its selections. A fragment is measured once and its measure used wherever it is
 * spread, so that a short document which stands for millions of fields costs what it weighs, and every
 * definition is measured, also those that nothing spreads. A limit that does not follow fragments is
 * none: each has its test inline, through a fragment, through nested ones and through aliases.
 */

import {
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type OperationDefinitionNode,
  parse,
  type Source,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { LRUCache } from 'lru-cache'
import type { LimitsConfig } from '../../base/config.ts'
import { fail } from '../../base/errors.ts'
import { type Measure, measureSelections, type Walk } from './measure.ts'

export type DocumentLimits = Pick<LimitsConfig, 'documentTokens' | 'depth' | 'aliases' | 'rootFields'>

/**
 * Bounds that need no tuning, because no honest document comes near them.
 *
 * `repeats`: the same response name in one selection, fragments followed. A page of components that
 * each bring a fragment repeats `id` some 20 times. Validation compares each with each, and the same
 * below them: the worst 1,000 tokens found cost 45 ms at 50 repeats and 10 ms at 32.
 * `stacked`: directives at one place. `@include`, `@skip` and `@defer` make three; of ten that do not exist each
 * would be told. `introspectionDepth`: the standard introspection query is 13 deep, its variants up to 15.
 */
export const FIXED_LIMITS = Object.freeze({
  repeats: 32,
  siblings: 1_000,
  directives: 50,
  stacked: 5,
  nesting: 200,
  introspectionDepth: 16,
})

const SENTENCES = Object.freeze({
  documentTokens: 'lexical tokens',
  depth: 'levels of fields',
  aliases: 'aliases in one operation',
  rootFields: 'fields at the top of one operation',
  fields: 'fields in one operation, fragments written out',
  repeats: 'times the same name in one selection',
  siblings: 'fields in one selection, fragments written out',
  directives: 'directives in one operation',
  stacked: 'directives at one place',
  nesting: 'levels of selections and fragments',
  introspectionDepth: 'levels of introspection',
  pageSize: 'rows in one page',
})

export type LimitName = keyof typeof SENTENCES

/**
 * Parse `source` and hold it against `limits`.
 *
 * @throws GRAPHQL_PARSE_FAILED       not GraphQL; the details name line and column
 * @throws GRAPHQL_VALIDATION_FAILED  a fragment that spreads itself
 * @throws QUERY_TOO_COMPLEX          the details name the limit, what was asked and what is allowed
 */
export function checkDocument(source: string | DocumentNode, limits: DocumentLimits): DocumentNode {
  try {
    const document = typeof source === 'string' ? parseWithin(source, limits.documentTokens) : source
    checkDefinitions(document, limits)
    return document
  } catch (error) {
    // The parser calls itself for each level; only limits far above the defaults let a document get here.
    if (error instanceof RangeError) return tooComplex('nesting', FIXED_LIMITS.nesting)
    throw error
  }
}

function parseWithin(text: string, maxTokens: number): DocumentNode {
  try {
    return parse(text, { maxTokens })
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error
    if (error.message.includes('Parsing aborted')) tooComplex('documentTokens', maxTokens)
    const { line = 0, column = 0 } = error.locations?.[0] ?? {}
    return fail(
      'GRAPHQL_PARSE_FAILED',
      `${error.message} (line ${line}, column ${column})`,
      { line, column },
      { cause: error },
    )
  }
}

/** What a document is within, whoever asks: the largest of its operations. */
export type DocumentMeasure = Readonly<Record<keyof DocumentLimits | 'fields', number>>

/** They go with their documents. */
const measures = new WeakMap<DocumentNode, DocumentMeasure>()

/** Of a document that `checkDocument` has taken. */
export function measureOf(document: DocumentNode): DocumentMeasure {
  const measure = measures.get(document)
  if (!measure) throw new Error('a document was not measured')
  return measure
}

function checkDefinitions(document: DocumentNode, limits: DocumentLimits): void {
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  }
  // A fragment may be meant for `__schema`, so that on its own it may be as deep as either bound.
  const depth = Math.max(limits.depth, FIXED_LIMITS.introspectionDepth)
  const check = (measure: Measure): void => hold(measure, { ...limits, depth })
  const walk = { fragments, measures: new Map<string, Measure>(), check }
  const most = { documentTokens: document.tokenCount ?? 0, depth: 0, aliases: 0, rootFields: 0, fields: 0 }
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) measureSelections(definition.selectionSet, walk)
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue
    const { depth: levels, aliases, siblings, fields } = checkOperation(definition, limits, walk)
    most.depth = Math.max(most.depth, levels)
    most.aliases = Math.max(most.aliases, aliases)
    most.rootFields = Math.max(most.rootFields, siblings)
    most.fields = Math.max(most.fields, fields)
  }
  measures.set(document, most)
}

function checkOperation(operation: OperationDefinitionNode, limits: DocumentLimits, walk: Walk): Measure {
  const measure = measureSelections(operation.selectionSet, walk)
  bound('rootFields', measure.siblings, limits.rootFields)
  const own = [operation, ...(operation.variableDefinitions ?? [])].map(
    (node) => node.directives?.length ?? 0,
  )
  const directives = own.reduce((sum, count) => sum + count, measure.directives)
  hold({ ...measure, directives, stacked: Math.max(measure.stacked, ...own) }, limits)
  return measure
}

function hold(measure: Measure, limits: DocumentLimits): void {
  bound('depth', measure.depth, limits.depth)
  bound('aliases', measure.aliases, limits.aliases)
  // What a document stands for may not be more than one that long could say without fragments.
  bound('fields', measure.fields, limits.documentTokens)
  bound('repeats', measure.repeats, FIXED_LIMITS.repeats)
  bound('siblings', measure.siblings, FIXED_LIMITS.siblings)
  bound('directives', measure.directives, FIXED_LIMITS.directives)
  bound('stacked', measure.stacked, FIXED_LIMITS.stacked)
  bound('nesting', measure.nesting, FIXED_LIMITS.nesting)
  bound('introspectionDepth', measure.introspectionDepth, FIXED_LIMITS.introspectionDepth)
}

function bound(limit: LimitName, asked: number, allowed: number): void {
  if (asked > allowed) tooComplex(limit, allowed, asked)
}

// The walk ends at the first bound it passes, so what was asked may be more than what was counted.
export function tooComplex(limit: LimitName, allowed: number, counted = allowed + 1): never {
  const asked = Math.min(counted, Number.MAX_SAFE_INTEGER)
  const sentence = `The document asks for ${asked} or more ${SENTENCES[limit]}; ${allowed} are allowed.`
  return fail('QUERY_TOO_COMPLEX', sentence, { limit, asked, allowed })
}

// Characters of text. A syntax tree takes some 30 times that in memory, so 60 MB at the most.
const CACHED_CHARS_MAX = 2_000_000
const CACHED_DOCUMENTS_MAX = 5_000

/**
 * Yoga's place for `checkDocument`: parses within the limits and remembers what passed. `check` holds it against those
 * of who asks, each time.
 *
 * Yoga's own cache must be off (`NO_DOCUMENT_CACHE`): it would go on answering from before a change of
 * limits, and it keeps refused texts, 1,024 of any size.
 */
export function limitsPlugin<C extends object>(
  parseDocument: ParseDocument,
  check: (document: DocumentNode, context: C) => void = () => {},
): Plugin<C> {
  return {
    onParse({ context, setParseFn }) {
      setParseFn((source: string | Source) => {
        const document = parseDocument(typeof source === 'string' ? source : source.body)
        check(document, context)
        return document
      })
    },
  }
}

/** A document that is within the limits; throws as `checkDocument`. */
export type ParseDocument = (text: string) => DocumentNode

/** One for both lanes: what is remembered of a document (that it is valid, what it touches) hangs on its syntax tree. */
export function documentParser(getLimits: () => DocumentLimits): ParseDocument {
  const documents = new LRUCache<string, DocumentNode>({
    max: CACHED_DOCUMENTS_MAX,
    maxSize: CACHED_CHARS_MAX,
    sizeCalculation: (_, text) => text.length + 1,
  })
  let limits = getLimits()
  return (text) => {
    if (limits !== getLimits()) {
      limits = getLimits()
      documents.clear()
    }
    const document = documents.get(text) ?? checkDocument(text, limits)
    documents.set(text, document)
    return document
  }
}

const forgetful = Object.freeze({ get: () => undefined, set: () => {} })

/** For Yoga's `parserAndValidationCache`: validation is remembered by document, documents are not. */
export const NO_DOCUMENT_CACHE = Object.freeze({
  documentCache: forgetful,
  errorCache: forgetful,
  validationCache: true,
})
