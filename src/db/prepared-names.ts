/**
 * Which statements one connection keeps prepared, as far as we know: those whose Parse was confirmed, and those whose
 * Parse is on its way. The least recently used are closed.
 */

import { LRUCache } from 'lru-cache'
import type { Statement } from './sql.ts'

/** Statements that one connection keeps prepared. */
const PREPARED_MAX = 500
/** Characters of all their texts: one of 100 kB takes the server some 5 MB. */
const PREPARED_CHARS_MAX = 500_000

export class PreparedNames {
  readonly #names: LRUCache<string, true>
  readonly #evicted: string[] = []

  constructor() {
    this.#names = new LRUCache({
      max: PREPARED_MAX,
      maxSize: PREPARED_CHARS_MAX,
      dispose: (_, name, reason) => void (reason === 'evict' && this.#evicted.push(name)),
    })
  }

  /** What a batch of these statements has to send. From then on those that it parses count as prepared. */
  plan(asked: readonly Statement[]): {
    readonly statements: readonly Statement[]
    readonly toParse: readonly Statement[]
    readonly toClose: readonly string[]
  } {
    const statements = fitTogether(asked) ? asked : this.#withoutNewNames(asked)
    const toParse = this.#unprepared(statements)
    return { statements, toParse, toClose: this.#evicted.splice(0) }
  }

  /** A Parse was not confirmed: it has to be sent again. */
  forget(name: string): void {
    this.#names.delete(name)
  }

  #withoutNewNames(statements: readonly Statement[]): Statement[] {
    return statements.map((statement) => {
      const { name, ...unnamed } = statement
      return name && this.#names.has(name) ? statement : unnamed
    })
  }

  #unprepared(statements: readonly Statement[]): Statement[] {
    const fresh: Statement[] = []
    for (const statement of statements) {
      if (!statement.name || this.#names.get(statement.name)) continue
      this.#names.set(statement.name, true, { size: sizeOf(statement) })
      fresh.push(statement)
    }
    return fresh
  }
}

const sizeOf = ({ text }: Statement): number => Math.min(text.length, PREPARED_CHARS_MAX / 2)

/**
 * Whether a connection can keep all of them prepared. Of more than that the last would push out the first before they
 * have run, the fence among them: what is closed then is asked for, or is there still when it is prepared again.
 */
function fitTogether(statements: readonly Statement[]): boolean {
  let chars = 0
  for (const statement of statements) chars += sizeOf(statement)
  return statements.length <= PREPARED_MAX && chars <= PREPARED_CHARS_MAX
}
