/** The GraphQL type of a value by name: 'Int', 'Status', 'DateRange', 'Address'. */

import { scalarName } from './scalar-names.ts'
import type { ColumnType, Model } from './types.ts'

type Named = Pick<Model, 'enums' | 'composites'>

/** The name of the type of one value (of the element, for arrays); the input type of `RANGE` and row types adds 'Input'. */
export function valueTypeNames({ enums, composites }: Named): (type: ColumnType) => string {
  const names = new Map([...enums, ...composites].map(({ id, typeName }) => [id, typeName]))
  return function nameOf(type: ColumnType): string {
    if (type.range) return `${nameOf(type.range.of)}Range`
    const named = names.get(type.enum ?? type.composite ?? '')
    return named ?? scalarName(type)
  }
}
