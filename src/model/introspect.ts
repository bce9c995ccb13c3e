/**
 * From the catalogs of one shard to the model: which tables are served, under which names.
 *
 * A table takes part when it has the tenant column with a type whose equality is exact, or when the configuration
 * lists it as global. What the catalogs hold besides is left out with a reason, which the start and the
 * doctor print. The same tables and rights give the same model on every shard, to the last character: its
 * fingerprint is how shards are compared.
 */

import type { PgClass } from 'pg-introspection'
import { deepFreeze } from '../base/freeze.ts'
import type { Queryable } from '../db/client.ts'
import { type Catalog, compareText, idOf, readCatalog } from './catalog.ts'
import { checkNames } from './clashes.ts'
import { fingerprintOf } from './fingerprint.ts'
import { compositesOf, enumsOf } from './named-types.ts'
import { relationsOf } from './relations.ts'
import { classesOf, type LeftOut, missingSchemas, type Tenancy, whyLeftOut } from './served.ts'
import { tableOf } from './tables.ts'
import type { Model } from './types.ts'

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
 * @throws CONFIG_INVALID  two things want one GraphQL name; the message lists each with its fix
 */
export async function introspect(db: Queryable, tenancy: Tenancy): Promise<Model> {
  return (await survey(db, tenancy)).model
}

/** As introspect, with what was left out and why. Throws as introspect. */
export async function survey(db: Queryable, tenancy: Tenancy): Promise<Survey> {
  const catalog = await readCatalog(db, tenancy.schemas, tenancy.role)
  const classes = classesOf(catalog, tenancy.schemas)
  const leftOut = missingSchemas(catalog, tenancy.schemas)
  const served: PgClass[] = []
  for (const found of classes) {
    const reason = whyLeftOut(catalog, found, tenancy)
    if (reason) leftOut.push({ id: idOf(found), reason })
    else served.push(found)
  }
  return deepFreeze({ model: modelOf(catalog, served, tenancy), leftOut: sorted(leftOut) })
}

function modelOf(catalog: Catalog, served: readonly PgClass[], tenancy: Tenancy): Model {
  const bare = served.map((found) => tableOf(catalog, found, tenancy))
  const relations = relationsOf(served, bare)
  const tables = bare.map((table) => ({ ...table, relations: relations.get(table.id) ?? [] }))
  const enums = enumsOf(catalog, tables)
  const composites = compositesOf(catalog, tables)
  checkNames(tables, enums)
  const parts = { tables, enums, composites }
  return { ...parts, fingerprint: fingerprintOf(parts) }
}

function sorted(items: readonly LeftOut[]): LeftOut[] {
  return [...items].sort((a, b) => compareText(a.id, b.id))
}
