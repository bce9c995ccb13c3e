/** One table of the catalogs as a table of the model. */

import type { PgAttribute, PgClass, PgType } from 'pg-introspection'
import { attributesOf, type Catalog, idOf, type Rights, schemaOf } from './catalog.ts'
import { readType } from './column-types.ts'
import { uniqueKeys } from './keys.ts'
import { columnField, tableNames } from './names.ts'
import { type Tenancy, tenantAttribute } from './served.ts'
import type { Column, Table } from './types.ts'

/**
 * The table without its relations. What the serving role may not read is not there; what it may not write
 * is offered for no writing.
 */
export function tableOf(catalog: Catalog, found: PgClass, tenancy: Tenancy): Table {
  const rights = catalog.rights.get(found._id)!
  const tenant = tenantAttribute(found, tenancy)
  const isWritten = found.relkind !== 'v' && tenant !== undefined
  const columns = attributesOf(found)
    .filter((attribute) => attribute !== tenant && rights.select.has(attribute.attnum))
    .map((attribute) => columnOf(catalog, attribute, rights, isWritten))
  const readable = new Set(columns.map(({ name }) => name)).add(tenant?.attname ?? '')
  const keys = uniqueKeys(found).filter((key) => key.columns.every((column) => readable.has(column)))
  const primary = keys.find((key) => key.primary)
  return {
    id: idOf(found),
    schema: schemaOf(found),
    name: found.relname,
    ...tableNames(found.relname),
    ...commentOf(found),
    kind: found.relkind === 'v' ? 'view' : 'table',
    can: {
      create: isWritten && rights.insert.has(tenant.attnum),
      update: columns.some(({ can }) => can.update),
      delete: isWritten && rights.delete,
    },
    tenantColumn: tenant?.attname ?? null,
    tenantType: tenant ? readType(catalog, tenant).type : null,
    columns,
    primaryKey: primary?.columns.filter((column) => column !== tenancy.column) ?? [],
    ...(primary && { primaryKeyName: primary.name }),
    uniques: keys.filter((key) => !key.primary).map(({ name, columns }) => ({ name, columns })),
    relations: [],
  }
}

function columnOf(catalog: Catalog, attribute: PgAttribute, rights: Rights, isWritten: boolean): Column {
  const { type, notNull, hasDefault } = readType(catalog, attribute)
  const identity = attribute.attidentity ?? ''
  const readOnly = (attribute.attgenerated ?? '') !== '' || identity === 'a'
  return {
    name: attribute.attname,
    field: columnField(attribute.attname),
    type,
    nullable: attribute.attnotnull !== true && !notNull,
    hasDefault: attribute.atthasdef === true || identity !== '' || hasDefault,
    readOnly,
    can: {
      filter: true,
      order: !type.array && type.compares === 'order',
      create: isWritten && !readOnly && rights.insert.has(attribute.attnum),
      update: isWritten && !readOnly && rights.update.has(attribute.attnum),
    },
    ...commentOf(attribute),
  }
}

export function commentOf(entity: PgClass | PgAttribute | PgType): { comment?: string } {
  const comment = entity.getDescription()
  return comment ? { comment } : {}
}
