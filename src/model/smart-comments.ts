/**
 * Smart comments: lines that begin with "@", at the top of a comment in Postgres, say how a thing is served.
 *
 *     comment on column app.users.pw_hash is E'@omit\nNever leaves the server.'
 *
 * They are no part of the documentation. A line that begins with "@" and is none of them is a fault: whoever
 * mistypes @omit must not find the column served.
 */

import { nearest } from '../base/nearest.ts'

export const OMISSIONS = ['create', 'update', 'delete', 'filter', 'order'] as const
export type Part = (typeof OMISSIONS)[number]
/** Of everything, or of these parts. */
export type Omission = true | readonly Part[]

export interface Tags {
  readonly name?: string
  /** Of a foreign key: the field on the table that it points to. */
  readonly inverseName?: string
  readonly omit?: Omission
  readonly deprecated?: string
  /** Of a view: columns whose values no two rows have in common. */
  readonly primaryKey?: readonly string[]
}

type TagName = keyof Tags

export interface SmartComment {
  readonly tags: Tags
  /** What is left for people. */
  readonly comment?: string
}

/** What a comment on something may hold. */
export interface Rules {
  /** As a noun: 'the column app.users.pw_hash'. */
  readonly owner: string
  readonly tags: readonly TagName[]
  /** What can be omitted in part; nothing unless it is given. */
  readonly omissions?: readonly Part[]
  /** Sentences about what cannot stand are added here. */
  readonly faults: string[]
}

export function readComment(text: string | undefined, rules: Rules): SmartComment {
  const lines = (text ?? '').split(/\r?\n/)
  const end = lines.findIndex((line) => !line.startsWith('@'))
  const tagged = lines.slice(0, end < 0 ? lines.length : end)
  const comment = lines.slice(tagged.length).join('\n').trim()
  const tags = Object.assign({}, ...tagged.map((line) => readTag(line, rules))) as Tags
  return { tags, ...(comment && { comment }) }
}

function readTag(line: string, rules: Rules): Tags {
  const [, name = '', value = ''] = /^@(\S*)\s*(.*)$/.exec(line) ?? []
  const known = rules.tags.find((tag) => tag === name)
  if (!known) return fault(rules, unknownTag(name, rules))
  switch (known) {
    case 'omit':
      return readOmit(value.split(/[\s,]+/).filter(Boolean), rules)
    case 'deprecated':
      return value ? { deprecated: value } : fault(rules, '@deprecated wants the reason behind it')
    case 'primaryKey':
      return { primaryKey: value.split(/\s*,\s*/).filter(Boolean) }
    default:
      return value ? { [known]: value } : fault(rules, `@${known} wants a name behind it`)
  }
}

function readOmit(parts: readonly string[], rules: Rules): Tags {
  if (parts.length === 0) return { omit: true }
  const allowed = rules.omissions ?? []
  const wrong = parts.find((part) => !allowed.some((one) => one === part))
  if (wrong === undefined) return { omit: parts as Part[] }
  return fault(
    rules,
    `@omit has no "${wrong}" here${meant(wrong, allowed)}; it takes ${allowed.join(', ') || 'nothing'}`,
  )
}

function unknownTag(name: string, { tags }: Rules): string {
  const guess = meant(name, tags, '@')
  return `"@${name}" is no tag here${guess}; there are ${tags.map((tag) => `@${tag}`).join(', ')}`
}

function fault({ owner, faults }: Rules, text: string): Tags {
  faults.push(`the comment on ${owner}: ${text}`)
  return {}
}

/** `, did you mean "…"?` where something was. */
export function meant(word: string, known: readonly string[], sign = ''): string {
  const guess = nearest(word, known)
  return guess === undefined ? '' : `, did you mean "${sign}${guess}"?`
}
