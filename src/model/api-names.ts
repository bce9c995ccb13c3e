/**
 * Every name that the API makes out of tables and types, in one place: whoever adds a type or a field to the API
 * adds its name here, or two things may want it one day. A test holds the types to a real schema.
 */

import { byKeyField, lookupKeys } from './lookups.ts'
import { typesIn } from './named-types.ts'
import { capitalized } from './names.ts'
import { OWN_SCALARS } from './scalar-names.ts'
import { valueTypeNames } from './type-names.ts'
import type { ColumnType, CompositeType, EnumType, Table } from './types.ts'

/** Types from the type of a table ('Ticket'), which stands in the place of '*'. */
const OF_TYPE = `
  *Connection *Edge *Filter *ManyFilter
  *OrderBy *ManyOrderBy *ColumnsOrderBy *NumbersOrderBy *ValuesOrderBy *GroupsOrderBy *Key
  *Aggregates *DistinctCounts *Sums *Averages *Extremes *AggregateGroup *AggregateGroupKey *GroupBy
  *Having *HavingDistinctCounts *HavingNumbers *HavingExtremes
  Create*Input *Patch *Column *KeyName *Changes
  Create*Result Update*Result Upsert*Result Delete*Result`

/** Types from its plural field, as 'Tickets'. */
const OF_PLURAL = 'Create*Result Update*Result Delete*Result'

/** Types from a scalar, an enum or a range, as 'Status'. */
const OF_VALUE = '*Filter *ListFilter *EqualityFilter'

const MUTATIONS_OF_TYPE = 'create* update* upsert* delete*'
const MUTATIONS_OF_PLURAL = 'create* update* delete*'

const ALWAYS = `
  Query Mutation Subscription Node PageInfo OrderDirection ConstraintError ConstraintKind
  CurrentTenant TenantUsage TenantLimits GroupPart DateGroupPart DateTimeGroupPart NullFilter ListNullFilter JSONAtFilter`

const GRAPHQL_SCALARS = ['String', 'Int', 'Float', 'Boolean', 'ID']

/** Fields that the API adds to those of a table, in its type or in its filter. */
export const FIELDS_OF_THE_API = ['id', 'and', 'or', 'not']
/** Fields of Query that are made of no table. */
export const QUERIES_OF_THE_API = ['node', 'nodes', 'currentTenant']

/** Types that are there without any table, and those that come with the types of columns. */
export function typesOfTheApi(tables: readonly Table[], enums: readonly EnumType[]): string[] {
  const nameOf = valueTypeNames({ enums, composites: [] })
  const types = typesIn(tables)
  const ranges = namesOf(
    types.filter(({ range }) => range),
    nameOf,
  )
  const rare = namesOf(
    types.filter(({ kind }) => kind === 'other'),
    nameOf,
  ).filter((name) => !OWN_SCALARS.includes(name))
  return [
    ...words(ALWAYS),
    ...[...GRAPHQL_SCALARS, ...OWN_SCALARS, ...rare, ...ranges].flatMap(typesOfValue),
    ...ranges.flatMap((name) => [`${name}Input`, ...filled(OF_VALUE, name.replace(/Range$/, 'Multirange'))]),
  ]
}

function namesOf(types: readonly ColumnType[], nameOf: (type: ColumnType) => string): string[] {
  return [...new Set(types.map(nameOf))]
}

/** A scalar, an enum or a range, and the types that come with it. */
export function typesOfValue(typeName: string): string[] {
  return [typeName, ...filled(OF_VALUE, typeName)]
}

export function typesOfComposite({ typeName }: CompositeType): string[] {
  return [typeName, `${typeName}Input`]
}

export function typesOfTable(table: Table): string[] {
  const { typeName, manyField, relations } = table
  return [
    typeName,
    ...filled(OF_TYPE, typeName),
    ...filled(OF_PLURAL, capitalized(manyField)),
    ...lookupKeys(table).flatMap((key) => key.typeName ?? []),
    ...relations.map(({ field }) => `Create${typeName}${capitalized(field)}Input`),
  ]
}

export function queriesOfTable(table: Table): string[] {
  return [table.oneField, table.manyField, byKeyField(table)]
}

export function mutationsOfTable({ typeName, manyField }: Table): string[] {
  return [...filled(MUTATIONS_OF_TYPE, typeName), ...filled(MUTATIONS_OF_PLURAL, capitalized(manyField))]
}

function filled(patterns: string, name: string): string[] {
  return words(patterns).map((pattern) => pattern.replace('*', name))
}

function words(text: string): string[] {
  return text.trim().split(/\s+/)
}
