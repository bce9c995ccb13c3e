/**
 * From the catalogs of one shard to the model: which tables are served, under which names.
 *
 * A table takes part when it has the tenant column with a type whose equality is exact, or when the configuration
 * lists it as global. What the catalogs hold besides is left out with a reason, which the start and the
 * doctor print. The same tables and rights give the same model on every shard, to the last character: its
 * fingerprint is how shards are compared.
 */

import type { PgClass } from 'pg-introspection'
import { fail } from '../base/errors.ts'
import { deepFreeze } from '../base/freeze.ts'
import type { Queryable } from '../db/client.ts'
import { type Catalog, compareText, idOf, readCatalog } from './catalog.ts'
import { checkNames } from './clashes.ts'
import { fingerprintOf } from './fingerprint.ts'
import { compositesOf, enumsOf } from './named-types.ts'
import { neededColumns, relationsOf } from './relations.ts'
import {
  classesOf,
  type LeftOut,
  missingSchemas,
  namesOfSchemas,
  type Tenancy,
  whyLeftOut,
} from './served.ts'
import { isOmitted, settingsOf, type TableSetting } from './settings.ts'
import { type TableSource, tableOf } from './tables.ts'
import type { Model, Table } from './types.ts'

export type { Tenancy } from './served.ts'

export interface Survey {
  readonly model: Model
  /** Sorted by id. */
  readonly leftOut: readonly LeftOut[]
}

/**
 * Read the model of a shard. Any role can: the catalogs are public. The rights that count are those
 * of `tenancy.role`.
 *
 * @throws CONFIG_INVALID  two things want one GraphQL name, a smart comment or a key of the configuration says what
 *                         cannot be; the message lists each with its fix
 */
export async function introspect(db: Queryable, tenancy: Tenancy): Promise<Model> {
  return (await survey(db, tenancy)).model
}

/** As introspect, with what was left out and why. Throws as introspect. */
export async function survey(db: Queryable, tenancy: Tenancy): Promise<Survey> {
  const catalog = await readCatalog(db, tenancy)
  const names = namesOfSchemas(tenancy)
  const classes = classesOf(catalog, names)
  const reasons = new Map(classes.map((found) => [found, whyLeftOut(catalog, found, tenancy)]))
  const candidates = classes.filter((found) => reasons.get(found) === undefined)
  const settings = settingsOf(classes, new Set(candidates), tenancy)
  for (const found of candidates) if (isOmitted(settings.get(idOf(found))!)) reasons.set(found, OMITTED)
  const tables = new Map<PgClass, Table>()
  const rest = classes.filter((found) => reasons.get(found) === undefined)
  for (const source of sourcesOf(catalog, rest, settings, tenancy)) {
    const table = tableOf(source)
    if (isEmpty(table)) reasons.set(source.found, `it has no column to show beside ${tenancy.column}`)
    else tables.set(source.found, table)
  }
  const leftOut = [...reasons].flatMap(([found, reason]) => (reason ? [{ id: idOf(found), reason }] : []))
  return deepFreeze({
    model: modelOf(catalog, tables, settings),
    leftOut: sorted([...missingSchemas(catalog, names), ...leftOut]),
  })
}

const OMITTED = 'it is omitted, by its comment or by the configuration'

// An object type of GraphQL has at least one field.
function isEmpty({ columns, primaryKey }: Table): boolean {
  return primaryKey.length === 0 && !columns.some(({ can }) => can.read)
}

function sourcesOf(
  catalog: Catalog,
  served: readonly PgClass[],
  settings: ReadonlyMap<string, TableSetting>,
  tenancy: Tenancy,
): TableSource[] {
  const needed = neededColumns(served)
  return served.map((found) => {
    const id = idOf(found)
    return { catalog, found, tenancy, setting: settings.get(id)!, needed: needed.get(id)! }
  })
}

function modelOf(
  catalog: Catalog,
  bare: ReadonlyMap<PgClass, Table>,
  settings: ReadonlyMap<string, TableSetting>,
): Model {
  const relations = relationsOf([...bare.keys()], [...bare.values()], settings)
  const tables = [...bare.values()].map((table) => ({ ...table, relations: relations.get(table.id) ?? [] }))
  const faults: string[] = []
  const enums = enumsOf(catalog, tables, faults)
  const composites = compositesOf(catalog, tables, faults)
  if (faults.length > 0)
    fail('CONFIG_INVALID', ['The types cannot be served as they are described:', ...faults].join('\n  '))
  checkNames(tables, enums, composites)
  const parts = { tables, enums, composites }
  return { ...parts, fingerprint: fingerprintOf(parts) }
}

function sorted(items: readonly LeftOut[]): LeftOut[] {
  return [...items].sort((a, b) => compareText(a.id, b.id))
}
