/** What the fields of Mutation share while the schema is built. */

import type { Table } from '../../model/types.ts'
import type { InputRef } from '../builder.ts'
import type { SchemaParts } from '../types.ts'
import type { RowWriter } from './types.ts'

export interface MutationParts {
  readonly parts: SchemaParts
  readonly writer: RowWriter
  /** Input types of a table; made once. */
  readonly inputs: {
    create(table: Table): InputRef
    patch(table: Table): InputRef
  }
}
