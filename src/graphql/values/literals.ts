/**
 * Arrays, rows and ranges as Postgres writes them in text, taken apart and put together.
 *
 * What Postgres sends is always well formed; a text that is not is a fault of ours, and throws an Error.
 */

/** Items of an array: text, null for NULL, a list where there is a further dimension. */
export type ArrayItem = string | null | readonly ArrayItem[]

/** `{a,"b c",NULL}` as a list; bounds before it, as in `[0:1]={…}`, are passed over. @param delimiter  of the type */
export function parseArray(text: string, delimiter = ','): readonly ArrayItem[] {
  const reader = new LiteralReader(text, text.indexOf('{', text.startsWith('[') ? text.indexOf('=') : 0))
  return reader.array(delimiter)
}

/** `(1,"a b",)` as its fields; what is left empty is null. */
export function parseRow(text: string): (string | null)[] {
  if (text === '()') return [null]
  const reader = new LiteralReader(text, 1)
  return reader.items(',', ')', (item, quoted) => (item === '' && !quoted ? null : item))
}

export interface RangeText {
  readonly lower: string | null
  readonly upper: string | null
  readonly lowerInclusive: boolean
  readonly upperInclusive: boolean
  readonly isEmpty: boolean
}

const EMPTY: RangeText = Object.freeze({
  lower: null,
  upper: null,
  lowerInclusive: false,
  upperInclusive: false,
  isEmpty: true,
})

/** `[1,5)`; a bound that is left out is null, and so are both of `empty`. */
export function parseRange(text: string): RangeText {
  return text === 'empty' ? EMPTY : new LiteralReader(text, 0).range()
}

/** `{[1,5),[7,9)}` */
export function parseMultirange(text: string): RangeText[] {
  const reader = new LiteralReader(text, 1)
  const found: RangeText[] = []
  while (reader.next() !== '}') {
    found.push(reader.range())
    if (reader.next() === ',') reader.skip()
  }
  return found
}

export function rowLiteral(fields: readonly (string | null)[]): string {
  return `(${fields.map((field) => (field === null ? '' : quoted(field))).join(',')})`
}

export function rangeLiteral({ lower, upper, lowerInclusive, upperInclusive, isEmpty }: RangeText): string {
  if (isEmpty) return 'empty'
  const bound = (text: string | null) => (text === null ? '' : quoted(text))
  return `${lowerInclusive ? '[' : '('}${bound(lower)},${bound(upper)}${upperInclusive ? ']' : ')'}`
}

export function multirangeLiteral(ranges: readonly RangeText[]): string {
  return `{${ranges.map(rangeLiteral).join(',')}}`
}

/** For arrays whose items are not parted by a comma. */
export function arrayLiteral(items: readonly (string | null)[], delimiter: string): string {
  return `{${items.map((item) => (item === null ? 'NULL' : quoted(item))).join(delimiter)}}`
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

class LiteralReader {
  readonly #text: string
  #at: number

  constructor(text: string, at: number) {
    this.#text = text
    this.#at = at
  }

  /** The next character. */
  next(): string {
    return this.#text[this.#at] ?? malformed()
  }

  skip(): void {
    this.#at += 1
  }

  array(delimiter: string): ArrayItem[] {
    this.skip()
    const items: ArrayItem[] = []
    while (this.next() !== '}') {
      items.push(this.next() === '{' ? this.array(delimiter) : this.#arrayItem(delimiter))
      if (this.next() === delimiter) this.skip()
    }
    this.skip()
    return items
  }

  #arrayItem(delimiter: string): string | null {
    const { text, quoted } = this.#item(delimiter, '}')
    return text === 'NULL' && !quoted ? null : text
  }

  /** Items up to `end`, at least one. */
  items<T>(delimiter: string, end: string, make: (text: string, quoted: boolean) => T): T[] {
    const items: T[] = []
    for (;;) {
      const { text, quoted } = this.#item(delimiter, end)
      items.push(make(text, quoted))
      const stop = this.next() === end
      this.skip()
      if (stop) return items
    }
  }

  range(): RangeText {
    const open = this.next()
    this.skip()
    const lower = this.#bound(',', ',')
    this.skip()
    const upper = this.#bound(']', ')')
    const close = this.next()
    this.skip()
    return { lower, upper, lowerInclusive: open === '[', upperInclusive: close === ']', isEmpty: false }
  }

  #bound(delimiter: string, end: string): string | null {
    const { text, quoted } = this.#item(delimiter, end)
    return text === '' && !quoted ? null : text
  }

  // Up to `delimiter` or `end` outside of quotes. Inside, a backslash takes the next character as it is; a quote
  // inside of quotes is written twice in rows and ranges, after a backslash in arrays.
  #item(delimiter: string, end: string): { readonly text: string; readonly quoted: boolean } {
    let text = ''
    let quoted = false
    let inside = false
    for (;;) {
      const character = this.next()
      if (!inside && (character === delimiter || character === end)) return { text, quoted }
      this.skip()
      if (character === '"' && inside && this.#text[this.#at] === '"') {
        text += character
        this.skip()
      } else if (character === '"') {
        inside = !inside
        quoted = true
      } else if (character === '\\') {
        text += this.next()
        this.skip()
      } else text += character
    }
  }
}

function malformed(): never {
  throw new Error('a value of Postgres ends in the middle')
}
