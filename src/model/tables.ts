/** One table of the catalogs as a table of the model. */

import type { PgAttribute, PgClass } from 'pg-introspection'
import { attributesOf, type Catalog, idOf, type Rights, schemaOf } from './catalog.ts'
import { readType } from './column-types.ts'
import { checksOf, uniqueKeys } from './keys.ts'
import { columnField, givenTableNames, tableNames } from './names.ts'
import { isGlobal, type Tenancy, tenantAttribute } from './served.ts'
import { described, isOmitted, type Setting, type TableSetting } from './settings.ts'
import type { Part } from './smart-comments.ts'
import type { Column, Key, Table } from './types.ts'

/** What is known of a table before it is one of the model. */
export interface TableSource {
  readonly catalog: Catalog
  readonly found: PgClass
  readonly tenancy: Tenancy
  readonly setting: TableSetting
  /** Columns of keys: they are read even where they are omitted. */
  readonly needed: ReadonlySet<string>
}

/**
 * The table without its relations. What the serving role may not read is not there; what it may not write
 * is offered for no writing.
 */
export function tableOf(source: TableSource): Table {
  const { catalog, found, tenancy, setting } = source
  const rights = catalog.rights.get(found._id)!
  const tenant = tenantAttribute(found, tenancy)
  const global = tenant === undefined && isGlobal(found, tenancy)
  const isWritten = found.relkind !== 'v' && !global
  const columns = columnsOf(source, rights, tenant, isWritten)
  const may = (part: Part): boolean => isWritten && !isOmitted(setting, part)
  return {
    id: idOf(found),
    schema: schemaOf(found),
    name: found.relname,
    ...(setting.name === undefined ? tableNames(found.relname) : givenTableNames(setting.name)),
    ...described(setting),
    kind: found.relkind === 'v' ? 'view' : 'table',
    can: {
      create: may('create') && canInsert(rights, tenant),
      update: may('update') && columns.some(({ can }) => can.update),
      delete: may('delete') && rights.delete,
    },
    tenantColumn: tenant?.attname ?? null,
    tenantType: tenant ? readType(catalog, tenant).type : null,
    ...(global && { global: true as const }),
    columns,
    ...keysOf(source, columns),
    ...(rights.reaches && { reaches: true as const }),
    ...(rights.depends && { depends: true as const }),
    relations: [],
  }
}

// A key leads to rows when all its columns are there; one that is omitted in part is no key to ask by.
function keysOf(
  { found, tenancy, setting }: TableSource,
  columns: readonly Column[],
): Pick<Table, 'primaryKey' | 'primaryKeyName' | 'barePrimaryKey' | 'uniques' | 'checks'> {
  const known = new Set(columns.map(({ name }) => name)).add(tenancy.column)
  const shown = new Set(columns.filter(({ can }) => can.read).map(({ name }) => name)).add(tenancy.column)
  const keys = uniqueKeys(found)
  const primary = keys.find((key) => key.primary)
  const isBare = ({ columns }: Key): boolean =>
    tenantAttribute(found, tenancy) !== undefined && !columns.includes(tenancy.column)
  const columnsOfKey = primary?.columns ?? setting.primaryKey ?? []
  const isWhole = columnsOfKey.every((column) => known.has(column))
  const checks = checksOf(found).filter((check) => columns.some(({ name }) => check.columns.includes(name)))
  return {
    primaryKey: isWhole ? columnsOfKey.filter((column) => column !== tenancy.column) : [],
    ...(primary && isWhole && { primaryKeyName: primary.name }),
    ...(primary && isWhole && isBare(primary) && { barePrimaryKey: true as const }),
    uniques: keys
      .filter((key) => !key.primary && key.columns.every((column) => shown.has(column)))
      .map(({ name, columns }) => ({ name, columns })),
    ...(checks.length > 0 && { checks }),
  }
}

function columnsOf(
  source: TableSource,
  rights: Rights,
  tenant: PgAttribute | undefined,
  isWritten: boolean,
): Column[] {
  const { found, setting, needed } = source
  return attributesOf(found)
    .filter((attribute) => attribute !== tenant && rights.select.has(attribute.attnum))
    .filter(({ attname }) => needed.has(attname) || !isOmitted(setting.columns.get(attname)!))
    .map((attribute) => columnOf(source, attribute, rights, isWritten))
}

// Every insert names the tenant where there is a column for it.
function canInsert({ insert }: Rights, tenant: PgAttribute | undefined): boolean {
  return tenant ? insert.has(tenant.attnum) && !isComputed(tenant) : insert.size > 0
}

/** Whether Postgres alone writes it. */
const isComputed = ({ attgenerated, attidentity }: PgAttribute): boolean =>
  (attgenerated ?? '') !== '' || attidentity === 'a'

function columnOf(
  { catalog, setting: table }: TableSource,
  attribute: PgAttribute,
  rights: Rights,
  isTableWritten: boolean,
): Column {
  const { type, notNull, hasDefault } = readType(catalog, attribute)
  const setting = table.columns.get(attribute.attname) as Setting
  const identity = attribute.attidentity ?? ''
  const readOnly = isComputed(attribute)
  const isWritten = isTableWritten && !readOnly
  const may = (part: Part): boolean => !isOmitted(setting, part) && !isOmitted(table, part)
  return {
    name: attribute.attname,
    field: setting.name ?? columnField(attribute.attname),
    type,
    nullable: attribute.attnotnull !== true && !notNull,
    hasDefault: attribute.atthasdef === true || identity !== '' || hasDefault,
    readOnly,
    can: {
      read: !isOmitted(setting),
      filter: may('filter'),
      order: may('order') && !type.array && type.compares === 'order',
      create: may('create') && isWritten && rights.insert.has(attribute.attnum),
      update: may('update') && isWritten && rights.update.has(attribute.attnum),
    },
    ...described(setting),
  }
}
