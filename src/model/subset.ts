/** A model with some tables left out, and with them every relation that leads to one. */

import { deepFreeze, fingerprintOf } from './fingerprint.ts'
import type { Model } from './types.ts'

export function withoutTables(model: Model, ids: ReadonlySet<string>): Model {
  if (ids.size === 0) return model
  const tables = model.tables
    .filter((table) => !ids.has(table.id))
    .map((table) => ({ ...table, relations: table.relations.filter(({ target }) => !ids.has(target)) }))
  const { enums } = model
  return deepFreeze({ tables, enums, fingerprint: fingerprintOf({ tables, enums }) })
}
