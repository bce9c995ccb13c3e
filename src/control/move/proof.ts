/** What a tenant's tables held at one moment, as it is compared (hash-tree.ts), and kept for the receipt. */

import type { TableHash } from '../copy/hash.ts'

export interface TableTree extends TableHash {
  /** Columns of the key, beside the tenant's; null: rows are known by all that they hold. */
  readonly key: readonly string[] | null
  /** 'rows hash' of each leaf; a power of 2 of them, or none. '' where there are no rows. */
  readonly leaves: readonly string[]
}

export interface Proof {
  /** 'barrier': before the freeze, because the runner that cut over was lost before it had hashed the other. */
  readonly moment: 'cutover' | 'barrier'
  /** The last mark at which all rows were compared while the tenant wrote; null on the still path. */
  readonly mark: string | null
  readonly trees: readonly TableTree[]
}
