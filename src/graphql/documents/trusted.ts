/**
 * Trusted documents: what the manifests of the configuration hold, by id.
 *
 * A manifest is what a build of a client writes: an object of id → text (GraphQL Code Generator, Relay), or Apollo's
 * list of operations. A file with any fault in it is refused whole, and every fault is told. That a document does
 * not fit the schema or the limits is no fault of the file: apps of last year are still about after a migration, and
 * one of them must not keep a gateway from starting. It is told (`unfitDocuments`), and refused when it is asked for.
 */

import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { type GraphQLSchema, parse, validate } from 'graphql'
import { type Config, manifestsOf } from '../../base/config.ts'
import { fail } from '../../base/errors.ts'
import { checkDocument, type DocumentLimits } from '../limits/limits.ts'

export interface TrustedDocument {
  /** Path of the manifest. */
  readonly file: string
  readonly id: string
  readonly text: string
}

export interface TrustedDocuments {
  readonly all: readonly TrustedDocument[]
  /** The text of a document; of an id that is a hash, with "sha256:" before it or without. */
  find(id: string): string | undefined
  /** Whether one of them has this very text. */
  has(text: string): boolean
}

export const NO_TRUSTED_DOCUMENTS: TrustedDocuments = trustedDocuments([], new Map())

// What a terminal shows of a file that is wrong from top to bottom.
const FAULTS_MAX = 20

/**
 * Read the manifests of a configuration. Lets other work go on between documents.
 *
 * @throws CONFIG_INVALID  with every fault in the message, a line each: a file that cannot be read or is no manifest,
 *                         an id that is not the SHA-256 of its text, a text that is not GraphQL, an id with two texts
 */
export async function readTrustedDocuments(
  config: Pick<Config, 'file' | 'documents'>,
): Promise<TrustedDocuments> {
  const all: TrustedDocument[] = []
  const byId = new Map<string, string>()
  const faults: string[] = []
  for (const [i, { file, ids }] of manifestsOf(config).entries()) {
    const entries = await readManifest(file).catch(({ message }) => `documents.trusted[${i}]: ${message}`)
    if (typeof entries === 'string') faults.push(entries)
    else
      for (const [id, text] of entries) {
        const fault = take(id, text, ids === 'opaque')
        if (fault) faults.push(`${file}: ${shown(id)}: ${fault}`)
        else all.push({ file, id, text: String(text) })
        await setImmediate()
      }
  }
  if (faults.length > 0)
    fail('CONFIG_INVALID', ['The trusted documents cannot be used:', ...few(faults)].join('\n  '))
  return trustedDocuments(all, byId)

  function take(id: string, text: unknown, opaque: boolean): string | undefined {
    if (typeof text !== 'string') return 'wanted the text of a document'
    const names = opaque ? [id] : hashNames(id, text)
    if (!names) return 'the id is not the SHA-256 of the text; where ids are any names, say "ids": "opaque"'
    if (names.some((name) => (byId.get(name) ?? text) !== text)) return 'another text has the same id'
    for (const name of names) byId.set(name, text)
    return faultOf(text)
  }
}

/** Why the schema or the limits refuse documents, a sentence each, 20 at the most. Lets other work go on meanwhile. */
export async function unfitDocuments(
  { all }: TrustedDocuments,
  schema: GraphQLSchema,
  limits: DocumentLimits,
): Promise<string[]> {
  const unfit: string[] = []
  for (const { file, id, text } of all) {
    const reason = reasonAgainst(text, schema, limits)
    if (reason) unfit.push(`${file}: ${shown(id)}: ${reason}`)
    await setImmediate()
  }
  return few(unfit)
}

function reasonAgainst(text: string, schema: GraphQLSchema, limits: DocumentLimits): string | undefined {
  try {
    return validate(schema, checkDocument(text, limits), undefined, { maxErrors: 1 })[0]?.message
  } catch (error) {
    return (error as Error).message
  }
}

type Entry = readonly [id: string, text: unknown]

/** @throws Error  a sentence about the file */
async function readManifest(file: string): Promise<readonly Entry[]> {
  const text = await readFile(file, 'utf8').catch(({ code }) => {
    throw new Error(`${file} cannot be read (${code})`)
  })
  const entries = entriesOf(jsonOf(text))
  if (!entries) throw new Error(`wanted a JSON object of id and text in ${file}, or a manifest of Apollo`)
  if (entries.length === 0) throw new Error(`wanted at least one document in ${file}; it holds none`)
  return entries
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function entriesOf(manifest: unknown): readonly Entry[] | undefined {
  if (!isObject(manifest)) return undefined
  if (manifest.format !== 'apollo-persisted-query-manifest') return Object.entries(manifest)
  const { operations } = manifest
  if (!Array.isArray(operations)) return undefined
  return operations.map((operation) =>
    isObject(operation) ? [String(operation.id), operation.body] : ['(no object)', undefined],
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The SHA-256 of a text as clients write it: of its UTF-8, in small hexadecimal digits. */
export const sha256Of = (text: string): string => hash('sha256', text)

/** A hash is called by its digits alone (APQ) and with what it is (GraphQL over HTTP). */
function hashNames(id: string, text: string): readonly string[] | undefined {
  const names = [sha256Of(text), `sha256:${sha256Of(text)}`]
  return names.includes(id) ? names : undefined
}

function faultOf(text: string): string | undefined {
  try {
    parse(text)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

const shown = (id: string): string => id.slice(0, 80)

function few(sentences: readonly string[]): string[] {
  const more = sentences.length - FAULTS_MAX
  return more > 0 ? [...sentences.slice(0, FAULTS_MAX), `and ${more} more`] : [...sentences]
}

function trustedDocuments(
  all: readonly TrustedDocument[],
  byId: ReadonlyMap<string, string>,
): TrustedDocuments {
  const texts = new Set(byId.values())
  return { all, find: (id) => byId.get(id), has: (text) => texts.has(text) }
}
