/**
 * Names that cannot stand: taken twice, taken by the API itself, or impossible in GraphQL. All of them
 * are reported at once, each with what to type; nothing is ever renamed by itself, because a client's
 * code would then change its meaning when a table is added.
 */

import { fail } from '../base/errors.ts'
import {
  FIELDS_OF_THE_API,
  mutationsOfTable,
  QUERIES_OF_THE_API,
  queriesOfTable,
  typesOfComposite,
  typesOfTable,
  typesOfTheApi,
  typesOfValue,
} from './api-names.ts'
import { lookupKeys } from './lookups.ts'
import { quoted } from './quote.ts'
import type { CompositeType, EnumType, Relation, Table } from './types.ts'

/** Something that wants a name, and how it gets another. */
interface Claim {
  readonly name: string
  /** As a noun: 'the column app.tickets.title'. */
  readonly owner: string
  /** What to type; undefined for what the API itself claims. */
  readonly fix?: string
}

/**
 * @throws CONFIG_INVALID  with every clash in the message, a line each
 */
export function checkNames(
  tables: readonly Table[],
  enums: readonly EnumType[],
  composites: readonly CompositeType[],
): void {
  const faults = [
    ...faultsIn(typeClaims(tables, enums, composites), (name) => `the GraphQL type ${name}`),
    ...faultsIn(queryClaims(tables), (name) => `the query ${name}`),
    ...faultsIn(mutationClaims(tables), (name) => `the mutation ${name}`),
    ...tables.flatMap((table) => [
      ...faultsInFields(fieldClaims(table), (name) => `the field ${table.typeName}.${name}`),
      ...faultsIn(keyClaims(table), (name) => `the field ${table.typeName}Key.${name}`),
    ]),
    ...enums.flatMap((type) => faultsIn(valueClaims(type), (name) => `the value ${type.typeName}.${name}`)),
    ...composites.flatMap((type) =>
      faultsInFields(partClaims(type), (name) => `the field ${type.typeName}.${name}`),
    ),
  ]
  if (faults.length > 0) {
    fail(
      'CONFIG_INVALID',
      ['The tables cannot be served under these names:', ...oncePerOwners(faults)].join('\n  '),
    )
  }
}

function typeClaims(
  tables: readonly Table[],
  enums: readonly EnumType[],
  composites: readonly CompositeType[],
): Claim[] {
  return [
    ...typesOfTheApi(tables, enums).map(ofTheApi),
    ...tables.flatMap((table) => typesOfTable(table).map((name) => ofTable(table, name))),
    ...enums.flatMap((type) => typesOfValue(type.typeName).map((name) => ofType('enum', type, name))),
    ...composites.flatMap((type) => typesOfComposite(type).map((name) => ofType('row type', type, name))),
  ]
}

function queryClaims(tables: readonly Table[]): Claim[] {
  return [
    ...QUERIES_OF_THE_API.map(ofTheApi),
    ...tables.flatMap((table) => queriesOfTable(table).map((name) => ofTable(table, name))),
  ]
}

function mutationClaims(tables: readonly Table[]): Claim[] {
  return tables.flatMap((table) => mutationsOfTable(table).map((name) => ofTable(table, name)))
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
    ...table.relations.map((relation) => ofRelation(table, relation)),
  ]
}

function partClaims(type: CompositeType): Claim[] {
  return type.fields.map(({ name, field }) => {
    const column = quoted(...idParts(type.id), name)
    const fix = `comment on column ${column} is '@name …', or alter type ${quoted(...idParts(type.id))} rename attribute ${quoted(name)} to …`
    return { name: field, owner: `the attribute ${type.id}.${name}`, fix }
  })
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
  const id = quoted(table.schema, table.name)
  const what = table.kind === 'view' ? 'view' : 'table'
  const configured = { [table.id]: { name: '…' } }
  const fix = ways(table, `${what} ${id}`, 'name', configured, `alter ${what} ${id} rename to …`)
  return { name, owner: `the ${what} ${table.id}`, fix }
}

function ofColumn(table: Table, column: string, name: string): Claim {
  const id = quoted(table.schema, table.name)
  const configured = { [table.id]: { columns: { [column]: { name: '…' } } } }
  const rename = `alter table ${id} rename column ${quoted(column)} to …`
  const found = table.columns.find((candidate) => candidate.name === column)
  const fix = ways(found, `column ${id}.${quoted(column)}`, 'name', configured, rename)
  return { name, owner: `the column ${table.id}.${column}`, fix }
}

// The comment and the setting stand at the table that has the foreign key, whose other end may be meant.
function ofRelation(table: Table, { field, inverse, constraint, target }: Relation): Claim {
  const child = inverse ? target : table.id
  const tag = inverse ? 'inverseName' : 'name'
  const configured = { [child]: { relations: { [constraint]: { [tag]: '…' } } } }
  const fix = ways(
    undefined,
    `constraint ${quoted(constraint)} on ${quoted(...idParts(child))}`,
    tag,
    configured,
  )
  return { name: field, owner: `the relation to ${target} by foreign key ${constraint}`, fix }
}

function ofType(noun: string, type: EnumType | CompositeType, name: string): Claim {
  const id = quoted(...idParts(type.id))
  const fix = `comment on type ${id} is '@name …', or alter type ${id} rename to …`
  return { name, owner: `the ${noun} ${type.id}`, fix }
}

/** What to type, in all its forms. */
function ways(
  documented: { readonly comment?: string } | undefined,
  entity: string,
  tag: string,
  configured: object,
  ...more: readonly string[]
): string {
  const setting = JSON.stringify({ tables: configured }).slice(1, -1)
  const comment =
    documented?.comment === undefined
      ? `comment on ${entity} is '@${tag} …'`
      : `a line @${tag} … above the comment on ${entity}`
  return [comment, `${setting} under "tenancy"`, ...more].join(', or ')
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
    const why = whyImpossible(name)
    return claim?.fix && why ? [impossible(name, why, claim.owner, claim.fix)] : []
  })
}

/** The same for names that input objects have too. */
function faultsInFields(claims: readonly Claim[], describe: (name: string) => string): Fault[] {
  const taken = claims.flatMap(({ name, owner, fix }) =>
    fix && name in Object.prototype ? [impossible(name, MEMBER, owner, fix)] : [],
  )
  return [...faultsIn(claims, describe), ...taken]
}

// graphql-js finds it in every input object, given or not, and refuses each as no value of its type.
const MEMBER = 'every object in JavaScript has a member of that name'

function clash(what: string, rivals: readonly Claim[]): Fault {
  const owners = rivals.map((claim) => claim.owner).join(' and ')
  const fix = rivals.findLast((claim) => claim.fix)?.fix ?? 'rename one'
  return { owners, text: `${owners} both want ${what}. To mend it: ${fix}` }
}

function impossible(name: string, why: string, owner: string, fix: string): Fault {
  const text = `${owner} would be named ${JSON.stringify(name)}: ${why}. To mend it: ${fix}`
  return { owners: owner, text }
}

// Two tables that want one type also want its Connection, its Filter and so on: told once.
function oncePerOwners(faults: readonly Fault[]): string[] {
  const byOwners = Map.groupBy(faults, (fault) => fault.owners)
  return [...byOwners.values()].flatMap(([first]) => first?.text ?? [])
}

function whyImpossible(name: string): string | undefined {
  if (name.startsWith('__')) return '"__" is reserved for introspection'
  return /^[_A-Za-z][_0-9A-Za-z]*$/.test(name) ? undefined : 'GraphQL cannot hold it'
}

// The id of an enum is 'schema.name' and a schema's name may hold a dot; this is only shown to people.
function idParts(id: string): string[] {
  const dot = id.indexOf('.')
  return [id.slice(0, dot), id.slice(dot + 1)]
}
