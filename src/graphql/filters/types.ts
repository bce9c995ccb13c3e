/** The input types of `filter`: one for each table, and one for each type of column. */

import type { ColumnType, Relation, Table } from '../../model/types.ts'
import {
  type Builder,
  type InputFieldsOf,
  type InputOptions,
  type InputRef,
  inputObject,
} from '../builder.ts'
import { JSON_TYPES } from '../plan/comparisons.ts'
import type { Tables } from '../plan/types.ts'
import { inputField, outdated, type ValueTypes } from '../values/types.ts'
import { type FilterKey, operatorsOf, takesOf } from './operators.ts'

type InputFields = Parameters<InputFieldsOf>[0]

export interface FilterTypes {
  filterType(table: Table): InputRef
  /** The operators of a column's type: 'StringFilter'. */
  operatorsType(type: ColumnType): InputRef
}

/** Makes an input type once, when it is first asked for. */
export function onceByName(builder: Builder) {
  const made = new Map<string, InputRef>()
  // Known before it is defined: a filter's fields name the filter itself.
  return (name: string, options: InputOptions, fields: InputFieldsOf): InputRef => {
    const known = made.get(name)
    if (known) return known
    const ref = builder.inputRef(name)
    made.set(name, ref as InputRef)
    return inputObject(builder, ref, options, fields)
  }
}

export function filterTypes(builder: Builder, types: ValueTypes, tables: Tables): FilterTypes {
  const once = onceByName(builder)
  const itemsOf = { list: false, items: true } as const

  function operatorsType(type: ColumnType): InputRef {
    return once(operatorsName(type), {}, (t) =>
      operatorsOf(type).map((operator) => [operator, operatorField(t, type, operator)]),
    )
  }

  function operatorsName(type: ColumnType): string {
    const name = types.valueName(type)
    const base = type.range?.multi ? name.replace(/Range$/, 'Multirange') : name
    const operators = operatorsOf(type)
    if (type.array) return operators.includes('has') ? `${base}ListFilter` : 'ListNullFilter'
    if (operators.length === 1) return 'NullFilter'
    return type.kind === 'other' && type.compares === 'equality' ? `${base}EqualityFilter` : `${base}Filter`
  }

  function operatorField(t: InputFields, type: ColumnType, operator: FilterKey): unknown {
    switch (takesOf(type, operator)) {
      case 'boolean':
        return t.boolean()
      case 'text':
        return t.string()
      case 'texts':
        return t.stringList({ required: itemsOf })
      case 'places':
        return t.field({ type: [placesType()], required: itemsOf })
      case 'bound':
        return inputField(t, types, type.range?.of ?? type, { required: false })
      case 'value':
        return inputField(t, types, { ...type, array: false }, { required: false })
      case 'values': {
        const item = types.inputType(type) as 'String'
        // A multirange is itself a list: of its ranges.
        const items = type.range?.multi ? t.listRef(item, { required: true }) : item
        return t.field({ type: [items], required: itemsOf })
      }
    }
  }

  function placesType(): InputRef {
    const description = 'A value inside JSON; what is of another kind there counts as null.'
    return once('JSONAtFilter', { description }, (t) => [
      [
        'path',
        t.stringList({ required: true, description: 'Keys, and numbers of array items, from the top.' }),
      ],
      ...(['string', 'number', 'boolean'] as const).map(
        (as) => [as, t.field({ type: operatorsType(JSON_TYPES[as]) })] as const,
      ),
      ['exists', t.boolean({ description: 'Whether anything is there; JSON null is something.' })],
    ])
  }

  function filterType(table: Table): InputRef {
    const name = `${table.typeName}Filter`
    const description = `Which ${table.manyField} are wanted; conditions side by side must all hold.`
    return once(name, { description }, (t) => [
      ['and', t.field({ type: [filterType(table)], required: itemsOf })],
      ['or', t.field({ type: [filterType(table)], required: itemsOf })],
      ['not', t.field({ type: filterType(table) })],
      ...table.columns
        .filter(({ can }) => can.filter)
        .map((column) => {
          const type = operatorsType(column.type)
          return [column.field, t.field({ type, ...outdated(column) })] as const
        }),
      ...table.relations.map((relation) => [relation.field, relatedField(t, relation)] as const),
    ])
  }

  function relatedField(t: InputFields, { kind, target }: Relation): unknown {
    const table = tables.get(target)!
    return t.field({ type: kind === 'one' ? filterType(table) : manyType(table) })
  }

  function manyType(table: Table): InputRef {
    const name = `${table.typeName}ManyFilter`
    const description = `Which of the ${table.manyField} of a row are wanted; conditions side by side must all hold.`
    return once(name, { description }, (t) => [
      ['some', t.field({ type: filterType(table), description: 'For at least one of them.' })],
      [
        'every',
        t.field({ type: filterType(table), description: 'For all of them; also where there are none.' }),
      ],
      ['none', t.field({ type: filterType(table), description: 'For not one of them.' })],
    ])
  }

  return { filterType, operatorsType }
}
