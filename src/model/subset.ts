/** The model without tables that must not be served. What is left keeps its names. */

import { deepFreeze } from '../base/freeze.ts'
import { fingerprintOf } from './fingerprint.ts'
import { typesIn } from './named-types.ts'
import type { Model, Table } from './types.ts'

/** Drops the tables of `ids`, the relations that lead to them, and types that no column has any more. */
export function withoutTables(model: Model, ids: ReadonlySet<string>): Model {
  if (!model.tables.some((table) => ids.has(table.id))) return model
  const tables = model.tables
    .filter((table) => !ids.has(table.id))
    .map((table) => withoutRelations(table, ids))
  const types = typesIn(tables)
  const used = new Set(types.flatMap((type) => [type.enum ?? [], type.composite ?? []].flat()))
  const enums = model.enums.filter((type) => used.has(type.id))
  const composites = model.composites.filter((type) => used.has(type.id))
  const parts = { tables, enums, composites }
  return deepFreeze({ ...parts, fingerprint: fingerprintOf(parts) })
}

function withoutRelations(table: Table, ids: ReadonlySet<string>): Table {
  return { ...table, relations: table.relations.filter((relation) => !ids.has(relation.target)) }
}
