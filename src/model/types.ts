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
  | 'range' // ranges and multiranges
  | 'composite' // row types
  | 'other' // anything else: readable and writable as Postgres text, compared by equality

export interface ColumnType {
  readonly kind: TypeKind
  /** Schema and name for casts, e.g. ['pg_catalog', 'timestamptz']; of the element for arrays. */
  readonly schema: string
  readonly name: string
  readonly array: boolean
  /** Key into `Model.enums` when kind is 'enum': 'schema.name'. */
  readonly enum?: string
  /** Key into `Model.composites` when kind is 'composite': 'schema.name'. */
  readonly composite?: string
  /** Of a composite, in the order in which Postgres writes them. */
  readonly fields?: readonly CompositeField[]
  /** When kind is 'range': the type of its bounds, and whether it is a multirange. */
  readonly range?: { readonly of: ColumnType; readonly multi: boolean }
  /** The column is of a domain over an enum: Postgres finds its operators once it is cast. */
  readonly domain?: true
  /** What Postgres can do with two values of the type (of the element, for arrays): sort, only match, nothing. */
  readonly compares: 'order' | 'equality' | 'none'
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
  /** Where the API offers it; what it may be written by is already without what is read-only. */
  readonly can: {
    /** False for an omitted column that ids or relations are made of: it is read and never shown. */
    readonly read: boolean
    readonly filter: boolean
    readonly order: boolean
    readonly create: boolean
    readonly update: boolean
  }
  readonly comment?: string
  /** Why it should no longer be used. */
  readonly deprecated?: string
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
  /** The foreign key is the target's: its rows point at this one. Always so for 'many'. */
  readonly inverse?: true
  /** Pairs of columns beside the tenant column: own column = target's column. */
  readonly columns: readonly { readonly own: string; readonly other: string }[]
  /** Name of the foreign key constraint. */
  readonly constraint: string
  /** For 'one': whether the row may be missing because a column of the key may be null. */
  readonly nullable: boolean
  readonly comment?: string
  readonly deprecated?: string
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
  readonly kind: 'table' | 'view'
  readonly comment?: string
  readonly deprecated?: string
  /** Null for a global table, and in a tenant's own schema or database where each row is the tenant's anyway. */
  readonly tenantColumn: string | null
  readonly tenantType: ColumnType | null
  /** Its rows are the same for every tenant, who may only read them. */
  readonly global?: true
  /** Which writes the API offers; none for views and global tables. */
  readonly can: { readonly create: boolean; readonly update: boolean; readonly delete: boolean }
  /** Every column but the tenant column. */
  readonly columns: readonly Column[]
  /** Primary key without the tenant column; empty when there is none. */
  readonly primaryKey: readonly string[]
  /** Name of the primary key's constraint. */
  readonly primaryKeyName?: string
  /** There is a tenant column and the primary key does without it, as it may in a tenant's own schema or database. */
  readonly barePrimaryKey?: true
  readonly uniques: readonly Key[]
  /** CHECK constraints by the columns that they look at; absent where none looks at any that is shown. */
  readonly checks?: readonly Key[]
  /** Writing to it may change other rows, or leave out its own: triggers, rules, keys that follow a changed column. */
  readonly reaches?: true
  /** Which of its rows are seen hangs on other tables: its policies look at them, or may. */
  readonly depends?: true
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

export interface CompositeField {
  readonly name: string
  /** GraphQL name: camelCase. */
  readonly field: string
  readonly type: ColumnType
  readonly comment?: string
  readonly deprecated?: string
}

/** A row type that columns have: an object of its fields. */
export interface CompositeType {
  /** 'schema.name'. */
  readonly id: string
  readonly typeName: string
  readonly fields: readonly CompositeField[]
  readonly comment?: string
}

export interface Model {
  readonly tables: readonly Table[]
  readonly enums: readonly EnumType[]
  readonly composites: readonly CompositeType[]
  /** SHA-256 of all the above, in hex: equal on every shard that holds the same tables. */
  readonly fingerprint: string
}
