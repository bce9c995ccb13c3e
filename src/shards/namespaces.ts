/**
 * Statements for tenants with a schema of their own: the same text, with the name of their schema in place of the one
 * that all others share.
 *
 *     select t."id" from "app"."tasks" as t   ──▶   select t."id" from "tenant_acme"."tasks" as t
 *
 * Whole names and not `search_path`, with which Postgres plans anew whenever a connection goes from one tenant to the
 * next, and looks further where the tenant's schema lacks a table (docs/isolation.md has the figures). A name that is
 * overlooked here reaches nothing: the role of such a tenant may not use the shared schema.
 *
 * Text is taken apart only as far as strings, comments and names go. An alias spelt as the shared schema is not told
 * from it; generated SQL has none.
 */

import { LRUCache } from 'lru-cache'
import { prepared, type Statement } from '../db/sql.ts'
import type { Placement } from '../directory/types.ts'

/** The statements as they are sent to the home of a tenant: for most tenants, just as they came. */
export type ForHome = (placement: Placement, statements: readonly Statement[]) => readonly Statement[]
type InNamespace = (statement: Statement, namespace: string) => Statement

/** Texts kept: some hundreds of each tenant that is busy now. */
const TEXTS_MAX = 20_000
const CHARS_MAX = 16_000_000

/** @param shared  schema that the statements name */
export function forHomeOf(shared: string): ForHome {
  const inNamespace = inNamespaceOf(shared)
  return ({ isolation, namespace }, statements) =>
    isolation === 'schema' ? statements.map((statement) => inNamespace(statement, namespace)) : statements
}

function inNamespaceOf(shared: string): InNamespace {
  // By the name of the statement, which is a hash of its text, and a tenth as long.
  const known = new LRUCache<string, Statement>({
    max: TEXTS_MAX,
    maxSize: CHARS_MAX,
    sizeCalculation: ({ text }, key) => text.length + key.length,
  })
  return (statement, namespace) => {
    const { name, text } = statement
    if (name === undefined) return { ...statement, text: renamed(text, shared, namespace) }
    const key = `${name} ${namespace}`
    let own = known.get(key)
    if (!own) {
      own = prepared(renamed(text, shared, namespace))
      known.set(key, own)
    }
    return { ...own, ...(statement.lists && { lists: statement.lists }), values: statement.values }
  }
}

const NAME = '[\\p{L}_\\u0080-\\uffff][\\p{L}\\p{N}_$\\u0080-\\uffff]*'
const TOKEN = new RegExp(
  [
    String.raw`(?<gap>\s+|--[^\n\r]*)`,
    String.raw`(?<comment>/\*)`,
    String.raw`(?<dollar>\$(?:[\p{L}_\u0080-\uffff][\p{L}\p{N}_\u0080-\uffff]*)?\$)`,
    // A quote that is written twice within a string makes two strings of it, which is all the same here.
    String.raw`e'(?:[^'\\]+|\\.|'')*'?|'[^']*'?|u&"[^"]*"?`,
    `(?<name>"(?:[^"]+|"")*"?|${NAME})`,
    String.raw`\$?\d[\d_]*|.`,
  ].join('|'),
  'gsuiy',
)

interface Token {
  readonly text: string
  readonly name?: string | undefined
}

function renamed(text: string, shared: string, namespace: string): string {
  if (!text.toLowerCase().includes(shared.toLowerCase().replaceAll('"', '""'))) return text
  const tokens = tokensOf(text)
  const isDot = (token: Token | undefined): boolean => token?.text === '.'
  const own = quoted(namespace)
  let result = ''
  let last: Token | undefined
  for (const [i, token] of tokens.entries()) {
    if (isGap(token)) {
      result += token.text
      continue
    }
    const isShared = token.name === shared && !isDot(last) && isDot(afterGaps(tokens, i))
    result += isShared ? own : token.text
    last = token
  }
  return result
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    const { gap, comment, dollar, name } = match.groups ?? {}
    if (comment !== undefined) TOKEN.lastIndex = endOfComment(text, match.index)
    if (dollar !== undefined) TOKEN.lastIndex = endOfDollars(text, TOKEN.lastIndex, dollar)
    const whole = text.slice(match.index, TOKEN.lastIndex)
    if (gap !== undefined || comment !== undefined) tokens.push({ text: whole, name: '' })
    else tokens.push({ text: whole, ...(name !== undefined && { name: meant(name) }) })
  }
  return tokens
}

// No schema has an empty name.
const isGap = ({ name }: Token): boolean => name === ''

function afterGaps(tokens: readonly Token[], i: number): Token | undefined {
  let next = i + 1
  while (tokens[next] && isGap(tokens[next]!)) next++
  return tokens[next]
}

// Comments of this kind stand within each other.
function endOfComment(text: string, start: number): number {
  const edge = /\/\*|\*\//g
  edge.lastIndex = start
  let depth = 0
  for (let match = edge.exec(text); match; match = edge.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1
    if (depth === 0) return edge.lastIndex
  }
  return text.length
}

function endOfDollars(text: string, from: number, tag: string): number {
  const end = text.indexOf(tag, from)
  return end < 0 ? text.length : end + tag.length
}

/** The name as Postgres keeps it: without quotes, or in small letters. */
function meant(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase()
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
