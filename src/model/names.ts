/**
 * GraphQL names from Postgres names. They are an API: the same tables give the same names for ever,
 * and a name is never mended silently (`user_1`); two things that want one name are an error that says
 * what to rename (model/clashes.ts).
 *
 *     app.order_items   type OrderItem, fields orderItem and orderItems
 *     author_id         field authorId, relation author
 *     in-progress       enum value IN_PROGRESS
 */

import { isUncountable, plural, singular } from './inflection.ts'

/** 'created_at' → 'createdAt'; a leading '_' stays, and a name that starts with a digit gets one. */
export function camelCase(name: string): string {
  const { lead, words } = split(name)
  return lead + words.map((word, i) => (i === 0 ? word.toLowerCase() : capital(word))).join('')
}

/** 'order_items' → 'OrderItems'. */
export function pascalCase(name: string): string {
  const { lead, words } = split(name)
  return lead + words.map(capital).join('')
}

/** 'orderItems' → 'OrderItems': a field's name inside the name of a type. */
export function capitalized(name: string): string {
  return name.slice(0, 1).toUpperCase() + name.slice(1)
}

/** 'in-progress' → 'IN_PROGRESS': for enum values, where `true` and `null` may not stand as they are. */
export function constantCase(label: string): string {
  const { lead, words } = split(label)
  return lead + words.join('_').toUpperCase()
}

/** The field of a column. `id` is taken by the global id, so that column is `rowId`. */
export function columnField(column: string): string {
  const field = camelCase(column)
  return field === 'id' ? 'rowId' : field
}

export interface TableNames {
  readonly typeName: string
  readonly oneField: string
  readonly manyField: string
}

/** 'order_items' → OrderItem, orderItem, orderItems; 'news' → News, news, newsList. */
export function tableNames(table: string): TableNames {
  const { words } = split(table)
  const lead = underscores(table)
  const last = words.at(-1)?.toLowerCase() ?? ''
  const one = singular(last)
  const start = words.slice(0, -1)
  const single = lead + [...start, one].join('_')
  const many = lead + [...start, ...(isUncountable(one) ? [one, 'list'] : [plural(one)])].join('_')
  return { typeName: pascalCase(single), oneField: camelCase(single), manyField: camelCase(many) }
}

/** As `tableNames`, from the singular that somebody has chosen: 'Ticket', 'openTicket'. It is taken as it is. */
export function givenTableNames(name: string): TableNames {
  const { manyField } = tableNames(name)
  const [first = '', rest] = [name.slice(0, 1), name.slice(1)]
  const oneField = /^[A-Z]{2}/.test(name) ? camelCase(name) : first.toLowerCase() + rest
  // A word that reads as a plural ("Bus", "Tickets") is still one of many.
  const many = manyField === oneField ? `${oneField}List` : manyField
  return { typeName: first.toUpperCase() + rest, oneField, manyField: many }
}

/** What a foreign key's column points at: 'author_id' → 'author'; undefined when it does not say. */
export function referenceName(column: string): string | undefined {
  return /^(.*[^_])(?:_id|_uuid|_fk|Id|ID|Uuid)$/.exec(column)?.[1]
}

interface Split {
  /** Underscores to keep at the front. */
  readonly lead: string
  /** At least one, each of A-Z, a-z and 0-9. */
  readonly words: readonly string[]
}

function split(name: string): Split {
  const lead = underscores(name)
  const words = splitWords(ascii(name))
  // A name made of signs alone ('>='), where separating leaves nothing.
  if (words.length === 0) words.push(...[...name].map(hex))
  return { lead: lead === '' && /^[0-9]/.test(words[0] ?? '') ? '_' : lead, words }
}

function underscores(name: string): string {
  return /^_*/.exec(name)?.[0] ?? ''
}

// The split is at a small letter that a capital follows, and at the last of several capitals
// ("HTTPServer"); not inside a word without small letters, so that the label "A1B2" stays whole.
function splitWords(text: string): string[] {
  return text
    .split(/[^A-Za-z0-9]+/)
    .flatMap((word) =>
      /[a-z]/.test(word) ? word.split(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/) : word,
    )
    .filter((word) => word !== '')
}

function ascii(name: string): string {
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '')
  return [...plain]
    .map((character) => (/[A-Za-z0-9]/.test(character) ? character : spell(character)))
    .join('')
}

// A letter that GraphQL has not is spelled by its number, so that two words never become one; a sign
// only separates words.
function spell(character: string): string {
  return /[\p{L}\p{N}]/u.test(character) ? hex(character) : ' '
}

function hex(character: string): string {
  return `u${character.codePointAt(0)?.toString(16) ?? ''}`
}

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase()
}
