/** Types that users made and columns have: enums. */

import type { PgType } from 'pg-introspection'
import { type Catalog, compareText } from './catalog.ts'
import { constantCase, pascalCase } from './names.ts'
import { commentOf } from './tables.ts'
import type { EnumType, Table } from './types.ts'

/** The enums that columns of `tables` have, sorted by id. */
export function enumsOf({ pg }: Catalog, tables: readonly Table[]): EnumType[] {
  const ids = tables.flatMap((table) => table.columns.flatMap((column) => column.type.enum ?? []))
  const wanted = new Set(ids)
  return pg.types
    .filter((type) => type.typtype === 'e' && wanted.has(idOfType(type)))
    .map((type) => ({
      id: idOfType(type),
      typeName: pascalCase(type.typname),
      values: (type.getEnumValues() ?? []).map(({ enumlabel: label }) => ({
        name: constantCase(label),
        label,
      })),
      ...commentOf(type),
    }))
    .sort((a, b) => compareText(a.id, b.id))
}

function idOfType(type: PgType): string {
  return `${type.getNamespace()?.nspname ?? ''}.${type.typname}`
}
