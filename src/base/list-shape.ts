/**
 * What a list asks of a table, without any value: what an index has to offer to serve it. Gateways count
 * lists by their shape (directory/statistics.ts), and `doctor` looks for the indexes that are missing.
 */
export interface ListShape {
  /** 'schema.name'. */
  readonly table: string
  /** For the children of parents: the columns that hold the parent's key. */
  readonly parent: readonly string[] | null
  /** Columns compared with one value by `=`. */
  readonly equals: readonly string[]
  /** Columns compared by `<` and `>`, or with a list of values. */
  readonly ranges: readonly string[]
  /** `is null`, and `is not null`. */
  readonly nulls: readonly { readonly column: string; readonly isNull: boolean }[]
  /** Comparisons that no ordered index serves: 'contains' on a text, 'hasKey' on JSON. */
  readonly matches: readonly { readonly column: string; readonly operator: string }[]
  /** As far as it is made of columns; empty for a count. */
  readonly order: readonly {
    readonly column: string
    readonly descending: boolean
    readonly nullsFirst: boolean
  }[]
}
