/**
 * One table as a subject of questions: what of another tenant's row can be asked with, and what of one's own.
 */

import {
  type GraphQLInputObjectType,
  type GraphQLSchema,
  getNamedType,
  isEnumType,
  isInputObjectType,
} from 'graphql'
import { lookupKeys } from '../../src/model/lookups.ts'
import type { Column, Table } from '../../src/model/types.ts'

/** A value of the other tenant's, as it stands in the variables of a question. */
export class Theirs {
  readonly value: unknown

  constructor(value: unknown) {
    this.value = value
  }
}

export type Row = Readonly<Record<string, unknown>>

/** Of one table: a row of the asking tenant, one of the other's, and a cursor of the other's list. */
export interface Known {
  readonly own: Row
  readonly other: Row
  readonly cursor: string
  /** Whether a value stands in some row of the asking tenant, where it would be found rightly. */
  has(field: string, value: unknown): boolean
  /** A value of the same form that no row has. */
  fresh(value: unknown): unknown
}

/** A part of a row with a name for it. */
export interface Part {
  readonly name: string
  readonly values: Readonly<Record<string, Theirs>>
}

export class Subject {
  readonly table: Table
  readonly known: Known
  readonly #schema: GraphQLSchema
  readonly #tables: readonly Table[]

  constructor(schema: GraphQLSchema, tables: readonly Table[], table: Table, known: Known) {
    this.#schema = schema
    this.#tables = tables
    this.table = table
    this.known = known
  }

  keyNames(): string[] {
    const names = this.#schema.getType(`${this.table.typeName}KeyName`)
    return isEnumType(names) ? names.getValues().map(({ name }) => name) : []
  }

  /** The own row again, with nothing that would collide with itself. */
  fresh(): Row {
    const unique = new Set(
      [this.table.primaryKey, ...this.table.uniques.map(({ columns }) => columns)].flat(),
    )
    const referring = new Set(
      this.table.relations.flatMap(({ kind, columns }) =>
        kind === 'one' ? columns.map(({ own }) => own) : [],
      ),
    )
    const entries = this.table.columns.map(({ name, field, hasDefault, nullable }) => {
      const value = this.known.own[field]
      if (!unique.has(name) || referring.has(name)) return [field, value] as const
      return [field, hasDefault || nullable ? undefined : this.known.fresh(value)] as const
    })
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
  }

  /** For each foreign key, its columns as the other tenant's row has them. */
  references(): Part[] {
    return this.table.relations
      .filter(({ kind, inverse }) => kind === 'one' && !inverse)
      .map(({ field, columns }) => ({
        name: `the other's ${field}`,
        values: this.theirs(columns.map(({ own }) => own)),
      }))
      .filter(({ values }) =>
        Object.values(values).every(({ value }) => value !== null && value !== undefined),
      )
  }

  /** For each unique key, its columns as the other tenant's row has them. */
  uniques(): Part[] {
    return lookupKeys(this.table).map(({ columns }) => {
      const names = columns.map(({ name }) => name)
      return { name: `the other's ${names.join(' and ')}`, values: this.theirs(names) }
    })
  }

  their(field: string): Theirs {
    return new Theirs(this.known.other[field])
  }

  /** By the names of columns; with the fields as keys. */
  theirs(names: readonly string[]): Record<string, Theirs> {
    const columns = this.table.columns.filter(({ name }) => names.includes(name))
    return Object.fromEntries(columns.map(({ field }) => [field, this.their(field)]))
  }

  creatable(row: Row): Row {
    const fields = new Set(this.table.columns.filter(({ can }) => can.create).map(({ field }) => field))
    return Object.fromEntries(
      Object.entries(row).filter(
        ([field, value]) =>
          fields.has(field) && value !== null && !(value instanceof Theirs && value.value === null),
      ),
    )
  }

  patchable(row: Row): Row {
    const patch = this.#schema.getType(`${this.table.typeName}Patch`)
    const fields = new Set(isInputObjectType(patch) ? Object.keys(patch.getFields()) : [])
    return Object.fromEntries(Object.entries(row).filter(([field]) => fields.has(field)))
  }

  harmlessPatch(): Row | undefined {
    const keys = new Set(this.table.relations.flatMap(({ columns }) => columns.map(({ own }) => own)))
    const column = this.table.columns.find(
      ({ name, can, type }) =>
        can.update && !keys.has(name) && !this.table.primaryKey.includes(name) && !type.array,
    )
    return column && { [column.field]: this.known.own[column.field] ?? null }
  }

  /** Conditions that only the other tenant's row meets. */
  conditions(): { name: string; filter: Row }[] {
    return this.#sought().flatMap((column) => {
      const value = this.known.other[column.field]
      return operatorsFor(this.#operators(column.field), column, value).map(([operator, operand]) => ({
        name: `${column.field} ${operator}`,
        filter: { [column.field]: { [operator]: operand } },
      }))
    })
  }

  #sought(): Column[] {
    const { other } = this.known
    return this.table.columns.filter(({ field, can }) => {
      const value = other[field]
      const empty =
        value === null || value === undefined || (Array.isArray(value) && (value[0] ?? null) === null)
      return can.filter && !empty && !this.known.has(field, value)
    })
  }

  groupable(): string[] {
    const groups = this.#schema.getType(`${this.table.typeName}GroupBy`)
    const fields = isInputObjectType(groups) ? groups.getFields() : {}
    return this.#sought()
      .map(({ field }) => field)
      .filter(
        (field) =>
          fields[field] &&
          this.#operators(field).has('eq') &&
          getNamedType(fields[field].type).name === 'GroupPart',
      )
  }

  #operators(field: string): ReadonlySet<string> {
    const filter = this.#schema.getType(`${this.table.typeName}Filter`) as GraphQLInputObjectType
    const found = filter.getFields()[field]
    const type = found && getNamedType(found.type)
    return new Set(isInputObjectType(type) ? Object.keys(type.getFields()) : [])
  }

  keys(): { name: string; value: unknown }[] {
    return lookupKeys(this.table).map(({ name, columns }) => {
      const values = columns.map(({ field }) => [field, this.their(field)] as const)
      return { name, value: values.length === 1 ? values[0]![1] : Object.fromEntries(values) }
    })
  }

  // Field names of the other table, as far as they can be filtered by.
  filterOf(field: string, kind: 'one' | 'many'): { column: string; field: string }[] | undefined {
    const filter = this.#schema.getType(`${this.table.typeName}Filter`) as GraphQLInputObjectType
    const found = filter.getFields()[field]
    if (!found) return undefined
    const type = getNamedType(found.type) as GraphQLInputObjectType
    const inner =
      kind === 'one' ? type : (getNamedType(type.getFields().some!.type) as GraphQLInputObjectType)
    const columns = this.target(field)?.columns ?? []
    return columns
      .map((column) => ({ column: column.name, field: column.field }))
      .filter((column) => inner.getFields()[column.field])
  }

  /** Fields of a table's nested create that hold values, by the field of the relation; none where there is no nested create. */
  nestedFields(field: string): string[] {
    const type = this.#schema.getType(`Create${this.table.typeName}Input`)
    const nested = isInputObjectType(type) ? type.getFields()[field] : undefined
    const input = nested && getNamedType(nested.type)
    return isInputObjectType(input) ? Object.keys(input.getFields()) : []
  }

  target(field: string): Table | undefined {
    const relation = this.table.relations.find((candidate) => candidate.field === field)
    return this.#tables.find(({ id }) => id === relation?.target)
  }
}

function operatorsFor(known: ReadonlySet<string>, { type }: Column, value: unknown): [string, unknown][] {
  const theirs = new Theirs(value)
  const all: [string, unknown][] = type.array
    ? [['has', new Theirs((value as unknown[])[0])], ...both('contains', 'eq')]
    : [['in', [theirs]], ...both('eq', 'contains', 'startsWith', 'search')]
  function both(...operators: string[]): [string, unknown][] {
    return operators.map((operator) => [operator, theirs])
  }
  return all.filter(([operator]) => known.has(operator))
}
