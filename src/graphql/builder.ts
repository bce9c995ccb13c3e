/**
 * The Pothos builder: which context and scalars a schema has, and the types that every schema shares.
 *
 * Rows are arrays of Postgres text in the model's column order; a resolver reads its column by position.
 */

import SchemaBuilder, { type InputRef as PothosInputRef } from '@pothos/core'
import type { Row } from '../db/batch.ts'
import { RARE_SCALARS } from '../model/scalar-names.ts'
import type { GatewayContext } from './context.ts'
import { type Meaning, means } from './meanings.ts'
import { SCALARS, type ScalarRule, scalarConfig, widenFloat } from './values/scalars.ts'

type TextScalar = { Input: string; Output: string }

export interface SchemaTypes {
  Context: GatewayContext
  DefaultFieldNullability: true
  Scalars: Record<Exclude<keyof typeof SCALARS, 'JSON'>, TextScalar> & {
    ID: { Input: string; Output: string }
    JSON: { Input: unknown; Output: unknown }
  }
}

export type Builder = PothosSchemaTypes.SchemaBuilder<PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>>

/** An input type made from the model: GraphQL checks its values, TypeScript cannot know them. */
export type InputRef = PothosInputRef<unknown>

type InputFields = Parameters<NonNullable<Parameters<Builder['inputType']>[1]['fields']>>[0]

export interface InputOptions {
  readonly description?: string
  readonly isOneOf?: boolean
}
export type InputFieldsOf = (t: InputFields) => (readonly [string, unknown])[]

/** Define an input type whose fields are computed. The one place where Pothos's static types are left. */
export function inputObject(
  builder: Builder,
  name: string | object,
  options: InputOptions,
  fields: InputFieldsOf,
): InputRef {
  const config = { ...options, fields: (t: InputFields) => Object.fromEntries(fields(t)) }
  return builder.inputType(name as string, config as never) as InputRef
}

export function createBuilder(): Builder {
  widenFloat()
  const builder = new SchemaBuilder<SchemaTypes>({})
  const rare: ReadonlySet<string> = new Set(RARE_SCALARS)
  for (const name of Object.keys(SCALARS) as OwnScalar[]) if (!rare.has(name)) addScalar(builder, name)
  return builder
}

type OwnScalar = keyof typeof SCALARS

/** Add a scalar to the schema; those that are rare are there only when a column has them. */
export function addScalar(builder: Builder, name: OwnScalar): void {
  const rule: ScalarRule = SCALARS[name]
  builder.scalarType(name, {
    description: rule.description,
    ...(rule.specifiedByURL ? { specifiedByURL: rule.specifiedByURL } : {}),
    ...(scalarConfig(name) as object),
  } as Parameters<typeof builder.scalarType>[1])
}

export const ORDER_DIRECTIONS = {
  ASC: { descending: false, nullsFirst: false },
  ASC_NULLS_FIRST: { descending: false, nullsFirst: true },
  ASC_NULLS_LAST: { descending: false, nullsFirst: false },
  DESC: { descending: true, nullsFirst: true },
  DESC_NULLS_FIRST: { descending: true, nullsFirst: true },
  DESC_NULLS_LAST: { descending: true, nullsFirst: false },
} as const

export type OrderDirection = keyof typeof ORDER_DIRECTIONS

/** The types that do not depend on any table. */
export function sharedTypes(builder: Builder) {
  const node = builder.interfaceRef<Row>('Node').implement({
    description: 'A row that can be fetched again by its id.',
    resolveType: typeNameOf,
    fields: (t) => ({
      id: t.id({
        nullable: false,
        ...means({ kind: 'id' }),
        description: 'Unique over all types; hold it as it is.',
        resolve: neverResolved,
      }),
    }),
  })
  const part = (name: Extract<Meaning, { kind: 'pageInfo' }>['part']) =>
    means({ kind: 'pageInfo', part: name })
  const pageInfo = builder.objectRef<PageInfo>('PageInfo').implement({
    description: 'Where a page stands in its list.',
    fields: (t) => ({
      hasNextPage: t.exposeBoolean('hasNextPage', { nullable: false, ...part('hasNextPage') }),
      hasPreviousPage: t.boolean({
        nullable: false,
        ...part('hasPreviousPage'),
        resolve: (info) => info.hasPreviousPage,
      }),
      startCursor: t.exposeString('startCursor', part('startCursor')),
      endCursor: t.exposeString('endCursor', part('endCursor')),
    }),
  })
  const direction = builder.enumType('OrderDirection', {
    description: 'Ascending or descending; nulls come last in ascending and first in descending order.',
    values: Object.keys(ORDER_DIRECTIONS) as OrderDirection[],
  })
  const constraintKind = builder.enumType('ConstraintKind', {
    values: ['UNIQUE', 'FOREIGN_KEY', 'NOT_NULL', 'CHECK', 'EXCLUSION'] as const,
  })
  const constraintError = builder.objectRef<ConstraintFailure>('ConstraintError').implement({
    description: 'A mutation broke a rule of the tables; nothing of its operation was kept.',
    fields: (t) => ({
      kind: t.field({ type: constraintKind, nullable: false, resolve: (failure) => failure.kind }),
      message: t.exposeString('message', { nullable: false }),
      constraint: t.exposeString('constraint', { description: 'Name of the constraint in Postgres.' }),
      columns: t.exposeStringList('columns', {
        nullable: false,
        description: 'API names of the columns concerned.',
      }),
      path: t.exposeStringList('path', {
        nullable: false,
        description: 'Relations in the input that lead to the row at fault; empty for the row itself.',
      }),
      sqlState: t.exposeString('sqlState', { nullable: false, description: 'SQLSTATE of Postgres.' }),
    }),
  })
  return { node, pageInfo, direction, constraintError }
}

export interface PageInfo {
  hasNextPage: boolean
  hasPreviousPage: boolean | Promise<boolean>
  startCursor: string | null
  endCursor: string | null
}

export type SharedTypes = ReturnType<typeof sharedTypes>

export class ConstraintFailure {
  readonly kind: 'UNIQUE' | 'FOREIGN_KEY' | 'NOT_NULL' | 'CHECK' | 'EXCLUSION'
  readonly message: string
  readonly constraint: string | null
  readonly columns: string[]
  readonly path: string[]
  readonly sqlState: string

  constructor(parts: { [Key in keyof ConstraintFailure]: ConstraintFailure[Key] }) {
    this.kind = parts.kind
    this.message = parts.message
    this.constraint = parts.constraint
    this.columns = parts.columns
    this.path = parts.path
    this.sqlState = parts.sqlState
  }
}

// A row is an array of text and does not say which table it is of; `Node.__typename` has to know.
const typeNames = new WeakMap<Row, string>()

/** Note the GraphQL type of a row that is handed out as a Node. */
export function rememberType(row: Row, typeName: string): Row {
  typeNames.set(row, typeName)
  return row
}

function typeNameOf(row: Row): string | undefined {
  return typeNames.get(row)
}

// Each type of the model has an `id` of its own; the interface's resolver exists for the types alone.
function neverResolved(): never {
  throw new Error('Node.id is resolved by the type that implements it')
}
