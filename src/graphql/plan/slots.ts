/**
 * Slots: places of values in a statement that is compiled before its values are known.
 *
 * A plan whose values are slots is a shape. It goes through the same functions as a plan with values, so that both
 * lanes have the same SQL; what comes out says which value goes to which parameter.
 */

import type { TenantId } from '../../base/ids.ts'
import { type SQL, sql, type Value } from '../../db/sql.ts'

export class Slot {
  /** Place in the list of values; -1 is the tenant. */
  readonly index: number
  readonly #changed: (value: Value) => Value

  constructor(index: number, changed: (value: Value) => Value = (value) => value) {
    this.index = index
    this.#changed = changed
  }

  /** The parameter for a value: a pattern, for one that is looked for in a text. */
  of(value: Value): Value {
    return this.#changed(value)
  }

  changedBy(change: (value: Value) => Value): Slot {
    return new Slot(this.index, (value) => change(this.#changed(value)))
  }
}

/** A slot where plans have a value. Only `sql.value` and `changed` ever look at it. */
export function slot(index: number): Value {
  return new Slot(index) as unknown as Value
}

/** The parameters of a compiled statement, for one request. */
export function parametersOf(slots: readonly Slot[], values: readonly Value[], tenant: TenantId): Value[] {
  return slots.map((found) => (found.index < 0 ? tenant : found.of(values[found.index]!)))
}

/** Stands for the tenant in a statement that serves all of them. */
export const ANY_TENANT = new Slot(-1) as unknown as TenantId

/** `change(value)`, now or when a slot gets its value. */
export function changed(value: Value, change: (value: Value) => Value): Value {
  const found: unknown = value
  return found instanceof Slot ? (found.changedBy(change) as unknown as Value) : change(value)
}

/** A text with one parameter for each different slot and cast, in the order of their first use. */
export interface Compiled {
  readonly text: string
  readonly slots: readonly Slot[]
}

// A name or a text, which may look like a parameter; or a parameter with its casts, of which the first gives its type.
const PARAMETER =
  /"(?:[^"]|"")*"|'(?:[^'\\]|''|\\.)*'|\$(\d+)((?:::"(?:[^"]|"")+"(?:\."(?:[^"]|"")+")?(?:\[\])?)*)/g

/**
 * Compile a fragment whose values are slots. The tenant stands behind every table of a statement; as one parameter
 * it is sent and read once.
 *
 * @throws Error  a value that is no slot: it would be the same for everybody who comes later
 */
export function compileSlots(fragment: SQL): Compiled {
  const { text, values } = sql.compile(fragment)
  const places = new Map<string, number>()
  const slots: Slot[] = []
  const shared = text.replace(PARAMETER, (part, number?: string, casts = '') => {
    if (number === undefined) return part
    const found: unknown = values[Number(number) - 1]
    if (!(found instanceof Slot)) throw new Error('a compiled statement holds a value')
    // Values stand once each, but the tenant behind every table.
    const name = found.index < 0 ? casts : number
    const place = places.get(name) ?? slots.push(found)
    places.set(name, place)
    return `$${place}${casts}`
  })
  return { text: shared, slots }
}
