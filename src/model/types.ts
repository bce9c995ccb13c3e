/**
 * The model: which tables there are, as plain data.
 *
 * Introspection fills it, and everything that follows (schema, filters, cursors, SQL) reads it. It
 * holds no functions and no connections, so it can be frozen, compared and printed.
 */

/** How values of a type behave in filters and inputs; the GraphQL scalar follows from it. */
export type TypeKind =
  | 'boolean'
  | 'int' // int2, int4: GraphQL Int
  | 'bigint' // int8, as text
  | 'decimal' // numeric and money, as text
  | 'float'
  | 'text' // text, varchar, char, citext, name
  | 'uuid'
  | 'date'
  | 'time'
  | 'datetime' // timestamp and timestamptz, as Postgres text
  | 'interval'
  | 'json'
  | 'bytes'
  | 'enum'
  | 'other' // anything else: readable and writable as Postgres text, compared by equality

export interface ColumnType {
  readonly kind: TypeKind
  /** Schema and name for casts, e.g. ['pg_catalog', 'timestamptz']; of the element for arrays. */
  readonly schema: string
  readonly name: string
  readonly array: boolean
  /** Key into `Model.enums` when kind is 'enum': 'schema.name'. */
  readonly enum?: string
}

export interface Column {
  readonly name: string
  /** GraphQL name: camelCase. */
  readonly field: string
  readonly type: ColumnType
  readonly nullable: boolean
  readonly hasDefault: boolean
  /** Written by Postgres alone: generated columns and `generated always` identities. */
  readonly readOnly: boolean
  readonly comment?: string
}

export interface Key {
  readonly name: string
  /** Columns in key order, the tenant column among them. */
  readonly columns: readonly string[]
}

export interface Relation {
  /** GraphQL name on the owning table. */
  readonly field: string
  readonly kind: 'one' | 'many'
  /** Key into `Model.tables`: 'schema.name'. */
  readonly target: string
  /** Pairs of columns beside the tenant column: own column = target's column. */
  readonly columns: readonly { readonly own: string; readonly other: string }[]
  /** Name of the foreign key constraint. */
  readonly constraint: string
  /** For 'one': whether the row may be missing because a column of the key may be null. */
  readonly nullable: boolean
}

export interface Table {
  /** 'schema.name'. */
  readonly id: string
  readonly schema: string
  readonly name: string
  /** GraphQL type, singular: 'Ticket'. */
  readonly typeName: string
  /** GraphQL fields: 'ticket' and 'tickets'. */
  readonly oneField: string
  readonly manyField: string
  readonly comment?: string
  readonly tenantColumn: string
  readonly tenantType: ColumnType
  /** Every column but the tenant column. */
  readonly columns: readonly Column[]
  /** Primary key without the tenant column; empty when there is none. */
  readonly primaryKey: readonly string[]
  readonly uniques: readonly Key[]
  readonly relations: readonly Relation[]
}

export interface EnumType {
  /** 'schema.name'. */
  readonly id: string
  readonly typeName: string
  /** GraphQL value → Postgres label. */
  readonly values: readonly { readonly name: string; readonly label: string }[]
  readonly comment?: string
}

export interface Model {
  readonly tables: readonly Table[]
  readonly enums: readonly EnumType[]
  /** SHA-256 of all the above, in hex: equal on every shard that holds the same tables. */
  readonly fingerprint: string
}
