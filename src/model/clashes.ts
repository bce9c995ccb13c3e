/**
 * Names that cannot stand: taken twice, taken by the API itself, or impossible in GraphQL. All of them
 * are reported at once, each with what to type; nothing is ever renamed by itself, because a client's
 * code would then change its meaning when a table is added.
 */

import { fail } from '../base/errors.ts'
import { byKeyField, lookupKeys } from './lookups.ts'
import { quoted } from './quote.ts'
import type { EnumType, Table } from './types.ts'

/** Something that wants a name, and how it gets another. */
interface Claim {
  readonly name: string
  /** As a noun: 'the column app.tickets.title'. */
  readonly owner: string
  /** What to type; undefined for what the API itself claims. */
  readonly fix?: string
}

// Filters of a type have the keys of its columns and these.
const FIELDS_OF_THE_API = ['id', 'and', 'or', 'not'] as const
const ROOT_FIELDS_OF_THE_API = ['node', 'nodes'] as const

const SCALARS = ['String', 'Int', 'Float', 'Boolean', 'ID'] as const
const OWN_SCALARS = [
  'BigInt',
  'Decimal',
  'UUID',
  'Date',
  'Time',
  'DateTime',
  'Interval',
  'JSON',
  'Bytes',
  'PgText',
] as const
export const TYPES_OF_THE_API = [
  ...['Query', 'Mutation', 'Subscription', 'Node', 'PageInfo', 'OrderDirection', 'NullFilter'],
  ...['ConstraintError', 'ConstraintKind', 'GroupPart', 'DateGroupPart', 'DateTimeGroupPart'],
  ...['ListNullFilter', 'NetworkFilter', 'TextSearchFilter', 'JSONAtFilter', 'PgTextEqualityFilter'],
  ...[...SCALARS, ...OWN_SCALARS].flatMap((scalar) => [scalar, ...filtersOf(scalar)]),
]

/** Types that the API makes from a table's type, beside the type itself; a test holds it to the schema. */
export function typesMadeFrom(typeName: string): string[] {
  const orders = ['OrderBy', 'ManyOrderBy', 'ColumnsOrderBy', 'NumbersOrderBy', 'ValuesOrderBy']
  const measures = ['Aggregates', 'DistinctCounts', 'Sums', 'Averages', 'Extremes']
  const groups = ['AggregateGroup', 'AggregateGroupKey', 'GroupBy', 'GroupsOrderBy']
  const having = ['Having', 'HavingDistinctCounts', 'HavingNumbers', 'HavingExtremes']
  const own = ['Connection', 'Edge', 'Filter', 'ManyFilter', 'Key', 'Patch']
  const endings = [...own, ...orders, ...measures, ...groups, ...having]
  const verbs = ['Create', 'Update', 'Delete']
  return [
    ...endings.map((ending) => typeName + ending),
    ...verbs.flatMap((verb) => [`${verb}${typeName}Input`, `${verb}${typeName}Result`]),
  ]
}

/** Types that the API makes from a scalar or an enum. */
export function filtersOf(typeName: string): string[] {
  return [`${typeName}Filter`, `${typeName}ListFilter`]
}

/**
 * @throws CONFIG_INVALID  with every clash in the message, a line each
 */
export function checkNames(tables: readonly Table[], enums: readonly EnumType[]): void {
  const faults = [
    ...faultsIn(typeClaims(tables, enums), (name) => `the GraphQL type ${name}`),
    ...faultsIn(rootClaims(tables), (name) => `the query ${name}`),
    ...tables.flatMap((table) =>
      faultsIn(fieldClaims(table), (name) => `the field ${table.typeName}.${name}`),
    ),
    ...tables.flatMap((table) =>
      faultsIn(keyClaims(table), (name) => `the field ${table.typeName}Key.${name}`),
    ),
    ...enums.flatMap((type) => faultsIn(valueClaims(type), (name) => `the value ${type.typeName}.${name}`)),
  ]
  if (faults.length > 0) {
    fail(
      'CONFIG_INVALID',
      ['The tables cannot be served under these names:', ...oncePerOwners(faults)].join('\n  '),
    )
  }
}

function typeClaims(tables: readonly Table[], enums: readonly EnumType[]): Claim[] {
  return [
    ...TYPES_OF_THE_API.map(ofTheApi),
    ...tables.flatMap((table) =>
      [table.typeName, ...typesMadeFrom(table.typeName), ...keyTypes(table)].map((name) =>
        ofTable(table, name),
      ),
    ),
    ...enums.flatMap((type) =>
      [type.typeName, ...filtersOf(type.typeName)].map((name) => ofEnum(type, name)),
    ),
  ]
}

function rootClaims(tables: readonly Table[]): Claim[] {
  return [
    ...ROOT_FIELDS_OF_THE_API.map(ofTheApi),
    ...tables.flatMap((table) =>
      [table.oneField, table.manyField, byKeyField(table)].map((name) => ofTable(table, name)),
    ),
  ]
}

/** Types that the API makes for the keys of a table that have several columns. */
export function keyTypes(table: Table): string[] {
  return lookupKeys(table).flatMap(({ typeName }) => typeName ?? [])
}

function keyClaims(table: Table): Claim[] {
  return [
    ofTheApi('id'),
    ...lookupKeys(table).map(({ name, columns }) => ({
      name,
      owner: `the key of ${table.id} by ${columns.map((column) => column.name).join(', ')}`,
      fix: ofColumn(table, columns[0]!.name, name).fix!,
    })),
  ]
}

function fieldClaims(table: Table): Claim[] {
  return [
    ...FIELDS_OF_THE_API.map(ofTheApi),
    ...table.columns.map(({ field, name }) => ofColumn(table, name, field)),
    ...table.relations.map(({ field, constraint, target }) => ({
      name: field,
      owner: `the relation to ${target} by foreign key ${constraint}`,
      fix: `rename the foreign key's column, or the table ${target === table.id ? table.id : `${table.id} or ${target}`}`,
    })),
  ]
}

function valueClaims(type: EnumType): Claim[] {
  const id = quoted(...idParts(type.id))
  return type.values.map(({ name, label }) => ({
    name,
    owner: `the label '${label}' of ${type.id}`,
    fix: `alter type ${id} rename value '${label.replaceAll("'", "''")}' to '…'`,
  }))
}

function ofTheApi(name: string): Claim {
  return { name, owner: 'the API itself' }
}

function ofTable(table: Table, name: string): Claim {
  const fix = `alter table ${quoted(table.schema, table.name)} rename to …`
  return { name, owner: `the table ${table.id}`, fix }
}

function ofEnum(type: EnumType, name: string): Claim {
  return { name, owner: `the enum ${type.id}`, fix: `alter type ${quoted(...idParts(type.id))} rename to …` }
}

function ofColumn(table: Table, column: string, name: string): Claim {
  const sql = `alter table ${quoted(table.schema, table.name)} rename column ${quoted(column)} to …`
  return { name, owner: `the column ${table.id}.${column}`, fix: sql }
}

interface Fault {
  readonly owners: string
  readonly text: string
}

function faultsIn(claims: readonly Claim[], describe: (name: string) => string): Fault[] {
  const byName = Map.groupBy(claims, (claim) => claim.name)
  return [...byName].flatMap(([name, rivals]) => {
    if (rivals.length > 1) return [clash(describe(name), rivals)]
    const [claim] = rivals
    return claim?.fix && !isGraphqlName(name) ? [impossible(name, claim.owner, claim.fix)] : []
  })
}

function clash(what: string, rivals: readonly Claim[]): Fault {
  const owners = rivals.map((claim) => claim.owner).join(' and ')
  const fix = rivals.findLast((claim) => claim.fix)?.fix ?? 'rename one'
  return { owners, text: `${owners} both want ${what}. To mend it: ${fix}` }
}

function impossible(name: string, owner: string, fix: string): Fault {
  const why = name.startsWith('__') ? '"__" is reserved for introspection' : 'GraphQL cannot hold it'
  const text = `${owner} would be named ${JSON.stringify(name)}: ${why}. To mend it: ${fix}`
  return { owners: owner, text }
}

// Two tables that want one type also want its Connection, its Filter and so on: told once.
function oncePerOwners(faults: readonly Fault[]): string[] {
  const byOwners = Map.groupBy(faults, (fault) => fault.owners)
  return [...byOwners.values()].flatMap(([first]) => first?.text ?? [])
}

function isGraphqlName(name: string): boolean {
  return /^(?!__)[_A-Za-z][_0-9A-Za-z]*$/.test(name)
}

// The id of an enum is 'schema.name' and a schema's name may hold a dot; this is only shown to people.
function idParts(id: string): string[] {
  const dot = id.indexOf('.')
  return [id.slice(0, dot), id.slice(dot + 1)]
}
