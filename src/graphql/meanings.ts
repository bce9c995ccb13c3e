/**
 * What a field of the schema means in terms of the tables, as data beside its resolver. The compiled lane reads it;
 * a field without a meaning (an extension's) belongs to the resolver lane, and its operation with it.
 */

import type { GraphQLField } from 'graphql'
import type { Column, ColumnType, Relation, Table } from '../model/types.ts'
import type { MeasureKind } from './plan/aggregate-types.ts'

export type Verb = 'create' | 'update' | 'upsert' | 'delete'

export type Meaning =
  /** One row, by its id or by one of its keys. */
  | { readonly kind: 'row' | 'lookup'; readonly table: Table }
  | { readonly kind: 'list'; readonly table: Table }
  /** Rows of any table by their ids. */
  | { readonly kind: 'node' | 'nodes' }
  | { readonly kind: 'id' }
  | { readonly kind: 'column'; readonly column: Column }
  | { readonly kind: 'relation'; readonly relation: Relation; readonly target: Table }
  /** A part of a connection. */
  | {
      readonly kind: 'page'
      readonly part: 'nodes' | 'edges' | 'pageInfo' | 'totalCount' | 'aggregates' | 'groups'
    }
  | { readonly kind: 'edge'; readonly part: 'node' | 'cursor' }
  | {
      readonly kind: 'pageInfo'
      readonly part: 'hasNextPage' | 'hasPreviousPage' | 'startCursor' | 'endCursor'
    }
  /** Of aggregates and of groups: the number of rows, or the object that holds the measures of one kind. */
  | { readonly kind: 'measures'; readonly of: MeasureKind }
  /** One measure of a column; `type` is what Postgres gives. */
  | { readonly kind: 'measured'; readonly column: string; readonly type: ColumnType }
  | { readonly kind: 'groupKey' }
  | { readonly kind: 'key'; readonly column: Column }
  /** A part of a value that is an object: a bound of a range, a field of a row type. */
  | { readonly kind: 'part' }
  /** Writes one row, and no extension has a say in it. */
  | { readonly kind: 'write'; readonly verb: Verb; readonly table: Table }

const KEY = 'shardgate'

/** The option of a field that gives it a meaning. */
export function means(meaning: Meaning): { extensions: Record<string, unknown> } {
  return { extensions: { [KEY]: meaning } }
}

export function meaningOf({ extensions }: GraphQLField<unknown, unknown>): Meaning | undefined {
  return extensions[KEY] as Meaning | undefined
}
