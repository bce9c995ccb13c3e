/**
 * What Postgres's output plugin `pgoutput` says (protocol version 1), as values.
 *
 * Values of rows stay Postgres text: they go into the other side as they came out of this one, and no parser of ours
 * loses a digit of them. A value that was moved out of its row (TOAST) and has not changed is not sent, and is none of
 * the others: not null, not ''.
 */

import { constants } from 'node:buffer'
import { fail } from '../base/errors.ts'

export interface RelationColumn {
  readonly name: string
  /** Whether it is among what old keys hold: the replica identity; all columns of a FULL one. */
  readonly isKey: boolean
  /** Oid of its type. */
  readonly type: number
  readonly typmod: number
}

/** A table as it was when it was changed. */
export interface Relation {
  readonly id: number
  readonly schema: string
  readonly name: string
  /** 'd' primary key, 'i' an index, 'f' all columns, 'n' none. */
  readonly identity: string
  /** Without generated ones, in the order of the table. */
  readonly columns: readonly RelationColumn[]
}

export const UNCHANGED: unique symbol = Symbol('unchanged TOAST')

/** By position of the column. */
export type Tuple = readonly (string | null | typeof UNCHANGED)[]

/** What a row was: its key alone (all other columns are null then), or all of it. */
export interface Old {
  readonly is: 'key' | 'row'
  readonly tuple: Tuple
}

export type Change =
  | { readonly kind: 'begin' /** Of its commit. */; readonly lsn: bigint }
  | {
      readonly kind: 'commit'
      readonly lsn: bigint /** Where whoever has it goes on. */
      readonly end: bigint
    }
  | { readonly kind: 'insert'; readonly relation: Relation; readonly row: Tuple }
  | {
      readonly kind: 'update'
      readonly relation: Relation
      /** Null: the key is that of `row`. */
      readonly old: Old | null
      readonly row: Tuple
    }
  | { readonly kind: 'delete'; readonly relation: Relation; readonly old: Old }
  | { readonly kind: 'truncate'; readonly relations: readonly Relation[] }
  | {
      readonly kind: 'message'
      readonly transactional: boolean
      readonly prefix: string
      readonly content: string
    }
  /** Says nothing about rows, or what is remembered for later ones: a relation, a type, an origin. */
  | { readonly kind: 'other' }

/** Reads the messages of one stream, in their order: a table is described once, before the first of its rows. */
export class PgOutput {
  readonly #relations = new Map<number, Relation>()

  /**
   * @param bytes  one message; nothing of it is kept
   * @throws an Error when it is none
   * @throws REFUSED  a value is too large to be read
   */
  read(bytes: Buffer): Change {
    const at = new Cursor(bytes)
    const kind = at.char()
    switch (kind) {
      case 'B':
        return { kind: 'begin', lsn: at.int64() }
      case 'C':
        at.skip(1)
        return { kind: 'commit', lsn: at.int64(), end: at.int64() }
      case 'R':
        return this.#remember(relationAt(at))
      case 'I': {
        const relation = this.#relation(at.int32())
        at.expect('N')
        return { kind: 'insert', relation, row: at.tuple() }
      }
      case 'U':
        return this.#update(at)
      case 'D': {
        const relation = this.#relation(at.int32())
        return { kind: 'delete', relation, old: oldAt(at, at.char()) }
      }
      case 'T': {
        const count = at.int32()
        at.skip(1)
        return {
          kind: 'truncate',
          relations: Array.from({ length: count }, () => this.#relation(at.int32())),
        }
      }
      case 'M': {
        const transactional = at.int8() === 1
        at.skip(8)
        return { kind: 'message', transactional, prefix: at.name(), content: at.text(at.int32()) }
      }
      case 'Y':
      case 'O':
        return OTHER
      default:
        throw new Error(`pgoutput sent a message of the kind "${kind}", which is not known.`)
    }
  }

  #update(at: Cursor): Change {
    const relation = this.#relation(at.int32())
    const mark = at.char()
    if (mark === 'N') return { kind: 'update', relation, old: null, row: at.tuple() }
    const old = oldAt(at, mark)
    at.expect('N')
    return { kind: 'update', relation, old, row: at.tuple() }
  }

  #remember(relation: Relation): Change {
    this.#relations.set(relation.id, relation)
    return OTHER
  }

  #relation(id: number): Relation {
    const relation = this.#relations.get(id)
    if (!relation) throw new Error(`pgoutput sent a row of the relation ${id}, which it has not described.`)
    return relation
  }
}

const OTHER: Change = { kind: 'other' }

function relationAt(at: Cursor): Relation {
  const id = at.int32()
  // An empty name stands for pg_catalog.
  const schema = at.name() || 'pg_catalog'
  const name = at.name()
  const identity = at.char()
  const columns = Array.from({ length: at.int16() }, () => ({
    isKey: (at.int8() & 1) === 1,
    name: at.name(),
    type: at.int32(),
    typmod: at.signed32(),
  }))
  return { id, schema, name, identity, columns }
}

function oldAt(at: Cursor, mark: string): Old {
  if (mark !== 'K' && mark !== 'O') throw new Error(`pgoutput sent "${mark}" where an old row was due.`)
  return { is: mark === 'K' ? 'key' : 'row', tuple: at.tuple() }
}

function tooLarge(bytes: number): never {
  const sentence = `A value of ${bytes} bytes as text was written, which is more than one message can be read of (${constants.MAX_STRING_LENGTH}).`
  return fail('REFUSED', sentence, {}, { hint: 'Move the tenant while nobody writes such values.' })
}

class Cursor {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  skip(bytes: number): void {
    this.#at += bytes
  }

  int8(): number {
    const value = this.#bytes.readUInt8(this.#at)
    this.#at += 1
    return value
  }

  char(): string {
    return String.fromCharCode(this.int8())
  }

  int16(): number {
    const value = this.#bytes.readUInt16BE(this.#at)
    this.#at += 2
    return value
  }

  int32(): number {
    const value = this.#bytes.readUInt32BE(this.#at)
    this.#at += 4
    return value
  }

  signed32(): number {
    return this.int32() | 0
  }

  int64(): bigint {
    const value = this.#bytes.readBigUInt64BE(this.#at)
    this.#at += 8
    return value
  }

  /** Ends with a zero byte. */
  name(): string {
    const end = this.#bytes.indexOf(0, this.#at)
    if (end < 0) throw new Error('pgoutput sent a name that does not end.')
    const name = this.#bytes.toString('utf8', this.#at, end)
    this.#at = end + 1
    return name
  }

  text(length: number): string {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new Error('pgoutput sent a value that is longer than its message.')
    if (length > constants.MAX_STRING_LENGTH) tooLarge(length)
    const text = this.#bytes.toString('utf8', this.#at, end)
    this.#at = end
    return text
  }

  expect(mark: string): void {
    const came = this.char()
    if (came !== mark) throw new Error(`pgoutput sent "${came}" where "${mark}" was due.`)
  }

  tuple(): Tuple {
    return Array.from({ length: this.int16() }, () => this.#value())
  }

  #value(): string | null | typeof UNCHANGED {
    const kind = this.char()
    if (kind === 't') return this.text(this.int32())
    if (kind === 'n') return null
    if (kind === 'u') return UNCHANGED
    throw new Error(`pgoutput sent a value of the kind "${kind}"; text was asked for.`)
  }
}
