/**
 * Which rows the last changes have touched: enough of them to compare the rest while writes are held, and never more
 * than fits. Of older ones it is only known that there were some.
 */

/** Keys that are kept: comparing so many takes some tens of milliseconds. */
export const TOUCHED_MAX = 5_000

/** Marks that are remembered. */
const MARKS_MAX = 1_000

interface Touch {
  readonly table: string
  readonly key: readonly string[]
  /** Number of the change. */
  readonly at: number
}

export class TouchedKeys {
  readonly #max: number
  /** The one that was touched last is last. */
  readonly #touches = new Map<string, Touch>()
  readonly #marks = new Map<string, number>()
  #at = 0
  /** Number of the last change that was forgotten. */
  #forgotten = 0

  constructor(max = TOUCHED_MAX) {
    this.#max = max
  }

  touch(table: string, key: readonly string[]): void {
    this.#at += 1
    // Neither a name nor a value of Postgres's has this character.
    const id = [table, ...key].join('\0')
    this.#touches.delete(id)
    this.#touches.set(id, { table, key, at: this.#at })
    if (this.#touches.size <= this.#max) return
    for (const [oldest, { at }] of this.#touches) {
      this.#touches.delete(oldest)
      this.#forgotten = at
      return
    }
  }

  mark(name: string): void {
    this.#marks.delete(name)
    this.#marks.set(name, this.#at)
    for (const oldest of this.#marks.keys()) {
      if (this.#marks.size <= MARKS_MAX) return
      this.#marks.delete(oldest)
    }
  }

  knows(mark: string): boolean {
    return this.#marks.has(mark)
  }

  /** By id of the table. Of a mark that never came nobody knows what came after it. */
  since(mark: string): ReadonlyMap<string, readonly (readonly string[])[]> | 'too many' {
    const from = this.#marks.get(mark)
    if (from === undefined || from < this.#forgotten) return 'too many'
    const found = new Map<string, (readonly string[])[]>()
    for (const { table, key, at } of this.#touches.values()) {
      if (at <= from) continue
      const keys = found.get(table)
      if (keys) keys.push(key)
      else found.set(table, [key])
    }
    return found
  }
}
