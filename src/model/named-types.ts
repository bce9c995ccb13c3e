/** Types that users made and columns have: enums and row types, also those inside other types. */

import type { PgType } from 'pg-introspection'
import { type Catalog, compareText } from './catalog.ts'
import { typeId } from './column-types.ts'
import { constantCase, pascalCase } from './names.ts'
import { readComment } from './smart-comments.ts'
import type { ColumnType, CompositeType, EnumType, Table } from './types.ts'

/** Every type that columns of `tables` have, and those that bounds and fields of these have. */
export function typesIn(tables: readonly Table[]): ColumnType[] {
  return tables.flatMap(({ columns }) => columns.flatMap(({ type }) => withParts(type)))
}

function withParts(type: ColumnType): ColumnType[] {
  const fields = type.fields?.flatMap((field) => withParts(field.type)) ?? []
  return [type, ...(type.range ? withParts(type.range.of) : []), ...fields]
}

/** The enums that columns of `tables` have, sorted by id. @param faults  of their comments are added here */
export function enumsOf(catalog: Catalog, tables: readonly Table[], faults: string[]): EnumType[] {
  const wanted = new Set(typesIn(tables).flatMap((type) => type.enum ?? []))
  return typesNamed(catalog, 'e', wanted).map((type) => ({
    id: typeId(type),
    ...namedBy(type, 'the enum', faults),
    values: (type.getEnumValues() ?? []).map(({ enumlabel: label }) => ({
      name: constantCase(label),
      label,
    })),
  }))
}

/** The row types that columns of `tables` have, sorted by id. @param faults  as of `enumsOf` */
export function compositesOf(catalog: Catalog, tables: readonly Table[], faults: string[]): CompositeType[] {
  const fields = new Map(
    typesIn(tables).flatMap(({ composite, fields }) => (composite && fields ? [[composite, fields]] : [])),
  )
  return typesNamed(catalog, 'c', new Set(fields.keys())).map((type) => ({
    id: typeId(type),
    ...namedBy(type, 'the row type', faults),
    fields: fields.get(typeId(type)) ?? [],
  }))
}

function namedBy(type: PgType, noun: string, faults: string[]): { typeName: string; comment?: string } {
  const owner = `${noun} ${typeId(type)}`
  const { tags, comment } = readComment(type.getDescription(), { owner, tags: ['name'], faults })
  return { typeName: tags.name ?? pascalCase(type.typname), ...(comment !== undefined && { comment }) }
}

function typesNamed({ pg }: Catalog, kind: string, ids: ReadonlySet<string>): PgType[] {
  return pg.types
    .filter((type) => type.typtype === kind && ids.has(typeId(type)))
    .sort((a, b) => compareText(typeId(a), typeId(b)))
}
