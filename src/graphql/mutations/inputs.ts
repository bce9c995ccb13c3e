/** Input types of mutations: new rows with their children, patches, and the names of columns and keys. */

import { fail } from '../../base/errors.ts'
import { capitalized, constantCase } from '../../model/names.ts'
import type { Column, Table } from '../../model/types.ts'
import { type InputFieldsOf, type InputRef, inputObject } from '../builder.ts'
import type { SchemaParts } from '../types.ts'
import { documented, inputField } from '../values/types.ts'
import { type ChildRelation, childColumns, childRelations } from './children.ts'
import { createColumns, patchColumns } from './fields.ts'

type InputField = ReturnType<InputFieldsOf>[number]
type FieldsBuilder = Parameters<InputFieldsOf>[0]

/** Makes each input type of new rows once, when it is first asked for: children may hold children of their kind. */
export function createInputs(parts: SchemaParts): (table: Table) => InputRef {
  const made = new Map<string, InputRef>()

  function inputOf(name: string, table: Table, columns: readonly Column[], description: string): InputRef {
    const known = made.get(name)
    if (known) return known
    const ref = parts.builder.inputRef(name)
    made.set(name, ref as InputRef)
    return inputObject(parts.builder, ref, { description }, (t) => [
      ...columns.map((column) => columnField(t, parts, column, isRequired(column))),
      ...childRelations(table, parts.tables).map((child) => childField(t, table, child)),
    ])
  }

  function childField(t: FieldsBuilder, table: Table, child: ChildRelation): InputField {
    const { relation, target } = child
    const name = `Create${table.typeName}${capitalized(relation.field)}Input`
    const description = `A ${target.typeName} that is created with its ${table.typeName}.`
    const type = inputOf(name, target, childColumns(child), description)
    if (relation.kind === 'one') return [relation.field, t.field({ type })]
    return [relation.field, t.field({ type: [type], required: { list: false, items: true } })]
  }

  return (table) =>
    inputOf(`Create${table.typeName}Input`, table, createColumns(table), `A new ${table.typeName}.`)
}

export function patchInputs(parts: SchemaParts): (table: Table) => InputRef {
  const made = new Map<Table, InputRef>()
  const make = (table: Table): InputRef => {
    const description = `Columns of a ${table.typeName} to change; the others stay as they are.`
    return inputObject(parts.builder, `${table.typeName}Patch`, { description }, (t) =>
      patchColumns(table).map((column) => columnField(t, parts, column, false)),
    )
  }
  return (table) => {
    const input = made.get(table) ?? make(table)
    made.set(table, input)
    return input
  }
}

/** Columns that may change, by name: the value of the enum is the name in Postgres. */
export function columnEnum({ builder }: SchemaParts, table: Table) {
  const columns = patchColumns(table)
  return builder.enumType(`${table.typeName}Column`, {
    description: `Columns of a ${table.typeName} that may change.`,
    values: enumValues(
      table,
      columns.map((column) => [constantCase(column.field), column.name] as const),
    ),
  })
}

/** A unique key by which a row can be found again. */
export interface WritableKey {
  /** 'ID', 'NUMBER_AND_KIND'. */
  readonly name: string
  /** Without the tenant column. */
  readonly columns: readonly string[]
}

/** Keys whose columns can all be given, the primary key first. One that reached over tenants would not be served. */
export function writableKeys(table: Table): WritableKey[] {
  const uniques = table.uniques.map(({ columns }) => columns.filter((name) => name !== table.tenantColumn))
  const all = [table.primaryKey, ...uniques].filter((columns) => isWritable(table, columns))
  const sameColumns = (columns: readonly string[]): string => JSON.stringify([...columns].sort())
  const distinct = new Map(all.toReversed().map((columns) => [sameColumns(columns), columns]))
  return [...distinct.values()].toReversed().map((columns) => ({ name: keyName(table, columns), columns }))
}

export function keyEnum({ builder }: SchemaParts, table: Table, keys: readonly WritableKey[]) {
  return builder.enumType(`${table.typeName}KeyName`, {
    description: `Unique keys of a ${table.typeName}.`,
    values: enumValues(
      table,
      keys.map(({ name }) => [name, name] as const),
    ),
  })
}

function isWritable(table: Table, columns: readonly string[]): boolean {
  const given = createColumns(table).map(({ name }) => name)
  return columns.length > 0 && columns.every((name) => given.includes(name))
}

// `rowId` is how the API calls a column `id` beside the global id; as a key it is simply the id.
function keyName(table: Table, columns: readonly string[]): string {
  const fields = columns.map((name) => table.columns.find((column) => column.name === name)!.field)
  return fields.map((field) => constantCase(field === 'rowId' ? 'id' : field)).join('_AND_')
}

/** @throws CONFIG_INVALID  two of them have one name */
function enumValues(
  { id, typeName }: Table,
  entries: readonly (readonly [string, string])[],
): Record<string, { value: string }> {
  const twice = entries.find(([name], i) => entries.findIndex((other) => other[0] === name) !== i)
  if (twice) {
    const sentence = `Two columns or keys of ${id} (${typeName}) both want the name ${twice[0]} in an enum. To mend it: rename a column, or give one another name in "tenancy.tables".`
    fail('CONFIG_INVALID', sentence)
  }
  return Object.fromEntries(entries.map(([name, value]) => [name, { value }]))
}

function columnField(t: FieldsBuilder, parts: SchemaParts, column: Column, required: boolean): InputField {
  return [column.field, inputField(t, parts, column.type, { ...documented(column), required })]
}

function isRequired({ nullable, hasDefault }: Column): boolean {
  return !nullable && !hasDefault
}
